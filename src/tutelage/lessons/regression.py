"""Regression: learn to predict a number of each text, such as the age of its writer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tutelage.batch import Batch
from tutelage.data.packing import BlockOrder
from tutelage.lessons.preference import refuse_other_texts
from tutelage.lessons.texts import Texts, shared_portions
from tutelage.objectives.regression import squared_error

if TYPE_CHECKING:
    from tutelage.lessons.machine import Machine


class Regression:
    """Texts in a seeded, endless order, each with its number.

    Args:
        texts: What is read.
        targets: The number of each text.
        spread: Standard deviation of the numbers: losses are taken in this unit.
        num_words: Words of each text.
        num_tokens: Tokens of each text.
        batch_size: Texts per optimiser step, over all processes.
        microbatch_tokens: Most places of texts in a forward pass, padding included.
        seed: Of the order.
        machine: Processes and devices.
        key: What tells these texts from others when a run goes on.
    """

    name = "regression"

    def __init__(
        self,
        texts: Texts,
        *,
        targets: Sequence[float],
        spread: float,
        num_words: Sequence[int],
        num_tokens: Sequence[int],
        batch_size: int,
        microbatch_tokens: int | None,
        seed: int,
        machine: Machine,
        key: str,
    ):
        self.texts = texts
        self.targets = torch.tensor(targets)
        self.spread = spread
        self.num_words = num_words
        self.num_tokens = num_tokens
        self.order = BlockOrder(len(texts.lengths), seed)
        self.batch_size = batch_size
        self.microbatch_tokens = microbatch_tokens
        self.machine = machine
        self.key = key
        self.position = 0  # texts handed out since the beginning

    def round(self, student: torch.nn.Module) -> Iterator[Batch]:
        """The next batch."""
        rows = self.order.indices(self.position, self.batch_size)
        first, self.position = self.position, self.position + self.batch_size
        yield Batch(
            microbatches=shared_portions(
                self.texts.lengths, rows, self.machine, self.microbatch_tokens
            ),
            num_terms=self.batch_size,
            exposure={
                "read_words": sum(self.num_words[row] for row in rows),
                "read_tokens": sum(self.num_tokens[row] for row in rows),
            },
            name=f"texts {first} to {self.position - 1} of the order",
        )

    def loss(
        self, student: torch.nn.Module, microbatch: Sequence[int]
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The summed squared error of some texts, in squares of the spread."""
        rows = microbatch or [0]  # a process without work goes along, for the others' sake
        inputs, mask = self.texts.inputs(rows, self.machine.device)
        predicted = student(inputs, mask)
        errors = squared_error(predicted, self.targets[list(rows)].to(predicted.device))
        counts = float(bool(microbatch))
        sums = {"squared_error": errors, "prediction": predicted}
        return counts * errors.sum() / self.spread**2, {
            name: counts * values.detach().sum() for name, values in sums.items()
        }

    def state_dict(self) -> dict[str, Any]:
        """The position in the order, and whose order it is."""
        return {"position": self.position, "key": self.key}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on at a saved position."""
        refuse_other_texts(state["key"], self.key)
        self.position = state["position"]
