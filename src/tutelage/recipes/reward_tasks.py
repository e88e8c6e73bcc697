"""What a reward model learns: preferences between responses, or the age of a text's writer.

A task knows its texts, the lesson they make, what to measure, and the card at the end.
"""

from __future__ import annotations

import hashlib
import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import torch
from torch import Tensor

from tutelage.evals.age_baselines import age_baselines
from tutelage.evals.age_card import age_card
from tutelage.evals.pair_baselines import pair_baselines
from tutelage.evals.pair_card import pair_card
from tutelage.lessons.preference import Preference
from tutelage.lessons.regression import Regression
from tutelage.objectives.bradley_terry import is_right, preference_nll
from tutelage.objectives.regression import squared_error

if TYPE_CHECKING:
    from tutelage.data.ages import AgeData
    from tutelage.data.preferences import EncodedPair, PairData
    from tutelage.lessons.machine import Machine
    from tutelage.lessons.texts import Texts
    from tutelage.models.reward_module import RewardModel
    from tutelage.train.loop import Lesson

PARTS = ("train", "validation", "test")


class Scale(NamedTuple):
    """What scores are multiplied by, and what is added then."""

    scale: float
    shift: float


class LessonOptions(NamedTuple):
    """What all lessons are told."""

    batch_size: int
    microbatch_tokens: int | None
    seed: int
    machine: Machine


class Task(Protocol):
    """What a reward model learns."""

    name: str
    """Of the card."""
    rows: dict[str, list[list[int]]]
    """Token ids of the texts of each part."""
    size: int
    """Pairs or texts to train on."""
    counts: dict[str, int]
    """Of what was read, kept and left out."""

    def begin(self, model: RewardModel) -> None:
        """Give a model the scale that it is trained and tested at."""
        ...

    def lesson(self, texts: Texts, options: LessonOptions) -> Lesson:
        """The lesson over the texts to train on."""
        ...

    def measures(self, part: str, scores: Tensor) -> dict[str, float]:
        """`loss` and others, from the scores of a part's texts."""
        ...

    def scale(self, scores: Tensor) -> Scale | None:
        """How scores are normalised after training; none: as they are."""
        ...

    def card(self, scores: Tensor) -> dict[str, Any]:
        """What the model is worth on the test set."""
        ...


class PreferenceTask:
    """Pairs: text 2 i of a part is the chosen response of pair i, text 2 i + 1 the rejected."""

    name = "reward-card"

    def __init__(self, data: PairData, *, margin: bool, centring_coef: float, normalise: bool):
        self.data = data
        self.counts = data.counts
        self.rows = {part: sides(getattr(data, part)) for part in PARTS}
        self.size = len(data.train)
        self.margin = margin
        self.centring_coef = centring_coef
        self.normalise = normalise

    def begin(self, model: RewardModel) -> None:
        """Let scores be what the read-out says: their differences are log odds."""
        model.normalise(scale=1.0, shift=0.0)

    def lesson(self, texts: Texts, options: LessonOptions) -> Preference:
        """Bradley–Terry over the training pairs."""
        pairs = [each.pair for each in self.data.train]
        margins = [pair.margin or 0.0 for pair in pairs] if self.margin else None
        words = [num_words(p.prompt + side) for p in pairs for side in (p.chosen, p.rejected)]
        return Preference(
            texts,
            margins=margins,
            num_words=words,
            num_tokens=[len(row) for row in self.rows["train"]],
            centring_coef=self.centring_coef,
            key=fingerprint(self.rows["train"]),
            **options._asdict(),
        )

    def measures(self, part: str, scores: Tensor) -> dict[str, float]:
        """Mean negative log-likelihood of the preferences, share that is right, mean lead."""
        chosen, rejected = scores[::2], scores[1::2]
        return {
            "loss": preference_nll(chosen, rejected).mean().item(),
            "accuracy": is_right(chosen, rejected).mean().item(),
            "margin": (chosen - rejected).mean().item(),
        }

    def scale(self, scores: Tensor) -> Scale | None:
        """Mean 0 and standard deviation 1 over these texts."""
        deviation = scores.double().std(correction=0).item()
        if not self.normalise or deviation == 0:
            return None
        return Scale(1 / deviation, -scores.double().mean().item() / deviation)

    def card(self, scores: Tensor) -> dict[str, Any]:
        """Accuracy beside baselines, calibration, worst mistakes."""
        train, test = self.data.train, self.data.test
        lengths = response_lengths(test)
        train_pairs, test_pairs = ([each.pair for each in some] for some in (train, test))
        baselines = pair_baselines(train_pairs, test_pairs, response_lengths(train), lengths)
        card = pair_card(
            test_pairs, scores[::2].tolist(), scores[1::2].tolist(), lengths, baselines
        )
        return {**card, "data": self.counts}


