"""What a score costs in diversity (Wulfmeier et al., 2024, https://arxiv.org/abs/2409.01369).

The score is to be high and Self-BLEU, how alike responses are, to be low. One arm beats another if
its mean over seeds is at least as good in both and better in one. Arms that none beats are the
front. Means say nothing of chance: another set of seeds may draw another front.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tutelage.evals.over_seeds import estimated

SCORES = ("responses accuracy", "responses rouge_l")
"""The first that was measured counts."""
DIVERSITY = "responses self_bleu"


class TradeOff(NamedTuple):
    """Where arms lie."""

    score: str | None
    """The measure; none if there is no score."""
    diversity: str
    points: dict[str, dict[str, Any]]
    """Score and diversity of each arm, over the seeds that have both."""
    front: list[str]
    """Arms that none beats, the most diverse first."""
    sentence: str


def trade_off(arms: Mapping[str, Mapping[int, Mapping[str, float]]]) -> TradeOff:
    """Where arms lie, of each the measures by seed; and which of them none beats."""
    measured = {name for seeds in arms.values() for finals in seeds.values() for name in finals}
    score = next((name for name in SCORES if name in measured), None)
    points = {}
    for name, seeds in arms.items():
        both = {s: f for s, f in seeds.items() if score in f and DIVERSITY in f}
        if both and score:
            points[name] = {
                "score": estimated({seed: finals[score] for seed, finals in both.items()}),
                "diversity": estimated({seed: finals[DIVERSITY] for seed, finals in both.items()}),
            }
    means = {
        name: (point["score"]["mean"], point["diversity"]["mean"]) for name, point in points.items()
    }
    front = [
        name
        for name, own in sorted(means.items(), key=lambda item: item[1][1])
        if not any(beats(other, own) for other in means.values())
    ]
    return TradeOff(score, DIVERSITY, points, front, _sentence(list(points), front))


def beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether a score and Self-BLEU are at least as good as others in both, and better in one."""
    return one[0] >= other[0] and one[1] <= other[1] and one != other


def _sentence(arms: list[str], front: list[str]) -> str:
    if len(arms) < 2:
        return ""
    return (
        f"By means, the front is {', '.join(front)}: no arm is at least as good as one of these "
        "in both score and diversity, and better in one."
    )
