"""Prompts: what a student is given to continue, as text, tokens and further columns.

The token ids are what counts: the student is given them as they are. The text is for people and
rewards; of a prompt that was cut out of a document, it is what its tokens decode to, and encoding
that text anew may give other tokens where the cut fell inside a word.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tutelage.config import UserError

if TYPE_CHECKING:
    import pyarrow as pa


class Prompt(NamedTuple):
    """One prompt; `columns` are the other fields of its row, such as the answer to a question."""

    text: str
    token_ids: list[int]
    columns: dict[str, Any]


class Prompts(Sequence[Prompt]):
    """Prompts in order, read from memory-mapped tables one at a time.

    A table has a row for each prompt: `input_ids`, `query`, `num_tokens`, `num_words`, `columns`
    (a JSON object), and where it came from: `source`, an index into `sources`, and `place` in it.
    """

    def __init__(self, table: pa.Table, sources: Sequence[str]) -> None:
        self.table = table
        self.sources = list(sources)

    def __len__(self) -> int:
        return self.table.num_rows

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        row = range(len(self))[index]
        return Prompt(
            self._value("query", row),
            self._value("input_ids", row),
            json.loads(self._value("columns", row)),
        )

    def __iter__(self) -> Iterator[Prompt]:
        return (self[index] for index in range(len(self)))

    @property
    def num_tokens(self) -> int:
        """Tokens of all prompts together."""
        return int(self.table["num_tokens"].to_numpy().sum())

    @property
    def num_words(self) -> int:
        """Words of all prompts together, split at white space."""
        return int(self.table["num_words"].to_numpy().sum())

    def where(self, index: int) -> str:
        """Where a prompt came from: `questions.jsonl, line 17`."""
        return f"{self.sources[self._value('source', index)]} {self._value('place', index)}"

    def _value(self, name: str, row: int) -> Any:
        return self.table[name][row].as_py()


def joined(parts: Sequence[Prompts]) -> Prompts:
    """Prompts of several sources, one source after another."""
    import pyarrow as pa

    tables, sources = [], []
    for part in parts:
        shifted = pa.array(part.table["source"].to_numpy() + len(sources), pa.int32())
        place = part.table.schema.get_field_index("source")
        tables.append(part.table.set_column(place, "source", shifted))
        sources += part.sources
    return Prompts(pa.concat_tables(tables), sources)


def columns_of(prompts: Sequence[Prompt]) -> dict[str, list[Any]]:
    """The further columns of a batch, as rewards take them; None where a prompt has none."""
    names = dict.fromkeys(name for prompt in prompts for name in prompt.columns)
    return {name: [prompt.columns.get(name) for prompt in prompts] for name in names}


def refuse_long_prompts(prompts: Prompts, context: int, max_tokens: int) -> None:
    """Raise if a prompt and a response of `max_tokens` are more than the student reads.

    Args:
        prompts: All prompts of a run.
        context: Most tokens that the student reads.
        max_tokens: Most tokens of a response.
    """
    lengths = prompts.table["num_tokens"].to_pylist()
    index = next((i for i, n in enumerate(lengths) if n + max_tokens > context), None)
    if index is None:
        return
    room = context - max_tokens
    too_long = sum(length > room for length in lengths)
    others = "" if too_long == 1 else f"; so are {too_long - 1} others"
    if room < 1:
        advice = f"Ask for responses of at most {context - max(lengths)} tokens."
        advice = advice if max(lengths) < context else "Use a student that reads more."
    else:
        advice = (
            f"Make prompts shorter (query_max_length at most {room}), ask for shorter responses, "
            "or use a student that reads more."
        )
    raise UserError(
        f"The prompt of {prompts.where(index)} has {lengths[index]} tokens; with a response of "
        f"{max_tokens} that is more than the {context} tokens that the student reads{others}. "
        f"{advice}"
    )
