"""What a student of `tutelage tnd` learns from, gathered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tutelage.train.curriculum import DEMONSTRATION, TRIAL
from tutelage.train.loop import Learner

if TYPE_CHECKING:
    import torch

    from tutelage.lessons.echo import Echo
    from tutelage.lessons.exchange import Exchange
    from tutelage.lessons.trial import Trial
    from tutelage.models.student import Student
    from tutelage.recipes.tnd import Tnd
    from tutelage.train.compute import Compute

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


def learners_of(
    config: Tnd, lessons: Lessons, placed: torch.nn.Module, twin: Twin | None, compute: Compute
) -> dict[str, Learner]:
    """Each lesson with the optimiser that belongs to it.

    Schedules count steps of the curriculum: at equal steps all arms have the same learning rates,
    however many updates they have made.
    """
    from tutelage.lessons.twin import WithTwin

    demonstration, trial, echo, _ = lessons
    names = config.names()

    def at(*learned: str) -> list[int]:
        """In which step each update of these lessons is made."""
        return [
            number
            for number in range(config.steps)
            for name in names(number)
            if name in learned
            for _ in range(lessons.steps_of(name))
        ]

    optim, own = config.optim, config.interaction_optim
    built = optim.build(
        placed, total_steps=config.steps, at=at(DEMONSTRATION, ECHO), without="value_head"
    )
    imitation = (*built, optim.max_grad_norm)
    lesson: Any = demonstration
    if twin is not None:
        lesson = WithTwin(
            demonstration,
            twin.placed,
            twin.optimizer,
            twin.scheduler,
            max_grad_norm=optim.max_grad_norm,
            machine=compute,
        )
    learners = {DEMONSTRATION: Learner(lesson, *imitation)}
    if trial is not None:
        built = own.build(placed, total_steps=config.steps, at=at(TRIAL))
        learners[TRIAL] = Learner(trial, *built, own.max_grad_norm)
    if echo is not None:
        learners[ECHO] = Learner(echo, *imitation)
    return learners
