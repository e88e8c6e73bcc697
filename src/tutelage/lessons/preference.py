"""Preference: learn to score the response that people preferred above the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tutelage.batch import Batch
from tutelage.config import UserError
from tutelage.data.packing import BlockOrder
from tutelage.lessons.texts import Texts, shared_portions
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
        pairs = range(self.num_pairs)
        self.lengths = [max(texts.lengths[2 * i], texts.lengths[2 * i + 1]) for i in pairs]
        self.order = BlockOrder(self.num_pairs, seed)
        self.batch_size = batch_size
        self.most_tokens = None if microbatch_tokens is None else microbatch_tokens // 2
        self.centring_coef = centring_coef
        self.machine = machine
        self.key = key
        self.position = 0  # pairs handed out since the beginning

    def round(self, student: torch.nn.Module) -> Iterator[Batch]:
        """The next batch."""
        pairs = self.order.indices(self.position, self.batch_size)
        rows = [row for pair in pairs for row in (2 * pair, 2 * pair + 1)]
        yield Batch(
            microbatches=shared_portions(self.lengths, pairs, self.machine, self.most_tokens),
            num_terms=self.batch_size,
            exposure={
                "read_words": sum(self.num_words[row] for row in rows),
                "read_tokens": sum(self.num_tokens[row] for row in rows),
            },
            name=f"pairs {self.position} to {self.position + self.batch_size - 1} of the order",
        )
        self.position += self.batch_size

    def loss(
        self, student: torch.nn.Module, microbatch: Sequence[int]
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The summed negative log-likelihood of some pairs' preferences, in nats."""
        pairs = microbatch or [0]  # a process without work goes along, for the others' sake
        rows = [2 * pair for pair in pairs] + [2 * pair + 1 for pair in pairs]
        inputs, mask = self.texts.inputs(rows, self.machine.device)
        chosen, rejected = student(inputs, mask).chunk(2)
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
