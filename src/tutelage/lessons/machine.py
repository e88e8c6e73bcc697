"""What a lesson needs to know of the processes and devices that train together."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor


class Machine(Protocol):
    """Processes and precision, as `train.compute.Compute` has them."""

    device: torch.device
    precision: str

    @property
    def rank(self) -> int:
        """Number of this process."""
        ...

    @property
    def num_processes(self) -> int:
        """Processes that train one student together."""
        ...

    def autocast(self) -> AbstractContextManager[object]:
        """Inside, matrix products are computed in the run's precision."""
        ...

    def gathered(self, student: torch.nn.Module) -> AbstractContextManager[None]:
        """Inside, a sharded student's inner model can be called by itself."""
        ...

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        ...

    def collect(self, rows: list[Any]) -> list[Any]:
        """The rows of all processes, in their order."""
        ...


class Alone:
    """One process of a machine, working without the others."""

    rank = 0
    num_processes = 1

    def __init__(self, machine: Machine):
        self.machine = machine
        self.device = machine.device
        self.precision = machine.precision

    def autocast(self) -> AbstractContextManager[object]:
        """As the machine does."""
        return self.machine.autocast()

    def gathered(self, student: torch.nn.Module) -> AbstractContextManager[None]:
        """As it is."""
        return nullcontext()

    def sum(self, tensor: Tensor) -> Tensor:
        """Itself."""
        return tensor

    def collect(self, rows: list[Any]) -> list[Any]:
        """Themselves."""
        return rows


def largest(number: int, machine: Machine) -> int:
    """The largest of all processes' numbers."""
    every = torch.zeros(machine.num_processes, dtype=torch.long, device=machine.device)
    every[machine.rank] = number
    return int(machine.sum(every).max())
