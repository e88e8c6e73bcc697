"""Budgets of interaction: how much may go in and come out before a run stops (PPO-3)."""

from __future__ import annotations

from typing import Protocol

from pydantic import PositiveInt

from tutelage.config import Config
from tutelage.run_folder import Ledger


class Limit(Protocol):
    """What ends a run before its last step."""

    def spent(self, ledger: Ledger) -> str | None:
        """Why the run ends here, in words, or None; the same on all processes."""
        ...


class Budget(Config):
    """Most words and tokens of interaction; the run ends at whichever limit is reached first."""

    input_words: PositiveInt | None = None
    """Most words that go in: prompts and the judge's output together."""
    input_tokens: PositiveInt | None = None
    """Most tokens that go in: prompts and the judge's output together."""
    prompt_words: PositiveInt | None = None
    """Most words of prompts."""
    prompt_tokens: PositiveInt | None = None
    """Most tokens of prompts."""
    judged_words: PositiveInt | None = None
    """Most words of the judge's output."""
    judged_tokens: PositiveInt | None = None
    """Most tokens of the judge's output."""
    generated_words: PositiveInt | None = None
    """Most words that come out: the student's responses."""
    generated_tokens: PositiveInt | None = None
    """Most tokens that come out: the student's responses."""

    def spent(self, ledger: Ledger) -> str | None:
        """Which limit is reached, in words, or None while there is something left of each.

        A round may reach several: the one that is exceeded by the largest part comes first.
        """
        used = _used(ledger)
        limits = {name: limit for name, limit in self if limit is not None}
        name = max(limits, key=lambda name: used[name] / limits[name], default=None)
        if name is None or used[name] < limits[name]:
            return None
        option = f"--budget.{name.replace('_', '-')}"
        return f"the budget {option} {limits[name]} is spent ({used[name]} used)"


def _used(ledger: Ledger) -> dict[str, int]:
    """What the ledger counts, by the names of the budgets."""
    return {
        "input_words": ledger.prompt_words + ledger.judged_words,
        "input_tokens": ledger.prompt_tokens + ledger.judged_tokens,
        "prompt_words": ledger.prompt_words,
        "prompt_tokens": ledger.prompt_tokens,
        "judged_words": ledger.judged_words,
        "judged_tokens": ledger.judged_tokens,
        "generated_words": ledger.generated_words,
        "generated_tokens": ledger.generated_tokens,
    }
