"""Prompts with completions as tensors: which tokens are learned, and where texts end."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from tutelage.rows import padded

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from tutelage.data.completions import EncodedExample


class Row(NamedTuple):
    """A text, of which the tokens from `start` on are learned."""

    token_ids: list[int]
    start: int
    """At least 1: nothing predicts a first token."""
    is_ended: bool
    """Whether its last token ends it; else it was cut."""
    num_prompt: int
    """Tokens of the prompt."""
    num_words: int

    @property
    def num_learned(self) -> int:
        """Tokens that are learned."""
        return len(self.token_ids) - self.start

    def num_rewards(self, *, bootstrap: bool) -> int:
        """Tokens whose next state has a known value."""
        return self.num_learned - (not self.is_ended and not bootstrap)


def rows_of(
    examples: Sequence[EncodedExample], tokenizer: PreTrainedTokenizerBase, *, completion_only: bool
) -> list[Row]:
    """Examples as rows.

    Args:
        examples: Prompts with completions, as tokens.
        tokenizer: Theirs: says which words of a completion that was cut are left.
        completion_only: Learn the tokens of completions; else every token but the first.
    """
    found = []
    for each in examples:
        completion = each.example.completion
        if each.is_cut:
            completion = str(tokenizer.decode(each.completion_ids))
        found.append(
            Row(
                [*each.prompt_ids, *each.completion_ids],
                len(each.prompt_ids) if completion_only else 1,
                not each.is_cut,
                len(each.prompt_ids),
                len((each.example.prompt + completion).split()),
            )
        )
    return found


def fingerprint(rows: Sequence[Row]) -> str:
    """What tells some rows from others."""
    return hashlib.sha256(repr([row[:3] for row in rows]).encode()).hexdigest()


class Columns(NamedTuple):
    """Rows as tensors (batch, time); column t of the masks is about token t + 1, so has one less.

    Padding on the right changes nothing: no mask is true there, and nothing real sees it.
    """

    token_ids: Tensor
    learned: Tensor
    """True on tokens that are learned."""
    states: Tensor
    """True on states whose value is needed: those in which learned tokens were chosen, and to
    bootstrap from, the one after a text that was cut."""
    is_end: Tensor
    """True on tokens that end their text."""

    @classmethod
    def of(cls, rows: Sequence[Row], *, bootstrap: bool, device: torch.device) -> Columns:
        """The tensors of some rows; of none, those of a row of which nothing is learned."""
        if not rows:
            nothing = torch.zeros(1, 1, dtype=torch.bool, device=device)
            return cls(torch.zeros(1, 2, dtype=torch.long, device=device), *[nothing] * 3)
        # Whatever is put behind a text that was cut: only the state that would predict it counts.
        further = [bootstrap and not row.is_ended for row in rows]
        token_ids, _ = padded(
            [[*row.token_ids, *([0] * more)] for row, more in zip(rows, further, strict=True)],
            device=device,
        )
        column = torch.arange(token_ids.shape[1] - 1, device=device)
        starts = torch.tensor([row.start - 1 for row in rows], device=device)[:, None]
        ends = torch.tensor([len(row.token_ids) - 1 for row in rows], device=device)[:, None]
        more = torch.tensor(further, device=device)[:, None]
        is_ended = torch.tensor([row.is_ended for row in rows], device=device)[:, None]
        learned = (column >= starts) & (column < ends)
        states = learned | (more & (column == ends))
        return cls(token_ids, learned, states, is_ended & (column == ends - 1))
