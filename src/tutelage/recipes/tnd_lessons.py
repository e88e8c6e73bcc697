"""What a student of `tutelage tnd` learns from, gathered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tutelage.train.curriculum import TRIAL

if TYPE_CHECKING:
    import torch

    from tutelage.lessons.echo import Echo
    from tutelage.lessons.exchange import Exchange
    from tutelage.lessons.trial import Trial
    from tutelage.models.student import Student

ECHO = "echo"


class Twin(NamedTuple):
    """A student that imitates only, with its optimiser."""

    student: Student
    placed: torch.nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler


class Lessons(NamedTuple):
    """What the student learns from; those that the curriculum never has are none."""

    demonstration: Any
    trial: Trial | None
    echo: Echo | None
    exchange: Exchange | None

    def steps_of(self, name: str) -> int:
        """Optimiser steps of a lesson's round."""
        lesson = {TRIAL: self.trial, ECHO: self.echo}.get(name)
        return 1 if lesson is None else lesson.steps_per_round
