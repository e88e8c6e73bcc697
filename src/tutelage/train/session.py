"""A session: one process's (or launch's) work on a run, with everything that surrounds the loop.

The visible list of hooks is in `Session.train`: log, sample and evaluate, save milestones, save
resume points, stop.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import PositiveFloat, PositiveInt

from tutelage.config import Config
from tutelage.rewards.protocol import RewardError
from tutelage.run_folder import RunFolder, disk_is_full
from tutelage.spreadsheets import write_spreadsheets
from tutelage.train.budget import Budget, Limit
from tutelage.train.checkpoint import Hub, push, save_checkpoint
from tutelage.train.loop import Curriculum, DivergedError, Hook, Learner, Progress, Stop, train
from tutelage.train.milestones import Due, Milestones, Position, milestone_name
from tutelage.train.resume import ResumePoints, newest_point
from tutelage.train.series import tell_series
from tutelage.train.signals import EXIT_STATUS, Signals, listening
from tutelage.train.trackers import Trackers

if TYPE_CHECKING:
    import torch
    from accelerate.tracking import GeneralTracker
    from rich.console import Console

    from tutelage.train.compute import Compute

Evaluate = Callable[[], Mapping[str, Mapping[str, Any]]]
"""Evaluates the student as it is: results by the name of the eval, each with its `measures`."""
Sample = Callable[[], list[dict[str, Any]]]
"""Samples from the student as it is: rows for samples.jsonl."""


class Saving(Config):
    """How often a run writes what it knows."""

    log_steps: PositiveInt = 1
    """Optimiser steps between two rows of metrics.jsonl."""
    eval_steps: PositiveInt | None = None
    """Optimiser steps between two evaluations with samples; none: at milestones only."""
    resume_rounds: PositiveInt = 1000
    """Rounds between two resume points."""
    resume_minutes: PositiveFloat = 5.0
    """Minutes after which a resume point is due even if fewer rounds were done."""


@dataclass
class Session:
    """The parts of a run in this process; `train` sets them going."""

    folder: RunFolder
    student: torch.nn.Module
    tokenizer: Any
    learners: Mapping[str, Learner]
    curriculum: Curriculum
    steps: int
    compute: Compute
    milestones: Milestones
    saving: Saving
    trackers: Trackers
    hub: Hub
    evaluate: Evaluate
    sample: Sample
    console: Console
    seed: int
    budget: Limit = field(default_factory=Budget)
    """What ends the run before its last step."""
    is_endless: bool = False
    """Whether nothing else ends it: `steps` are more than anybody will make."""
    watch: Sequence[Hook] = ()
    """Further hooks after every step."""
    at_milestone: Callable[[str], None] | None = None
    """Called with the name of each milestone, on the main process: writes what else is kept."""
    conclude: Callable[[], None] | None = None
    """Called once training is complete, on all processes; and again if that run is resumed."""
    has_spreadsheets: bool = False
    """Whether CSV files of responses and statistics are written at milestones and at the end."""
    progress: Progress = field(default_factory=Progress)
    signals: Signals = field(default_factory=Signals)
    running_trackers: list[GeneralTracker] = field(default_factory=list)
    last_look: int = -1
    last_milestone: int = -1
    last_point: float = field(default_factory=time.monotonic)

    def train(self, *, resume: bool, config: dict[str, Any]) -> int:
        """Train to the end, or to a signal; returns the exit status."""
        import torch
        from transformers.utils.logging import disable_progress_bar

        from tutelage.tensors import generator
        from tutelage.train.display import Display

        disable_progress_bar()  # Transformers draws one for each checkpoint
        if self.compute.is_main:
            self.folder.clear_leftovers()
        # The random numbers of dropout; a resume point brings its own.
        torch.manual_seed(
            generator(self.seed, "training", self.compute.rank).initial_seed() % 2**63
        )
        self.points = ResumePoints(self.folder, self.student, self.learners, self.compute)
        restored, complaints = self.points.restore(self.progress) if resume else (None, [])
        for complaint in complaints:
            self.say(complaint)
        spent = self.budget.spent(self.progress.ledger)
        if resume and (spent or self.progress.step >= self.steps):
            self.say(f"{self.folder.path} is complete: {spent or f'{self.steps} steps are done'}.")
            return 0
        if resume:
            self.say(f"Going on after {self.place}.")
        else:
            steps = "until the budget is spent," if self.is_endless else f"{self.steps} steps"
            self.say(f"{self.folder.path}: {steps} on {self.compute.describe()}")
        if self.compute.is_main:
            self.folder.add_session(
                resumed_from=restored, num_processes=self.compute.num_processes, steps=self.planned
            )
        self.running_trackers = self.trackers.start(self.folder.path, config)
        self.upcoming = self.milestones.upcoming(self.position())
        self.display = Display(
            self.console, steps=self.planned, done=self.progress.step, label=self.recipe
        )
        after_step: list[Hook] = [
            self.log,
            self.display.after_step,
            self.milestone,
            self.study,
            *self.watch,
        ]
        after_round: list[Hook] = [self.milestone_of_rounds, self.agree]
        with listening(self.signals), self.display:
            try:
                train(
                    self.student,
                    self.learners,
                    self.curriculum,
                    steps=self.steps,
                    compute=self.compute,
                    progress=self.progress,
                    after_step=after_step,
                    after_round=after_round,
                )
            except DivergedError as error:
                return self.failed(
                    f"in the next, {error}. Lower --optim.lr, lengthen --optim.warmup-steps, "
                    "or try --compute.precision fp32."
                )
            except RewardError as error:
                # A reward fails before its lesson's first step. Unless the round had another lesson
                # before, what the round depends on is as it was, and it can be done again.
                if self.progress.step == self.progress.round_began:
                    self.points.save(self.progress)
                return self.failed(str(error))
            except Exception as error:
                if not disk_is_full(error):
                    raise
                return self.failed(f"the disk is full ({error}). Make room, then resume.")
            self.finish()
        tell_series(self.signals.received)
        for tracker in self.running_trackers:
            tracker.finish()
        return self.exit_status

    @property
    def planned(self) -> int | None:
        """Steps until the end, if that is known."""
        return None if self.is_endless else self.steps

    @property
    def place(self) -> str:
        """Where the run stands, for people."""
        of = "" if self.is_endless else f" of {self.steps}"
        return f"step {self.progress.step}{of}"

    def position(self) -> Position:
        """Where the run stands, in steps, tokens and words."""
        rounds = self.progress.round if self.milestones.counted() == "rounds" else 0
        return Position.of(self.progress.step, self.progress.ledger, rounds)

    def say(self, text: str) -> None:
        """Tell the person at the terminal, once for all processes."""
        if self.compute.is_main:
            self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def write(self, values: Mapping[str, Any]) -> None:
        """Add a row to metrics.jsonl, and to the trackers."""
        place = {"step": self.progress.step, "round": self.progress.round}
        if self.compute.is_main:
            self.folder.append_metrics({**place, **values})
        for tracker in self.running_trackers:
            numbers = {name: v for name, v in values.items() if not isinstance(v, str)}
            tracker.log(numbers, step=self.progress.step)

    def log(self, progress: Progress) -> None:
        """Log the step's metrics, and what was learned from."""
        is_due = progress.step % self.saving.log_steps == 0 or progress.step == self.steps
        if is_due or progress.has_news:
            self.write(progress.metrics)
        for row in progress.samples:
            self.folder.append_sample({"step": progress.step, "round": progress.round, **row})

    def milestone(self, progress: Progress) -> None:
        """Save and evaluate if this step reached a milestone, or is the last."""
        if self.milestones.counted() != "rounds":
            self.pass_milestones(progress)

    def milestone_of_rounds(self, progress: Progress) -> None:
        """The same after a round, where milestones count rounds."""
        if self.milestones.counted() == "rounds":
            self.pass_milestones(progress)

    def pass_milestones(self, progress: Progress) -> None:
        """Save and evaluate if a milestone was reached, or the end."""
        due = self.upcoming.passed(self.position())
        if due is None and progress.step == self.steps:
            due = self.last()
        if due is not None:
            self.keep(due)

    def last(self) -> Due:
        """The end of the run as a milestone; among checkpoints of interaction, named like them."""
        unit = self.milestones.counted()
        unit = unit if unit.startswith(("interaction", "rounds")) else "steps"
        at = getattr(self.position(), unit)
        return Due(milestone_name(unit, at), at)

    def keep(self, due: Due) -> None:
        """Save and evaluate a milestone."""
        self.last_milestone = self.progress.step
        path = save_checkpoint(
            self.folder, due.name, self.student, self.tokenizer, self.position(), self.compute
        )
        results = self.look(self.progress)
        if self.compute.is_main:
            for name, result in results.items():
                self.folder.write_eval(name, due.name, {**self.position().facts(), **result})
            if self.has_spreadsheets:
                write_spreadsheets(self.folder.path)
            if self.at_milestone is not None:
                self.at_milestone(due.name)
            if self.hub.repo is not None:
                push(path, self.hub.repo, self.hub, self.display)

    def study(self, progress: Progress) -> None:
        """Evaluate between milestones, if asked for."""
        every = self.saving.eval_steps
        if every and progress.step % every == 0 and self.last_look != progress.step:
            self.look(progress)

    def look(self, progress: Progress) -> Mapping[str, Mapping[str, Any]]:
        """Evaluate and sample; the random numbers that training draws are left as they were."""
        self.last_look = progress.step
        began = time.monotonic()
        results = self.evaluate()
        seconds = time.monotonic() - began
        samples = self.sample()
        measures = {
            f"eval/{name}/{measure}": value
            for name, result in results.items()
            for measure, value in result["measures"].items()
        }
        if measures:
            cost = {"time/eval_seconds": seconds}
            self.write({**progress.ledger.metrics(), **measures, **cost})
        if self.compute.is_main:
            for row in samples:
                self.folder.append_sample({"step": progress.step, **row})
        return results

    def agree(self, progress: Progress) -> None:
        """Between rounds: the processes agree on stopping, and on saving a resume point."""
        import torch

        minutes = (time.monotonic() - self.last_point) / 60
        wishes = torch.tensor(
            [
                0 if self.signals.received is None else int(self.signals.received),
                self.compute.is_main and minutes >= self.saving.resume_minutes,
            ],
            device=self.compute.device,
        )
        signalled, minutes_over = self.compute.sum(wishes).tolist()
        if signalled:
            status = EXIT_STATUS[self.signals.received or signal.SIGINT]
            progress.stop = Stop("stopped by a signal", status)
        elif spent := self.budget.spent(progress.ledger):
            progress.stop = Stop(spent, 0)
        rounds_over = progress.round % self.saving.resume_rounds == 0
        is_last = progress.stop is not None or progress.step >= self.steps
        if minutes_over or rounds_over or is_last:
            self.points.save(progress)
            self.last_point = time.monotonic()

    @property
    def exit_status(self) -> int:
        """0, or what the reason to stop asks for; the last round's signals are the series'."""
        stop = self.progress.stop
        return 0 if stop is None or self.progress.step >= self.steps else stop.status

    def finish(self) -> None:
        """Make the end of the run a milestone, or say how to go on."""
        stop, path = self.progress.stop, self.folder.path
        if stop is None or self.progress.step >= self.steps:
            return
        place = f"after {self.place}"
        if stop.status == 0:
            if self.last_milestone != self.progress.step:
                self.keep(self.last())
            self.say(f"Done {place}: {stop.reason}.")
        elif self.signals.received is not None:
            self.say(
                f"Stopped {place}; the work is saved in {path}."
                f"\nGo on with: tutelage {self.recipe} --resume {path}"
            )
        else:
            self.failed(stop.reason)

    @property
    def recipe(self) -> str:
        """The recipe's name, as config.yaml has it."""
        first = self.folder.config_path.read_text().split("\n", 1)[0]
        return first.removeprefix("recipe:").strip()

    def failed(self, why: str) -> int:
        """Say where training failed, why, and what is left; the exit status is 1."""
        point, _ = newest_point(self.folder)
        self.say(
            f"Training stopped after step {self.progress.step}: {why}\n"
            f"The last good checkpoint: {self.folder.newest_checkpoint() or 'none'}. "
            f"The last resume point: {point or 'none'}."
        )
        if point is not None:
            self.say(f"Go on from there with: tutelage {self.recipe} --resume {self.folder.path}")
        return 1
