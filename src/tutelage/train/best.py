"""The best validation of a run, and when to stop for want of a better one (RM-5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pydantic import PositiveInt

from tutelage.config import Config
from tutelage.run_folder import read_lines
from tutelage.train.checkpoint import save_checkpoint
from tutelage.train.loop import Progress, Stop
from tutelage.train.session import Session

BEST = "best"
KEY = "eval/validation/loss"


class PerEpoch(Config):
    """What is done so many times an epoch, at equal distances."""

    validations: PositiveInt = 3
    """Validations an epoch; or give --saving.eval-steps."""
    checkpoints: PositiveInt | None = None
    """Checkpoints an epoch; or give --milestones.every."""


class Verdict(NamedTuple):
    """What the last of several validations was."""

    is_best: bool
    num_worse: int
    """Validations since the best."""


def verdict(losses: Sequence[float]) -> Verdict:
    """Whether the last loss is below all before, and how long ago the lowest was."""
    best = min(range(len(losses)), key=lambda index: losses[index])
    return Verdict(best == len(losses) - 1, len(losses) - 1 - best)


class KeepBest:
    """A hook that saves the best model so far as checkpoints/best, and stops a run in vain.

    What it knows is in metrics.jsonl, which a run that goes on cuts back to where it goes on.
    """

    def __init__(self, max_non_optim_vals: int | None):
        self.max_non_optim_vals = max_non_optim_vals
        self.session: Session | None = None

    def __call__(self, progress: Progress) -> None:
        """Look at this step's validation, if there was one."""
        import torch

        session = self.session
        assert session is not None
        if session.last_look != progress.step:
            return
        told = torch.zeros(2, device=session.compute.device)
        if session.compute.is_main:
            rows = read_lines(session.folder.metrics_path)
            losses = [row[KEY] for row in rows if row.get(KEY) is not None]
            told = torch.tensor(verdict(losses), device=told.device, dtype=told.dtype)
            mark = ", the best so far" if told[0] else ""
            session.say(f"After step {progress.step}: validation loss {losses[-1]:.4f}{mark}")
        is_best, num_worse = session.compute.sum(told).tolist()
        if is_best:
            save_checkpoint(
                session.folder,
                BEST,
                session.student,
                session.tokenizer,
                session.position(),
                session.compute,
            )
        limit = self.max_non_optim_vals
        if limit is not None and num_worse >= limit:
            reason = f"{limit} validations in a row were no better than the best"
            progress.stop = Stop(reason, 0)