class AgeTask:
    """Texts with the training step of the model that wrote them; scores are log2 steps."""

    name = "age-card"

    def __init__(self, data: AgeData):
        self.data = data
        self.counts = data.counts
        self.rows = {part: [each.token_ids for each in getattr(data, part)] for part in PARTS}
        self.ages = {
            part: [math.log2(each.text.step) for each in getattr(data, part)] for part in PARTS
        }
        self.size = len(data.train)
        self.center = statistics.fmean(self.ages["train"])
        self.spread = statistics.pstdev(self.ages["train"])

    def begin(self, model: RewardModel) -> None:
        """Let the read-out's 0 be the mean age, and its 1 a standard deviation more."""
        model.normalise(scale=self.spread, shift=self.center)

    def lesson(self, texts: Texts, options: LessonOptions) -> Regression:
        """Regression on the training texts' ages."""
        return Regression(
            texts,
            targets=self.ages["train"],
            spread=self.spread,
            num_words=[num_words(each.text.text) for each in self.data.train],
            num_tokens=[len(row) for row in self.rows["train"]],
            key=fingerprint(self.rows["train"]),
            **options._asdict(),
        )

    def measures(self, part: str, scores: Tensor) -> dict[str, float]:
        """Mean squared error in squares of the training ages' deviation, and in log2 steps."""
        errors = squared_error(scores, torch.tensor(self.ages[part])).mean().item()
        return {"loss": errors / self.spread**2, "squared_error": errors}

    def scale(self, scores: Tensor) -> Scale | None:
        """None: scores are ages."""
        return None

    def card(self, scores: Tensor) -> dict[str, Any]:
        """Errors, rank correlations, calibration."""
        train, test = self.data.train, self.data.test
        steps = [each.text.step for each in test]
        texts = [each.text.text for each in test]
        baselines = age_baselines(
            [each.text.text for each in train], [each.text.step for each in train], texts
        )
        return {**age_card(steps, scores.tolist(), texts, baselines), "data": self.counts}


def sides(pairs: Sequence[EncodedPair]) -> list[list[int]]:
    """Token ids of chosen and rejected texts in turn."""
    return [ids for pair in pairs for ids in (pair.chosen_ids, pair.rejected_ids)]


def response_lengths(pairs: Sequence[EncodedPair]) -> list[tuple[int, int]]:
    """Tokens of each pair's responses: those behind what both texts begin with."""
    lengths = []
    for pair in pairs:
        both = zip(pair.chosen_ids, pair.rejected_ids, strict=False)
        shared = next((i for i, (a, b) in enumerate(both) if a != b), None)
        start = min(map(len, pair[1:])) if shared is None else shared
        lengths.append((len(pair.chosen_ids) - start, len(pair.rejected_ids) - start))
    return lengths


def num_words(text: str) -> int:
    """Words, as the ledger counts them."""
    return len(text.split())


def fingerprint(rows: Sequence[Sequence[int]]) -> str:
    """What tells some texts from others."""
    return hashlib.sha256(repr(rows).encode()).hexdigest()
