"""`tutelage sft`: a student learns completions of prompts by maximum likelihood."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import NonNegativeFloat

from tutelage.recipes.conduct import conduct
from tutelage.recipes.imitation import GSM8K, LAPTOP, Imitate
from tutelage.run_folder import default_path

if TYPE_CHECKING:
    from tutelage.lessons.imitation import Terms


class Sft(Imitate):
    """Train a student to complete prompts as demonstrated."""

    entropy_coef: NonNegativeFloat = 0.0
    """Weight of a bonus for entropy, the control that the paper of `irl` compares with."""

    def terms(self) -> Terms:
        """The likelihood, and perhaps a bonus for entropy."""
        from tutelage.lessons.imitation import Terms

        return Terms(entropy_coef=self.entropy_coef, shows_entropy=True)

    def run(self, resume: Path | None = None) -> int:
        """Train; returns the exit status."""
        return conduct(self, resume, default=self.default_out, make=self.session)

    def default_out(self) -> Path:
        """Named after the recipe and the time."""
        return default_path("sft")


def laptop() -> Sft:
    """A million parameters learn sums with their steps, a minute or two on a laptop."""
    return Sft(**LAPTOP)


def gsm8k() -> Sft:
    """Pythia-160m on GSM8K, with the settings of the research code that `irl` comes from."""
    return Sft(**GSM8K)


PRESETS: dict[str, Callable[[], Sft]] = {"laptop": laptop, "gsm8k": gsm8k}
