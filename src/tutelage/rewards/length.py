"""Reward for longer responses, up to a target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import PositiveInt

from tutelage.config import Config
from tutelage.rewards.protocol import Reward, Scores

if TYPE_CHECKING:
    import torch


class Length(Config):
    """Longer responses are better, up to a target: min(length, target) / target."""

    kind: Literal["length"] = "length"
    """A bonus for length."""
    target: PositiveInt = 100
    """Length from which on the score is 1."""
    unit: Literal["words", "characters"] = "words"
    """What length counts: words, which blanks separate, or characters."""

    def check(self) -> None:
        """Nothing can be missing."""

    def columns(self) -> tuple[str, ...]:
        """None."""
        return ()

    def build(self, device: torch.device | None = None) -> Reward:
        """The reward."""
        return self.score

    def score(
        self, prompts: Sequence[str], responses: Sequence[str], **columns: Sequence[Any]
    ) -> Scores:
        """How near each response comes to the target; an empty one scores 0."""
        lengths = (len(text.split() if self.unit == "words" else text) for text in responses)
        return Scores.of(self.kind, [min(length, self.target) / self.target for length in lengths])
