"""Reward for words that a response holds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from tutelage.config import Config
from tutelage.rewards.protocol import Reward, Scores

if TYPE_CHECKING:
    import torch


class Contains(Config):
    """Whether a response holds the given words."""

    kind: Literal["contains"] = "contains"
    """Words in the response."""
    words: Annotated[tuple[Annotated[str, Field(pattern=r"\S")], ...], Field(min_length=1)]
    """Words or phrases to look for."""
    count: Literal["any", "all", "fraction"] = "any"
    """Score: 1 if any word is there, 1 if all are, or the fraction of the words that are there; how
    often a word is there makes no difference."""
    whole_words: bool = True
    """A word inside a longer one does not count."""
    ignore_case: bool = True
    """Capitals make no difference."""

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
        """What of the words each response holds; the prompt's own words don't count."""
        return Scores.of(self.kind, [self._score(response) for response in responses])

    def _score(self, response: str) -> float:
        found = [bool(pattern.search(response)) for pattern in self._patterns]
        match self.count:
            case "any":
                return float(any(found))
            case "all":
                return float(all(found))
            case "fraction":
                return sum(found) / len(found)

    @cached_property
    def _patterns(self) -> list[re.Pattern[str]]:
        flags = re.IGNORECASE if self.ignore_case else re.NOFLAG
        return [re.compile(self._pattern(word), flags) for word in self.words]

    def _pattern(self, word: str) -> str:
        """An edge that is no letter or digit, as in "Oh!", needs nothing around it."""
        pattern = re.escape(word)
        if self.whole_words and re.match(r"\w", word[0]):
            pattern = rf"(?<!\w){pattern}"
        if self.whole_words and re.match(r"\w", word[-1]):
            pattern = rf"{pattern}(?!\w)"
        return pattern
