"""Prepared examples as Parquet files, and how long they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tutelage.data.completions import EncodedExample, ExampleData

PARTS = ("train", "validation")


class Length(NamedTuple):
    """How long one thing is, in tokens, over a part of the examples."""

    part: str
    what: str
    mean: float
    median: float
    most: float
    """Of 95 in a hundred."""
    longest: int


def save_examples(data: ExampleData, folder: Path) -> list[str]:
    """Write each part that holds examples; returns the parts' names.

    Kind `file` reads the folder back as the same examples, with the same tokenizer and lengths and
    long_prompts drop: the prompts have been cut.
    """
    import pyarrow as pa
    from pyarrow import parquet

    ids = pa.list_(pa.int32())
    schema = pa.schema(
        [
            ("prompt", pa.string()),
            ("completion", pa.string()),
            ("answer", pa.string()),
            ("prompt_ids", ids),
            ("completion_ids", ids),
            ("num_prompt_tokens", pa.int32()),
            ("num_completion_tokens", pa.int32()),
            ("is_cut", pa.bool_()),
        ]
    )
    written = []
    for part in PARTS:
        examples: list[EncodedExample] = getattr(data, part)
        if examples:
            table = pa.Table.from_pylist([_row(each) for each in examples], schema=schema)
            parquet.write_table(table, folder / f"{part}.parquet")
            written.append(part)
    return written


def lengths_of(data: ExampleData) -> list[Length]:
    """How long prompts, completions and both together are in each part, in tokens."""
    found = []
    for part in PARTS:
        examples: list[EncodedExample] = getattr(data, part)
        prompts = [len(each.prompt_ids) for each in examples]
        completions = [len(each.completion_ids) for each in examples]
        both = [sum(pair) for pair in zip(prompts, completions, strict=True)]
        for what, numbers in (("prompt", prompts), ("completion", completions), ("both", both)):
            if numbers:
                found.append(_length(part, what, numbers))
    return found


def _length(part: str, what: str, numbers: Sequence[int]) -> Length:
    import numpy as np

    median, most = np.percentile(numbers, [50, 95]).tolist()
    return Length(part, what, sum(numbers) / len(numbers), median, most, max(numbers))


def _row(each: EncodedExample) -> dict[str, object]:
    return {
        "prompt": each.example.prompt,
        "completion": each.example.completion,
        "answer": each.example.answer,
        "prompt_ids": each.prompt_ids,
        "completion_ids": each.completion_ids,
        "num_prompt_tokens": len(each.prompt_ids),
        "num_completion_tokens": len(each.completion_ids),
        "is_cut": each.is_cut,
    }
