"""The best validation of a run, and when to stop for want of a better one (RM-5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pydantic import PositiveInt

from tutelage.config import Config
from tutelage.run_folder import Ledger, read_lines
from tutelage.train.checkpoint import save_checkpoint
from tutelage.train.loop import Progress
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
    loss: float


def verdict(losses: Sequence[float]) -> Verdict:
    """Whether the last loss is below all before, and how long ago the lowest was."""
    if not losses:
        return Verdict(False, 0, 0.0)
    best = min(range(len(losses)), key=lambda index: losses[index])
    return Verdict(best == len(losses) - 1, len(losses) - 1 - best, losses[-1])


class KeepBest:
    """A hook that saves the best model so far as checkpoints/best, and a limit on looking in vain.

    What it knows is in metrics.jsonl, which a run that goes on cuts back to where it goes on.
    """

    def __init__(self, max_non_optim_vals: int | None):
        self.max_non_optim_vals = max_non_optim_vals
        self.session: Session | None = None
        self.num_worse: int | None = None  # unknown until a validation, or the first question

    def __call__(self, progress: Progress) -> None:
        """Look at this step's validation, if there was one."""
        session = self.session
        assert session is not None
        if session.last_look != progress.step:
            return
        is_best, self.num_worse, loss = self._looked_back(session)
        mark = ", the best so far" if is_best else ""
        session.say(f"After step {progress.step}: validation loss {loss:.4f}{mark}")
        if is_best:
            save_checkpoint(
                session.folder,
                BEST,
                session.student,
                session.tokenizer,
                session.position(),
                session.compute,
            )

    def spent(self, ledger: Ledger) -> str | None:
        """Why the run ends here, if too many validations in a row were no better than the best."""
        if self.num_worse is None:  # of a run that goes on
            assert self.session is not None
            self.num_worse = self._looked_back(self.session).num_worse
        limit = self.max_non_optim_vals
        if limit is None or self.num_worse < limit:
            return None
        return f"{limit} validations in a row were no better than the best"

    def _looked_back(self, session: Session) -> Verdict:
        """The verdict on the validations so far, the same on all processes."""
        import torch

        told = torch.zeros(3, device=session.compute.device)
        if session.compute.is_main:
            rows = read_lines(session.folder.metrics_path)
            losses = [row[KEY] for row in rows if row.get(KEY) is not None]
            told += torch.tensor(verdict(losses), dtype=told.dtype, device=told.device)
        is_best, num_worse, loss = session.compute.sum(told).tolist()
        return Verdict(bool(is_best), int(num_worse), loss)
