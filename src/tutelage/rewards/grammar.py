"""Reward for sentences of the nursery's grammar."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from tutelage.config import Config
from tutelage.data.conversation import MARKS
from tutelage.data.grammar import is_grammatical
from tutelage.rewards.protocol import Reward, Scores

if TYPE_CHECKING:
    import torch

SENTENCE = re.compile(r"[^.?!]*[.?!]|[^.?!]+$")
"""Text up to a mark, or the unfinished rest."""


class NurseryGrammar(Config):
    """The fraction of a response's sentences that the nursery's grammar has."""

    kind: Literal["grammar"] = "grammar"
    """Sentences of the built-in grammar."""

    def check(self) -> None:
        """Nothing can be missing: the grammar is part of the package."""

    def columns(self) -> tuple[str, ...]:
        """None."""
        return ()

    def build(self, device: torch.device | None = None) -> Reward:
        """The reward."""
        return self.score

    def score(
        self, prompts: Sequence[str], responses: Sequence[str], **columns: Sequence[Any]
    ) -> Scores:
        """The fraction of each response; without a sentence of the mother it is 0."""
        pairs = zip(prompts, responses, strict=True)
        return Scores.of(self.kind, [_fraction(list(sentences(*pair))) for pair in pairs])


def sentences(prompt: str, response: str) -> Iterator[str]:
    """The mother's sentences that end in the response, as printed but for blanks around them.

    One that the prompt begins is whole, and an unfinished one at the end counts as well. Lines of
    the child are left out: a child need not follow the grammar.
    """
    begun = prompt[prompt.rfind("\n") + 1 :]
    known = len(begun)
    for line in (begun + response).split("\n"):
        if not line.startswith(MARKS["CHI"].rstrip()):
            start = len(MARKS["MOT"]) if line.startswith(MARKS["MOT"]) else 0
            for match in SENTENCE.finditer(line, start):
                if match.end() > known and match[0].strip():
                    yield match[0].strip()
        known = 0


def _fraction(found: Sequence[str]) -> float:
    # The mark is taken off again by is_grammatical, so that none can hide in a sentence.
    good = sum(is_grammatical(MARKS["MOT"] + sentence) for sentence in found)
    return good / len(found) if found else 0.0
