"""Files and folders of examples, their validation sets, and GSM8K."""

import csv
import json
import re
from pathlib import Path

import datasets
import pytest
from transformers import AutoTokenizer

from data.test_completion_rows import CHAT
from data.tokenizers_of_prompts import END, byte_level
from tutelage.config import UserError
from tutelage.data import completion_sources
from tutelage.data.completion_sources import FileExamples, Gsm8kExamples
from tutelage.data.lengths import Lengths

ROWS = [{"prompt": f"p{n}:", "completion": f" c{n}", "answer": f"c{n}"} for n in range(6)]
PROBLEMS = [
    {"question": f"Tom has {n} pens and buys 2. How many has he?", "answer": f"{n}+2 = <<{n}+2="
     f"{n + 2}>>{n + 2}.\n#### {n + 2}"} for n in range(5)
]  # fmt: skip


def write(path: Path, *rows: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(source, *, tokenizer=None, val_fraction=0.0, **lengths):
    source.check()
    limits = Lengths(**lengths)
    tokenizer = tokenizer or byte_level()
    return source.read(tokenizer, lengths=limits, val_fraction=val_fraction, seed=0)


def prompts(part) -> list[str]:
    return [each.example.prompt for each in part]


def test_csv_parquet_and_arrow_say_the_same(tmp_path):
    """IRL-1."""
    with (tmp_path / "p.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(ROWS[0]))
        writer.writeheader()
        writer.writerows(ROWS)
    table = datasets.Dataset.from_list(ROWS)
    table.to_parquet(tmp_path / "p.parquet")
    table.save_to_disk(tmp_path / "saved")
    for name in ("p.csv", "p.parquet", "saved"):
        data = read(FileExamples(path=str(tmp_path / name)))
        found = [each.example[:3] for each in data.train]
        assert found == [tuple(row.values()) for row in ROWS], name
        assert data.answers == "exact"


@pytest.mark.parametrize(
    ("names", "held"),
    [
        (("train", "validation"), 1),
        (("train", "val"), 1),
        (("train", "dev-00000-of-00001"), 1),
        (("train", "test"), 1),
        (("train", "test", "valid"), 2),  # the test set stays unused
        (("testimony", "validity"), None),
        (("test",), None),
    ],
)
def test_the_validation_set_is_a_file_of_the_folder(tmp_path, names, held):
    """IRL-1: one named validation…, or else test…; neither is trained on."""
    for number, name in enumerate(names):
        write(tmp_path / "all" / f"{name}.jsonl", *ROWS[2 * number : 2 * number + 2])
    data = read(FileExamples(path=str(tmp_path / "all")))
    if held is None:
        assert (len(data.train), data.validation) == (2 * len(names), [])
    else:
        assert prompts(data.train) == ["p0:", "p1:"]
        assert prompts(data.validation) == [f"p{2 * held}:", f"p{2 * held + 1}:"]


def test_the_validation_set_can_be_named(tmp_path):
    """IRL-1: then no part of the training file is held out."""
    held = write(tmp_path / "held.jsonl", *ROWS[4:])
    file = write(tmp_path / "some.jsonl", *ROWS[:4])
    source = FileExamples(path=str(file), validation_path=str(held))
    data = read(source, val_fraction=0.5)
    assert (len(data.train), prompts(data.validation)) == (4, ["p4:", "p5:"])
    assert list(source.texts())[:3] == ["p0:", " c0", "p1:"]
    assert len(list(source.texts())) == 8
    before = source.fingerprint()
    write(held, *ROWS[3:])
    assert source.fingerprint() != before


def test_templates_decide_prompts_and_the_fingerprint(tmp_path):
    """IRL-1."""
    file = str(write(tmp_path / "p.jsonl", {"a": "one", "b": "two", "key": 3}))
    source = FileExamples(
        path=file,
        prompt_template=r"{{ a }}\n:",
        completion_template=" {{ b }}",
        answer_column="key",
    )
    data = read(source)
    assert data.train[0].example[:3] == ("one\n:", " two", "3")
    assert data.answers == "exact"
    other = source.model_copy(update={"completion_template": "{{ b }}"})
    assert other.fingerprint() != source.fingerprint()
    unchecked = read(source.model_copy(update={"answers": "none"}))
    assert (unchecked.answers, unchecked.train[0].example.answer) == ("none", None)


def test_dialogues_are_written_by_the_tokenizers_template_with_one_end_token(tmp_path):
    """IRL-1: special tokens that the template spells out are special tokens."""
    tokenizer = byte_level()
    tokenizer.chat_template = CHAT
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]
    file = write(tmp_path / "p.jsonl", {"messages": turns})
    (found,) = read(FileExamples(path=str(file)), tokenizer=tokenizer).train
    assert tokenizer.decode(found.completion_ids) == f"yes{END}"
    assert found.completion_ids.count(tokenizer.eos_token_id) == 1
    assert found.prompt_ids.count(tokenizer.eos_token_id) == 1
    assert tokenizer.decode(found.prompt_ids) == f"<user>hi{END}\n<assistant>"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt_template": "{{ promt }}"}, "line 1: prompt_template names 'promt', but the row's "
         "fields are 'prompt', 'completion', 'answer'. Did you mean prompt?"),
        ({"completion_template": "{{ "}, "completion_template is not a Jinja template"),
        ({"answer_column": "key"}, "line 1: answer_column is 'key', but the columns are 'prompt'"),
        ({"validation_path": "none.jsonl"}, "none.jsonl does not exist"),
        ({"validation_path": "a", "validation_split": "b"}, "both validation_path and validat"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_by_the_check(tmp_path, options, message):
    """X-1: before anything heavy."""
    file = write(tmp_path / "p.jsonl", *ROWS)
    with pytest.raises(UserError, match=re.escape(message)):
        FileExamples(path=str(file), **options).check()


def test_a_bad_row_is_named_by_file_and_line(tmp_path):
    """X-1: in the validation set too."""
    write(tmp_path / "train.jsonl", *ROWS)
    held = write(tmp_path / "test.jsonl", ROWS[0], {"prompt": "p", "completion": None})
    with pytest.raises(
        UserError, match=re.escape(f"{held}, line 2: column 'completion' holds nul")
    ):
        FileExamples(path=str(tmp_path)).check()
    with pytest.raises(UserError, match=r"owner/name .split train. cannot be loaded"):
        read(FileExamples(path="owner/name"))


def test_gsm8k_has_questions_solutions_and_a_test_set(tmp_path):
    """IRL-1: the template, the end token, and checkable answers."""
    write(tmp_path / "train.jsonl", *PROBLEMS[:3])
    write(tmp_path / "test.jsonl", *PROBLEMS[2:])
    source = Gsm8kExamples(path=tmp_path)
    data = read(source)
    tokenizer = byte_level()
    first = data.train[0]
    assert tokenizer.decode(first.prompt_ids) == (
        "QUESTION: Tom has 0 pens and buys 2. How many has he?\n\nSOLUTION:"
    )
    assert tokenizer.decode(first.completion_ids) == f" 0+2 = <<0+2=2>>2.\n#### 2{END}"
    assert first.example.answer == PROBLEMS[0]["answer"]
    assert [len(part) for part in data[:2]] == [2, 3]
    assert (data.counts["dropped_in_validation"], data.answers) == (1, "gsm8k")
    assert len(list(source.texts())) == 6
    before = source.fingerprint()
    write(tmp_path / "test.jsonl", *PROBLEMS[3:])
    assert source.fingerprint() != before


def test_a_question_is_cut_inside_its_template(tmp_path):
    """IRL-1: SOLUTION: stays."""
    file = write(tmp_path / "p.jsonl", *PROBLEMS)
    data = read(Gsm8kExamples(path=file), max_tokens=60, long_prompts="cut_tokens")
    assert data.counts["cut_prompts"] == 5
    for each in data.train:
        assert len(each.prompt_ids) + len(each.completion_ids) == 60
        assert re.fullmatch(r"QUESTION: Tom has.*\n\nSOLUTION:", each.example.prompt)


def test_gsm8k_refuses_other_rows_and_answers(tmp_path):
    """X-1."""
    with pytest.raises(
        UserError, match="the prompt names 'question', but the row's fields are 'ans"
    ):
        Gsm8kExamples(path=write(tmp_path / "p.jsonl", {"answer": "4"})).check()
    file = write(tmp_path / "q.jsonl", {"question": "q", "answer": "four"})
    with pytest.raises(
        UserError, match="line 1: answers is gsm8k, but the answer 'four' is neither"
    ):
        read(Gsm8kExamples(path=file))


def test_without_a_path_gsm8k_comes_from_the_hub(monkeypatch, tmp_path):
    """IRL-1: its main configuration, train and test; nothing is fetched by a check."""
    asked = []

    def hub_files(name, split, **more):
        asked.append((name, split, more))
        return (
            write(tmp_path / f"{split}.jsonl", *PROBLEMS[:3] if split == "train" else PROBLEMS[3:]),
        )

    monkeypatch.setattr(completion_sources, "hub_files", hub_files)
    source = Gsm8kExamples()
    source.check()
    assert not asked
    assert [len(part) for part in read(source)[:2]] == [3, 2]
    config = {"config": "main"}
    assert asked == [("openai/gsm8k", "train", config), ("openai/gsm8k", "test", config)]


def test_real_problems_of_gsm8k_are_all_accounted_for(shared_data):
    """IRL-1: with GPT-2's tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(shared_data / "tokenizers" / "gpt2")
    data = read(Gsm8kExamples(path=shared_data / "gsm8k"), tokenizer=tokenizer, max_tokens=256)
    counts = data.counts
    assert (counts["read"], data.answers) == (7773, "gsm8k")
    assert counts["train"] + counts["validation"] + counts["dropped_long"] == 7773
    assert counts["train"] > 6900
    for example, prompt_ids, completion_ids, is_cut in data.validation:
        assert len(prompt_ids) + len(completion_ids) <= 256
        text = tokenizer.decode([*prompt_ids, *completion_ids])
        assert text == example.prompt + example.completion + END
        assert not is_cut
