"""Preference files in all their formats, hh-rlhf, and what is refused."""

import csv
import gzip
import json
import re
from pathlib import Path

import datasets
import pytest
from transformers import AutoTokenizer

from data.tokenizers_of_prompts import byte_level
from tutelage.config import UserError
from tutelage.data.pair_sources import FilePairs, HhRlhfPairs
from tutelage.data.preferences import Pair

H, A = "\n\nHuman:", "\n\nAssistant:"
USER = {"role": "user", "content": "hi"}
YES, NO = ({"role": "assistant", "content": text} for text in ("yes", "no"))
OPTIONS = {
    "max_tokens": 200,
    "over_long": "filter",
    "val_fraction": 0.0,
    "test_fraction": 0.0,
    "seed": 0,
    "add_eos": True,
}


def write(path: Path, *rows: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def pairs(source, **options) -> list[Pair]:
    source.check()
    data = source.read(byte_level(), **(OPTIONS | options))
    return [each.pair for part in data[:3] for each in part]


MARKED = Pair(f"{H} hi{A}", " yes", " no")
FORMATS = {
    "plain": ({"prompt": "hi:", "chosen": " yes", "rejected": " no"}, Pair("hi:", " yes", " no")),
    "implicit": ({"chosen": "hi yes", "rejected": "hi no"}, Pair("hi", " yes", " no")),
    "null prompt": (
        {"prompt": None, "chosen": "hi yes", "rejected": "hi no"},
        Pair("hi", " yes", " no"),
    ),
    "hh-rlhf": ({"chosen": f"{H} hi{A} yes", "rejected": f"{H} hi{A} no"}, MARKED),
    "messages": ({"prompt": [USER], "chosen": [YES], "rejected": [NO]}, MARKED),
    "whole dialogues": ({"chosen": [USER, YES], "rejected": [USER, NO]}, MARKED),
    "text and dialogues": (
        {"prompt": "hi", "chosen": [USER, YES], "rejected": [USER, NO]},
        MARKED,
    ),
    "text and messages": ({"prompt": "hi", "chosen": [YES], "rejected": [NO]}, MARKED),
    "LLaMA-Factory": (
        {
            "conversations": [{"from": "human", "value": "hi"}],
            "chosen": {"from": "gpt", "value": "yes"},
            "rejected": {"from": "gpt", "value": "no"},
        },
        MARKED,
    ),
    "SHP, A": (
        {"history": "hi", "human_ref_A": "yes", "human_ref_B": "no", "labels": 1, "score_A": 0},
        MARKED,
    ),
    "SHP, B": (
        {"history": "hi", "human_ref_A": "no", "human_ref_B": "yes", "labels": 0},
        MARKED,
    ),
    "SHP, scores": (
        {"history": "hi", "human_ref_A": "no", "human_ref_B": "yes", "score_A": 2, "score_B": 9},
        MARKED,
    ),
    "margin and subset": (
        {"prompt": "hi:", "chosen": " yes", "rejected": " no", "margin": 2, "subset": "short"},
        Pair("hi:", " yes", " no", "short", 2.0),
    ),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_understood(tmp_path, name):
    """RM-3: TRL's, hh-rlhf's, LLaMA-Factory's and SHP's columns."""
    row, pair = FORMATS[name]
    source = FilePairs(path=str(write(tmp_path / "pairs.jsonl", row)))
    assert pairs(source) == [pair]
    assert list(source.texts()) == [pair.prompt + pair.chosen, pair.rejected]


def test_csv_parquet_arrow_and_gz_say_the_same(tmp_path):
    """RM-3: numbers of a CSV file are text, and its empty cells nothing."""
    rows = [{"prompt": f"p{n}:", "chosen": "a,\n", "rejected": " b", "margin": n} for n in (1, 2)]
    expected = [Pair(f"p{n}:", "a,\n", " b", "", float(n)) for n in (1, 2)]
    with (tmp_path / "p.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    table = datasets.Dataset.from_list(rows)
    table.to_parquet(tmp_path / "p.parquet")
    table.save_to_disk(tmp_path / "saved")
    with gzip.open(tmp_path / "p.jsonl.gz", "wt") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in rows)
    for name in ("p.csv", "p.parquet", "saved", "p.jsonl.gz"):
        assert sorted(pairs(FilePairs(path=str(tmp_path / name)))) == expected, name


def test_messages_in_parquet_are_read(tmp_path):
    """RM-3: nested columns."""
    row = {"chosen": [USER, YES], "rejected": [USER, NO]}
    datasets.Dataset.from_list([row, row]).to_parquet(tmp_path / "p.parquet")
    assert pairs(FilePairs(path=str(tmp_path / "p.parquet"))) == [MARKED] * 2


def test_the_test_set_is_a_file_of_the_folder_or_one_that_is_named(tmp_path):
    """RM-3: it is never trained on."""
    rows = [{"prompt": f"p{n}:", "chosen": " a", "rejected": " b"} for n in range(6)]
    write(tmp_path / "all" / "train.jsonl", *rows[:4])
    write(tmp_path / "all" / "test.jsonl", *rows[4:])
    for source in (
        FilePairs(path=str(tmp_path / "all")),
        FilePairs(
            path=str(tmp_path / "all" / "train.jsonl"),
            test_path=str(tmp_path / "all" / "test.jsonl"),
        ),
    ):
        data = source.read(byte_level(), **(OPTIONS | {"test_fraction": 0.5}))
        assert sorted(each.pair.prompt for each in data.train) == ["p0:", "p1:", "p2:", "p3:"]
        assert sorted(each.pair.prompt for each in data.test) == ["p4:", "p5:"]
        assert len(list(source.texts())) == 8
    before = source.fingerprint()
    write(tmp_path / "all" / "test.jsonl", *rows[3:])
    assert source.fingerprint() != before


GOOD = {"prompt": "p:", "chosen": " a", "rejected": " b"}
BAD_ROWS = [
    (
        {"prompt": "p", "chosen": "a", "rejectd": "b"},
        "there is no column 'rejected'; the columns are 'prompt', 'chosen', 'rejectd'. Did you "
        "mean rejectd? A row of preferences has chosen and rejected",
    ),
    (GOOD | {"chosen": 3}, "column 'chosen' holds int, neither text nor messages."),
    (GOOD | {"rejected": None}, "column 'rejected' holds null, neither text nor messages."),
    (GOOD | {"chosen": []}, "column 'chosen' holds an empty list, neither text nor messages."),
    (GOOD | {"chosen": ["a"]}, "column 'chosen' holds list, neither text nor messages."),
    (GOOD | {"chosen": [YES]}, "of chosen and rejected, one is text and one holds messages."),
    (GOOD | {"prompt": [USER]}, "prompt holds messages, but chosen and rejected are text."),
    (
        {"chosen": [{"role": "user"}], "rejected": [USER]},
        "in a message of chosen, content is missing, but it must be text.",
    ),
    (
        {"chosen": [{"role": "user", "content": [1]}], "rejected": [USER]},
        "in a message of chosen, content is [1], but it must be text.",
    ),
    (GOOD | {"margin": "much"}, "margin is 'much', but it must be a number."),
    (GOOD | {"margin": True}, "margin is True, but it must be a number."),
    (GOOD | {"subset": 1}, "subset is 1, but it must be text."),
    (GOOD | {"chosen": "\ud800"}, "a text holds half a character (\\ud800)"),
    (
        {"history": "h", "human_ref_A": "a", "human_ref_B": "b", "labels": 2},
        "labels is 2, but it must be 1 (human_ref_A is better) or 0",
    ),
    ({"history": "h", "human_ref_A": "a", "human_ref_B": "b"}, "there is no column 'labels'"),
    (
        {"history": "h", "human_ref_A": "a", "human_ref_B": 1, "labels": 1},
        "column 'human_ref_B' holds int",
    ),
    (
        {"history": "h", "human_ref_A": "a", "human_ref_B": "b", "score_A": 1, "score_B": 1},
        "score_A and score_B are both 1, so neither is better.",
    ),
    ([], "is JSON, but not an object. Each line must be one object, such as {\"prompt\""),
]  # fmt: skip


@pytest.mark.parametrize(("row", "message"), BAD_ROWS)
def test_a_bad_row_is_named_by_file_and_line(tmp_path, row, message):
    """RM-3: before a model loads."""
    file = write(tmp_path / "pairs.jsonl", GOOD, row)
    with pytest.raises(UserError, match=re.escape(message)) as error:
        FilePairs(path=str(file)).check()
    assert str(error.value).startswith(f"{file}, line 2")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.jsonl", b"", "is empty: it holds no text"),
        ("p.jsonl", b"\n\n", "holds no row"),
        ("p.csv", b"", "holds no row"),
        ("p.csv", b"prompt,chosen,rejected\na,b\n", "line 2 has more or fewer cells than the 3"),
        ("p.jsonl", b"{", "line 1 is not JSON"),
        ("p.jsonl", b"\xff", "line 1 is not UTF-8"),
        ("p.csv", b"prompt\n\xff\n", "cannot be read"),
        ("p.txt", b"a\n", "is plain text, which has no columns"),
        ("p.parquet", b"no", "cannot be read"),
        ("p.pdf", b"no", "is of no known type"),
    ],
)
def test_files_that_hold_no_pairs_are_refused(tmp_path, name, content, message):
    """RM-3."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        FilePairs(path=str(tmp_path / name)).check()


def test_what_is_not_there_is_told_apart_from_a_name_on_the_hub(tmp_path, monkeypatch):
    """RM-3: nothing is fetched by a check."""
    monkeypatch.chdir(tmp_path)
    for path in ("none.jsonl", "data/none.jsonl", "./data/none"):
        with pytest.raises(UserError, match="does not exist"):
            FilePairs(path=path).check()
    FilePairs(path="owner/name").check()
    with pytest.raises(UserError, match=r"owner/name \(split train\) cannot be loaded"):
        pairs(FilePairs(path="owner/name"))
    with pytest.raises(UserError, match="both test_path and test_split"):
        FilePairs(path="owner/name", test_path="a", test_split="test").check()


def hh(folder: Path, subset: str, *, suffix: str = ".jsonl") -> None:
    for part, number in (("train", 5), ("test", 2)):
        rows = [
            {"chosen": f"{H} {subset} {part} {n}{A} yes", "rejected": f"{H} {subset} {part} {n}{A}"}
            for n in range(number)
        ]
        rows[0]["rejected"] = f"{H} other{A} no"
        rows[1]["rejected"] += " no"
        file = write(folder / subset / f"{part}.jsonl", *rows)
        if suffix == ".jsonl.gz":
            file.with_name(f"{part}.jsonl.gz").write_bytes(gzip.compress(file.read_bytes()))
            file.unlink()


def test_hh_rlhf_has_subsets_and_its_own_test_set(tmp_path):
    """RM-3, R13: unshared prompts and empty responses are counted."""
    hh(tmp_path, "helpful-base")
    hh(tmp_path, "harmless-base", suffix=".jsonl.gz")
    source = HhRlhfPairs(path=tmp_path, subsets=("helpful-base", "harmless-base"))
    source.check()
    data = source.read(byte_level(), **OPTIONS)
    assert [each.pair for each in data.train] == [
        Pair(f"{H} {subset} train 1{A}", " yes", " no", subset)
        for subset in ("helpful-base", "harmless-base")
    ]
    assert len(data.test) == 2
    assert data.counts["dropped_no_shared_prompt"] == 4
    assert data.counts["dropped_empty"] == 6
    assert (
        source.fingerprint() != HhRlhfPairs(path=tmp_path, subsets=("helpful-base",)).fingerprint()
    )


@pytest.mark.parametrize(
    ("subset", "message"),
    [
        ("helpful-bass", "has no subset helpful-bass. Did you mean helpful-base? Its subsets are "
         "helpful-base."),
        ("harmless-base", "Its subsets are helpful-base. Set subsets."),
    ],
)  # fmt: skip
def test_an_unknown_subset_is_refused_with_the_nearest(tmp_path, subset, message):
    """RM-3: on the disk and on the hub."""
    hh(tmp_path, "helpful-base")
    with pytest.raises(UserError, match=re.escape(message)):
        HhRlhfPairs(path=tmp_path, subsets=(subset,)).check()
    with pytest.raises(UserError, match=r"has no subset helpful\. Did you mean helpful-"):
        HhRlhfPairs(subsets=("helpful",)).check()
    with pytest.raises(UserError, match="is no folder"):
        HhRlhfPairs(path=tmp_path / "none").check()
    (tmp_path / "helpful-base" / "test.jsonl").unlink()
    with pytest.raises(UserError, match=r"has no test.jsonl and no test.jsonl.gz"):
        HhRlhfPairs(path=tmp_path, subsets=("helpful-base",)).check()


def test_real_dialogues_of_hh_rlhf_and_llama_factory_are_read(shared_data):
    """RM-3: with T5's tokenizer; every pair is accounted for."""
    tokenizer = AutoTokenizer.from_pretrained(shared_data / "tokenizers" / "t5")
    options = OPTIONS | {"max_tokens": 512, "val_fraction": 0.1}
    source = HhRlhfPairs(path=shared_data / "hh_rlhf", subsets=("harmless-base",))
    data = source.read(tokenizer, **options)
    assert data.counts["read"] == 1700
    assert data.counts["dropped_empty"] == 2
    assert data.counts["train"] + data.counts["validation"] > 1400
    assert sum(A in each.pair.chosen for each in data.train) < 20  # they part before the last turn
    for pair, chosen, _ in data.train:
        assert pair.prompt.startswith(H)
        assert pair.prompt.endswith(A)
        assert chosen[-1] == tokenizer.eos_token_id
        assert len(chosen) <= 512
    demo = FilePairs(path=str(shared_data / "preference_demo"))
    counts = demo.read(tokenizer, **(options | {"over_long": "truncate_prompt_left"})).counts
    assert counts["read"] == 220
    assert counts["test"] > 20
    assert counts["dropped_no_shared_prompt"] == 0
