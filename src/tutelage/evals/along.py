"""Suites that a run measures along the way, at its milestones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tutelage.config import Config
from tutelage.evals.minimal_pairs import MinimalPairs
from tutelage.evals.reading import Reading
from tutelage.evals.surprisal import Surprisal

if TYPE_CHECKING:
    import torch


class Along(Config):
    """What else is measured at milestones; any other suite can be run later: tutelage eval."""

    minimal_pairs: MinimalPairs | None = None
    """Minimal pairs."""
    surprisal: Surprisal | None = None
    """Surprisal of words in context, for ages of acquisition."""
    reading: Reading | None = None
    """Reading times."""

    def check(self) -> None:
        """Refuse what a suite can't read."""
        for suite in self.suites().values():
            suite.check()

    def refuse_unreadable(
        self, student: torch.nn.Module, tokenizer: Any, device: torch.device
    ) -> None:
        """Raise, before training, if a suite can't be measured with a student's tokens."""
        from tutelage.evals.scoring import Scorer

        if self.surprisal is not None:
            self.surprisal.refuse_unreadable(Scorer(student, tokenizer, device=device))

    def suites(self) -> dict[str, MinimalPairs | Surprisal | Reading]:
        """Those that are on, by the names under which results are stored."""
        parts = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: suite for name, suite in parts.items() if suite is not None}

    def measure(
        self, student: torch.nn.Module, tokenizer: Any, device: torch.device
    ) -> dict[str, dict[str, Any]]:
        """Results by name."""
        from tutelage.evals.scoring import Scorer

        if not self.suites():
            return {}
        scorer = Scorer(student, tokenizer, device=device)
        return {
            name: suite.combine({task: suite.run_task(task, scorer) for task in suite.tasks()})
            for name, suite in self.suites().items()
        }
