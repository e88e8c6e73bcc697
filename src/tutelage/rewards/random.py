"""Reward that knows nothing: the control for any other."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from tutelage.config import Config
from tutelage.rewards.protocol import Reward, Scores

if TYPE_CHECKING:
    import torch


class Random(Config):
    """A random number from [0, 1) for each pair of prompt and response: for control runs.

    The number is a function of seed and text, so a resumed run sees the same ones, however often
    the reward was called before.
    """

    kind: Literal["random"] = "random"
    """A random score."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of the scores; another seed gives every text another one."""

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
        """A number for each sample, uniform in [0, 1)."""
        pairs = zip(prompts, responses, strict=True)
        return Scores.of(self.kind, [self._draw(prompt, response) for prompt, response in pairs])

    def _draw(self, prompt: str, response: str) -> float:
        text = repr((self.seed, prompt, response)).encode("utf-8", "surrogatepass")
        # 24 bits: as many as float32 holds, so that no number is rounded to 1.
        return int.from_bytes(hashlib.sha256(text).digest()[:3], "big") / 2**24
