"""Rows of preference files: which columns say what, in each of the formats that are common.

TRL's formats (plain, conversational, with and without a column for the prompt), LLaMA-Factory's
(conversations, chosen, rejected), and that of SHP (Ethayarajh et al., 2022,
https://arxiv.org/abs/2110.08420): history, human_ref_A, human_ref_B, labels or scores.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from tutelage.config import UserError, nearest
from tutelage.data.dialogues import (
    ASSISTANT,
    Sides,
    split_marked,
    split_messages,
    split_plain,
)
from tutelage.data.messages import Message, not_text, refuse_half_characters, text_or_messages

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

EXAMPLE = '{"prompt": "Say hello.", "chosen": " Hello!", "rejected": " No."}'
PAIR = ("chosen", "rejected")
SHP = ("history", "human_ref_A", "human_ref_B")


class PairRow(NamedTuple):
    """A row before it is known how a tokenizer writes dialogues.

    A prompt of None: the two sides are whole, and begin with it.
    """

    prompt: str | list[Message] | None
    chosen: str | list[Message]
    rejected: str | list[Message]
    subset: str
    margin: float | None
    where: str

    def sides(self, tokenizer: PreTrainedTokenizerBase | None) -> Sides | None:
        """Prompt and responses as text; None if the two sides share no prompt."""
        try:
            return _sides(self, tokenizer)
        except UserError as error:
            raise UserError(f"{self.where}: {error}") from None


def pair_rows(rows: Iterable[tuple[str, Mapping[str, Any]]]) -> Iterator[PairRow]:
    """Each row, after a look at its columns; the rows come with the place where they stand."""
    for where, row in rows:
        is_shp = all(name in row for name in SHP)
        try:
            prompt, chosen, rejected = _shp(row) if is_shp else _columns(row)
            subset, margin = _subset(row), _margin(row)
            for side in (prompt, chosen, rejected, subset):
                refuse_half_characters(side)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        yield PairRow(prompt, chosen, rejected, subset, margin, where)


def _sides(row: PairRow, tokenizer: PreTrainedTokenizerBase | None) -> Sides | None:
    prompt, chosen, rejected = row.prompt, row.chosen, row.rejected
    if isinstance(chosen, str):
        assert isinstance(rejected, str)
        if isinstance(prompt, str):
            return Sides(prompt, chosen, rejected)
        if ASSISTANT in chosen or ASSISTANT in rejected:
            return split_marked(chosen, rejected)
        return split_plain(chosen, rejected)
    assert isinstance(rejected, list)
    assert not isinstance(prompt, str)
    return split_messages([*(prompt or ()), *chosen], [*(prompt or ()), *rejected], tokenizer)


def _columns(row: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """Prompt and two sides, all of them text or all of them messages."""
    for name in PAIR:
        if name not in row:
            raise _no_such_column(name, row)
    chosen, rejected = (text_or_messages(row[name], name) for name in PAIR)
    if isinstance(chosen, str) != isinstance(rejected, str):
        raise UserError("of chosen and rejected, one is text and one holds messages.")
    name = "conversations" if "conversations" in row and "prompt" not in row else "prompt"
    if row.get(name) is None:
        return None, chosen, rejected
    prompt = text_or_messages(row[name], name)
    if isinstance(chosen, str):
        if not isinstance(prompt, str):
            raise UserError(f"{name} holds messages, but chosen and rejected are text.")
        return prompt, chosen, rejected
    if chosen[0].role != "assistant":  # whole dialogues, which begin with the prompt
        return None, chosen, rejected
    messages = [Message("user", prompt)] if isinstance(prompt, str) else prompt
    return messages, chosen, rejected


def _shp(row: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """A post as the user's message, and two comments as the assistant's."""
    texts = [row[name] for name in SHP]
    for name, text in zip(SHP, texts, strict=True):
        if not isinstance(text, str):
            raise not_text(name, text)
    prompt, one, other = (
        [Message(role, text)]
        for role, text in zip(("user", "assistant", "assistant"), texts, strict=True)
    )
    return (prompt, one, other) if _is_first_better(row) else (prompt, other, one)


def _is_first_better(row: Mapping[str, Any]) -> bool:
    if "labels" in row:
        if row["labels"] not in (0, 1, "0", "1"):
            raise UserError(
                f"labels is {row['labels']!r}, but it must be 1 (human_ref_A is better) or 0 "
                "(human_ref_B is better)."
            )
        return int(row["labels"]) == 1
    if "score_A" not in row or "score_B" not in row:
        raise _no_such_column("labels", row)
    one, other = (_number(row[name], name) for name in ("score_A", "score_B"))
    if one == other:
        raise UserError(
            f"score_A and score_B are both {one:g}, so neither is better. Take the row out."
        )
    return one > other


def _subset(row: Mapping[str, Any]) -> str:
    subset = row.get("subset")
    if not isinstance(subset, str | None):
        raise UserError(f"subset is {subset!r}, but it must be text.")
    return subset or ""


def _margin(row: Mapping[str, Any]) -> float | None:
    margin = row.get("margin")
    return None if margin in (None, "") else _number(margin, "margin")


def _number(value: Any, name: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{name} is {value!r}, but it must be a number.")
    return number


def _no_such_column(name: str, row: Mapping[str, Any]) -> UserError:
    columns = ", ".join(map(repr, row)) or "none"
    advice = nearest(name, row)
    return UserError(
        f"there is no column {name!r}; the columns are {columns}.{advice} A row of preferences has "
        "chosen and rejected, and mostly prompt; or history, human_ref_A, human_ref_B and labels."
    )
