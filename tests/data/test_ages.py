"""Texts with the step at which a student wrote them."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from data.tokenizers_of_prompts import byte_level
from tutelage.config import UserError
from tutelage.data.ages import Ages, AgeText

TOKENIZER = byte_level()
OPTIONS = {
    "max_tokens": 30,
    "over_long": "filter",
    "val_fraction": 0.1,
    "test_fraction": 0.2,
    "seed": 0,
    "add_eos": True,
}


def write(path: Path, *rows: object) -> Ages:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Ages(path=str(path))


def rows(steps=(1, 10, 1000), number=20) -> list[dict[str, object]]:
    return [
        {"text": f"{s} text {n}", "step": s, "prompt": ""} for s in steps for n in range(number)
    ]


def test_each_part_has_texts_of_every_step_in_the_same_proportions(tmp_path):
    """TND-4."""
    source = write(tmp_path / "a.jsonl", *rows())
    source.check()
    data = source.read(TOKENIZER, **OPTIONS)
    for part, number in zip(data[:3], (14, 2, 4), strict=True):
        assert Counter(each.text.step for each in part) == {1: number, 10: number, 1000: number}
    assert data.counts["read"] == sum(len(part) for part in data[:3]) == 60
    for text, token_ids in data.train:
        assert TOKENIZER.decode(token_ids) == f"{text.text}<|endoftext|>"
    assert len(list(source.texts())) == 60
    assert source.read(TOKENIZER, **OPTIONS) == data
    assert source.read(TOKENIZER, **(OPTIONS | {"seed": 1})).test != data.test


def test_the_same_text_of_a_step_is_in_one_part_only(tmp_path):
    """TND-4."""
    twins = [{"text": f"text {n % 10}", "step": step} for step in (1, 2) for n in range(40)]
    data = write(tmp_path / "a.jsonl", *twins).read(TOKENIZER, **OPTIONS)
    parts = [{each.text for each in part} for part in data[:3]]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 20


def test_what_is_left_out_or_cut_is_counted(tmp_path):
    """TND-4: blank texts, and those over 30 tokens with their end."""
    source = write(
        tmp_path / "a.jsonl", *rows(), {"text": " ", "step": 5}, {"text": "x" * 30, "step": 5}
    )
    counts = source.read(TOKENIZER, **OPTIONS).counts
    assert (counts["dropped_empty"], counts["dropped_long"], counts["cut"]) == (1, 1, 0)
    data = source.read(TOKENIZER, **(OPTIONS | {"over_long": "truncate_prompt_left"}))
    assert (data.counts["dropped_long"], data.counts["cut"]) == (0, 1)
    cut = [e for part in data[:3] for e in part if e.text == AgeText("x" * 30, 5)]
    assert TOKENIZER.decode(cut[0].token_ids) == "x" * 29 + "<|endoftext|>"


def test_steps_of_a_csv_file_are_numbers(tmp_path):
    """TND-4."""
    (tmp_path / "a.csv").write_text("step,text\n1,one\n1,uno\n2,two\n2,due\n")
    data = Ages(path=str(tmp_path / "a.csv")).read(
        TOKENIZER, **(OPTIONS | {"val_fraction": 0, "test_fraction": 0})
    )
    assert [each.text for each in data.train] == [("one", 1), ("uno", 1), ("two", 2), ("due", 2)]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"txt": "a", "step": 1}, "there is no column 'text'; the columns are 'txt', 'step'. Did "
         "you mean txt? A row is such as"),
        ({"text": "a"}, "there is no column 'step'; the columns are 'text'."),
        ({"text": None, "step": 1}, "column 'text' holds null, not text."),
        ({"text": "a", "step": 0}, "step is 0, but it must be a whole number from 1"),
        ({"text": "a", "step": 1.5}, "step is 1.5, but it must be a whole number from 1"),
        ({"text": "a", "step": True}, "step is True, but it must be a whole number from 1"),
        ({"text": "a", "step": "-3"}, "step is '-3', but it must be a whole number from 1"),
    ],
)  # fmt: skip
def test_a_bad_row_is_named_by_file_and_line(tmp_path, bad, message):
    """TND-4."""
    source = write(tmp_path / "a.jsonl", {"text": "a", "step": 2}, bad)
    with pytest.raises(UserError, match=re.escape(f"a.jsonl, line 2: {message}")):
        source.check()


def test_texts_that_teach_no_age_are_refused(tmp_path):
    """TND-4: one step only, or nothing short enough."""
    with pytest.raises(UserError, match="all its texts are of step 10, so there is no age"):
        write(tmp_path / "a.jsonl", *rows(steps=(10,))).check()
    source = write(tmp_path / "a.jsonl", *rows(), {"text": "", "step": 3})
    with pytest.raises(UserError, match="none of its 61 texts can be used: 60 longer than max_tok"):
        source.read(TOKENIZER, **(OPTIONS | {"max_tokens": 3}))
    long = [{"text": "x" * 40, "step": 3}, *rows(steps=(10,))]
    with pytest.raises(UserError, match="all its texts are of step 10"):
        write(tmp_path / "a.jsonl", *long).read(TOKENIZER, **OPTIONS)
    pair = write(tmp_path / "a.jsonl", *rows(number=1))
    with pytest.raises(UserError, match="so few different texts of each step that none is left"):
        pair.read(TOKENIZER, **OPTIONS)
