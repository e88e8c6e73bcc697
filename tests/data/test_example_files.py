"""Prepared examples are written as Parquet, and read back as they were."""

import statistics

from pyarrow import parquet

from data.tokenizers_of_prompts import byte_level
from tutelage.data.completion_sources import FileExamples
from tutelage.data.completions import read_examples
from tutelage.data.drafts import plain
from tutelage.data.example_files import lengths_of, save_examples
from tutelage.data.lengths import Lengths

LENGTHS = Lengths(max_tokens=30, long_prompts="cut_tokens", long_completions="cut",
                  max_prompt_tokens=12)  # fmt: skip


def made(val_fraction: float = 0.2):
    drafts = [plain(f"p{n}" + "x" * n, f" yes {'y' * n}", str(n), "w") for n in range(25)]
    how = {"lengths": LENGTHS, "val_fraction": val_fraction, "seed": 0}
    return read_examples("the file", drafts, None, byte_level(), **how)


def test_what_is_written_is_read_back_the_same(tmp_path):
    """IRL-1: cut prompts and completions too."""
    data = made()
    assert data.counts["cut_prompts"]
    assert data.counts["cut_completions"]
    assert save_examples(data, tmp_path) == ["train", "validation"]
    source = FileExamples(path=str(tmp_path))
    again = source.read(byte_level(), lengths=LENGTHS, val_fraction=0.5, seed=3)
    for part, other in zip(data[:2], again[:2], strict=True):
        assert [each[1:] for each in part] == [each[1:] for each in other]
        assert [each.example[:3] for each in part] == [each.example[:3] for each in other]


def test_each_row_has_texts_tokens_and_numbers(tmp_path):
    """IRL-1."""
    data = made()
    save_examples(data, tmp_path)
    rows = parquet.read_table(tmp_path / "train.parquet").to_pylist()
    assert len(rows) == len(data.train)
    for row, (example, prompt_ids, completion_ids, is_cut) in zip(rows, data.train, strict=True):
        assert row == {
            "prompt": example.prompt,
            "completion": example.completion,
            "answer": example.answer,
            "prompt_ids": prompt_ids,
            "completion_ids": completion_ids,
            "num_prompt_tokens": len(prompt_ids),
            "num_completion_tokens": len(completion_ids),
            "is_cut": is_cut,
        }


def test_a_part_without_examples_is_not_written(tmp_path):
    """IRL-1."""
    data = made(val_fraction=0)
    assert save_examples(data, tmp_path) == ["train"]
    assert [file.name for file in tmp_path.iterdir()] == ["train.parquet"]
    assert {each.part for each in lengths_of(data)} == {"train"}


def test_lengths_are_those_of_the_tokens():
    """IRL-1: against Python's own statistics."""
    data = made()
    by_name = {(each.part, each.what): each for each in lengths_of(data)}
    assert len(by_name) == 6
    prompts = [len(each.prompt_ids) for each in data.train]
    found = by_name["train", "prompt"]
    assert (found.longest, found.median) == (max(prompts), statistics.median(prompts))
    assert found.mean == statistics.fmean(prompts)
    assert found.most == statistics.quantiles(prompts, n=20, method="inclusive")[-1]
    both = by_name["validation", "both"]
    assert both.longest == max(len(e.prompt_ids) + len(e.completion_ids) for e in data.validation)
