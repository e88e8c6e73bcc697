"""Preference: learn to score the response that people preferred above the other.

Where a decoder-only trunk allows it, both texts of a pair are read as one row, and what they begin
with, their prompt, is read once; the scores are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tutelage.batch import Batch
from tutelage.config import UserError
from tutelage.data.packing import BlockOrder
from tutelage.lessons.texts import Texts, TokenTexts, at_once, shared_portions
from tutelage.models.joined import can_join, join, num_shared
from tutelage.models.reward_module import RewardModel
from tutelage.objectives.bradley_terry import centring, is_right, preference_nll

if TYPE_CHECKING:
    from tutelage.lessons.machine import Machine


class Preference:
    """Pairs in a seeded, endless order; both sides of a pair are read in one forward pass.

    Args:
        texts: What is read: pair i is made of text 2 i, the chosen, and 2 i + 1, the rejected.
        margins: By how much each pair's scores should differ at least, if that is known.
        num_words: Words of each text.
        num_tokens: Tokens of each text.
        batch_size: Pairs per optimiser step, over all processes.
        microbatch_tokens: Most places of texts in a forward pass, padding included.
        centring_coef: Weight of what keeps scores around 0.
        seed: Of the order.
        machine: Processes and devices.
        key: What tells these pairs from others when a run goes on.
    """

    name = "preference"

    def __init__(
        self,
        texts: Texts,
        *,
        margins: Sequence[float] | None,
        num_words: Sequence[int],
        num_tokens: Sequence[int],
        batch_size: int,
        microbatch_tokens: int | None,
        centring_coef: float,
        seed: int,
        machine: Machine,
        key: str,
    ):
        self.texts = texts
        self.margins = None if margins is None else torch.tensor(margins)
        self.num_words = num_words
        self.num_tokens = num_tokens
        self.num_pairs = len(texts.lengths) // 2
        self.order = BlockOrder(self.num_pairs, seed)
        self.batch_size = batch_size
        self.most_tokens = at_once(microbatch_tokens, machine.device)
        self.centring_coef = centring_coef
        self.machine = machine
        self.key = key
        self.position = 0  # pairs handed out since the beginning
        self.lengths: list[int] = []  # places of each pair's tensors
        self.joins = False

    def round(self, student: torch.nn.Module) -> Iterator[Batch]:
        """The next batch."""
        if not self.lengths:
            self._measure(student)
        pairs = self.order.indices(self.position, self.batch_size)
        rows = [row for pair in pairs for row in (2 * pair, 2 * pair + 1)]
        first, self.position = self.position, self.position + self.batch_size
        yield Batch(
            microbatches=shared_portions(self.lengths, pairs, self.machine, self.most_tokens),
            num_terms=self.batch_size,
            exposure={
                "read_words": sum(self.num_words[row] for row in rows),
                "read_tokens": sum(self.num_tokens[row] for row in rows),
            },
            name=f"pairs {first} to {self.position - 1} of the order",
        )

    def _measure(self, student: torch.nn.Module) -> None:
        """Find out how pairs can be read, and how long they are then."""
        lengths, pairs = self.texts.lengths, range(self.num_pairs)
        self.lengths = [2 * max(lengths[2 * i], lengths[2 * i + 1]) for i in pairs]
        model = getattr(student, "module", student)  # inside DDP
        if isinstance(self.texts, TokenTexts) and isinstance(model, RewardModel):
            rows = self.texts.rows
            both = ((rows[2 * i], rows[2 * i + 1]) for i in pairs)
            joined = [len(a) + len(b) - num_shared(a, b) for a, b in both]
            self.joins = can_join(model, max(joined))
            self.lengths = joined if self.joins else self.lengths

    def loss(
        self, student: torch.nn.Module, microbatch: Sequence[int]
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The summed negative log-likelihood of some pairs' preferences, in nats."""
        pairs = microbatch or [0]  # a process without work goes along, for the others' sake
        chosen, rejected = self._scores(student, pairs).chunk(2)
        margin = None
        if self.margins is not None:
            margin = self.margins[list(pairs)].to(chosen.device)
        losses = preference_nll(chosen, rejected, margin=margin)
        if self.centring_coef:
            losses = losses + self.centring_coef * centring(chosen, rejected)
        counts = float(bool(microbatch))
        sums = {
            "accuracy": is_right(chosen, rejected),
            "margin": chosen - rejected,
            "score": (chosen + rejected) / 2,
        }
        return counts * losses.sum(), {
            name: counts * values.detach().sum() for name, values in sums.items()
        }

    def _scores(self, student: torch.nn.Module, pairs: Sequence[int]) -> Tensor:
        """Scores of the chosen texts of some pairs, and behind them those of the rejected."""
        device = self.machine.device
        if self.joins and isinstance(self.texts, TokenTexts):
            rows = self.texts.rows
            token_ids, owners = join([(rows[2 * i], rows[2 * i + 1]) for i in pairs], device)
            return student(token_ids, owners=owners)
        both = [2 * pair for pair in pairs] + [2 * pair + 1 for pair in pairs]
        return student(*self.texts.inputs(both, device))

    def state_dict(self) -> dict[str, Any]:
        """The position in the order, and whose order it is."""
        return {"position": self.position, "key": self.key}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on at a saved position."""
        refuse_other_texts(state["key"], self.key)
        self.position = state["position"]


def refuse_other_texts(saved: str, present: str) -> None:
    """Raise if a run would go on with other texts than it began with."""
    if saved != present:
        raise UserError(
            "The texts (or their tokenizer) changed since this run began, so it cannot go on. "
            "Put the old ones back, or start a new run with --model.path on a checkpoint."
        )
