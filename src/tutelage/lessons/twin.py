"""The twin: a student that learns by imitation alone, on the same batches (TND-3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tutelage.batch import Batch

if TYPE_CHECKING:
    from tutelage.lessons.demonstration import Demonstration
    from tutelage.lessons.machine import Machine


class WithTwin:
    """Demonstrations that a twin learns from, too, right after the student.

    Args:
        demonstration: The lesson.
        twin: The other student, as the processes wrapped it.
        optimizer: The twin's.
        scheduler: The twin's.
        max_grad_norm: As the student's.
        machine: Processes and precision.
    """

    def __init__(
        self,
        demonstration: Demonstration,
        twin: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        scheduler: torch.optim.lr_scheduler.LRScheduler,
        *,
        max_grad_norm: float,
        machine: Machine,
    ):
        self.demonstration = demonstration
        self.name = demonstration.name
        self.twin = twin
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.max_grad_norm = max_grad_norm
        self.machine = machine

    def round(self, student: torch.nn.Module) -> Iterator[Batch]:
        """The lesson's batches."""
        for batch in self.demonstration.round(student):
            yield batch
            self.follow(batch)

    def follow(self, batch: Batch) -> None:
        """The twin's optimiser step on a batch."""
        self.twin.train()
        scale = self.machine.num_processes / batch.num_terms
        for microbatch in batch.microbatches:
            with torch.enable_grad(), self.machine.autocast():
                loss, _ = self.demonstration.loss(self.twin, microbatch)
            (loss * scale).backward()
        torch.nn.utils.clip_grad_norm_(self.twin.parameters(), self.max_grad_norm)
        self.optimizer.step()
        self.scheduler.step()
        self.optimizer.zero_grad(set_to_none=True)

    def loss(
        self, student: torch.nn.Module, microbatch: Any
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The lesson's."""
        return self.demonstration.loss(student, microbatch)

    def state_dict(self) -> dict[str, Any]:
        """The lesson's, and all of the twin."""
        return {
            "demonstration": self.demonstration.state_dict(),
            "twin": self.twin.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.demonstration.load_state_dict(state["demonstration"])
        self.twin.load_state_dict(state["twin"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
