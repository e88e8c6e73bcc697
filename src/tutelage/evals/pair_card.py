"""What a reward model is worth on held-out pairs, and whether length alone would do as well (RM-2).

A pair is decided by its margin, the score of the chosen response less that of the rejected one:
right if it is positive, half right if it is 0. See docs/reward-cards.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tutelage.config import UserError
from tutelage.evals.card_examples import MAX_WORST, cut
from tutelage.evals.paired import paired_difference, wilson

VERSION = 1
MAX_BINS = 10
LEAST_IN_A_BIN = 20
HISTOGRAM_BINS = 24
NAMES = {"length": "length", "bag_of_words": "a bag of words"}
"""Baselines as they are called in sentences."""

Array = NDArray[np.float64]


class PairTexts(Protocol):
    """A pair of responses to one prompt."""

    @property
    def prompt(self) -> str: ...  # noqa: D102
    @property
    def chosen(self) -> str: ...  # noqa: D102
    @property
    def rejected(self) -> str: ...  # noqa: D102
    @property
    def subset(self) -> str: ...  # noqa: D102


def pair_card(
    test: Sequence[PairTexts],
    chosen: Sequence[float],
    rejected: Sequence[float],
    lengths: Sequence[tuple[int, int]],
    baselines: Mapping[str, Sequence[float]],
) -> dict[str, Any]:
    """Everything about a reward model on test pairs, as JSON.

    Args:
        test: The pairs.
        chosen: The model's score of each chosen response.
        rejected: The same of each rejected one.
        lengths: Tokens of each chosen and rejected response.
        baselines: Of each baseline its margin on every test pair (`pair_baselines`); one is
            called `length`.
    """
    margins = _margins(chosen, rejected)
    assert len(test) == len(margins) == len(lengths)
    right = outcomes(margins)
    by_baseline = {name: outcomes(np.asarray(m, float)) for name, m in baselines.items()}
    compared = [_compared(name, right, other) for name, other in by_baseline.items()]
    subsets = _subsets(test, right, by_baseline)
    bins = calibration(margins)
    by_length, unequal = _of_length(margins, lengths)
    measures = {"accuracy": float(right.mean()), **_baseline_measures(compared)}
    measures |= {"margin": float(margins.mean()), "ece": expected_error(bins)}
    measures |= {"ties": float((margins == 0).mean()), **by_length}
    measures |= {f"subset/{row['name']}": row["accuracy"] for row in subsets}
    shares = ("accuracy", "ties", *(f"accuracy_{name}" for name in baselines))
    counts = dict.fromkeys(shares, len(test))
    counts |= {name: unequal for name in ("longer_wins", "longer_chosen") if name in by_length}
    counts |= {f"subset/{row['name']}": row["n"] for row in subsets}
    return {
        "version": VERSION,
        "measures": measures,
        "counts": counts,
        "verdict": {row["name"]: row["verdict"] for row in compared}["length"],
        "baselines": compared,
        "subsets": subsets,
        "histogram": histogram(margins),
        "calibration": bins,
        "worst": _worst(test, chosen, rejected, lengths),
    }


def outcomes(margins: Array) -> Array:
    """1 for each pair that is decided rightly, ½ for a tie, 0 else."""
    return (1 + np.sign(margins)) / 2


def calibration(margins: Array) -> list[dict[str, Any]]:
    """How often decisions are right that the model is about equally sure of.

    Its confidence in a decision is the logistic function of |margin|. Bins hold about equally many
    pairs, 20 or more if there are as many, and pairs of the same confidence are in one bin.
    """
    from scipy.special import expit
    from scipy.stats import rankdata

    sure = np.abs(margins)
    num_bins = min(max(len(sure) // LEAST_IN_A_BIN, 1), MAX_BINS)
    places = np.floor((rankdata(sure) - 0.5) * num_bins / len(sure)).astype(int)
    confidence, right = expit(sure), outcomes(margins)
    return [
        {
            "n": int(inside.sum()),
            "confidence": float(confidence[inside].mean()),
            "accuracy": float(right[inside].mean()),
        }
        for inside in (places == place for place in np.unique(places))
    ]


def expected_error(bins: Sequence[Mapping[str, float]]) -> float:
    """Expected calibration error: |confidence − accuracy| of the bins, weighted by their pairs."""
    pairs = sum(each["n"] for each in bins)
    return sum(each["n"] * abs(each["confidence"] - each["accuracy"]) for each in bins) / pairs


def histogram(margins: Array) -> dict[str, Any]:
    """Counts of margins in bins of one round width, with an edge at 0, so no bin is mixed.

    Bins reach as far as the middle 90 % of the margins (and 0) do, and half as far again on either
    side; what is still further out is counted as below or above. Ties are in no bin.
    """
    decided = margins[margins != 0]
    if not len(decided):
        return {"edges": [], "counts": [], "ties": len(margins), "below": 0, "above": 0}
    lowest, highest = min(float(decided.min()), 0.0), max(float(decided.max()), 0.0)
    low = min(float(np.quantile(decided, 0.05, method="lower")), 0.0)
    high = max(float(np.quantile(decided, 0.95, method="higher")), 0.0)
    reach = (high - low) / 2
    low, high = max(lowest, low - reach), min(highest, high + reach)
    width = _round_up((high - low) / HISTOGRAM_BINS)
    first, last = math.floor(low / width), math.ceil(high / width)
    edges = np.arange(first, last + 1) * width
    inside = decided[(decided >= edges[0]) & (decided <= edges[-1])]
    return {
        "edges": edges.tolist(),
        "counts": np.histogram(inside, edges)[0].tolist(),
        "ties": int((margins == 0).sum()),
        "below": int((decided < edges[0]).sum()),
        "above": int((decided > edges[-1]).sum()),
    }


def _margins(chosen: Sequence[float], rejected: Sequence[float]) -> Array:
    scores = np.array([chosen, rejected], dtype=float)
    if not scores.size:
        raise UserError(
            "There are no test pairs, so the reward model can't be judged. "
            "Give a larger --data.test-fraction, or a test file."
        )
    if not np.isfinite(scores).all():
        bad = int((~np.isfinite(scores)).any(0).sum())
        raise UserError(
            f"The reward model gives no finite score to {bad} of {scores.shape[1]} test pairs, so "
            "it can't be judged. Its training diverged: lower the learning rate."
        )
    return scores[0] - scores[1]


def _compared(name: str, right: Array, other: Array) -> dict[str, Any]:
    found = paired_difference(right.tolist(), other.tolist())
    accuracy = float(right.mean())
    return {
        "name": name,
        "accuracy": float(other.mean()),
        "difference": found.value,
        "low": found.low,
        "high": found.high,
        "verdict": _verdict(NAMES.get(name, name), accuracy, len(right), found),
    }


def _baseline_measures(compared: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Accuracies of the baselines, then how far the model is above each, with the interval."""
    measures = {f"accuracy_{row['name']}": row["accuracy"] for row in compared}
    for row in compared:
        above = f"above_{row['name']}"
        measures |= {above: row["difference"], f"{above}_low": row["low"]}
        measures[f"{above}_high"] = row["high"]
    return measures


def _verdict(name: str, accuracy: float, n: int, found: tuple[float, float, float]) -> str:
    """One sentence; a model that may be guessing beats nothing, however bad the baseline is."""
    points, low, high = (_points(part) for part in found)
    interval = f"95 % interval {low} to {high}"
    chance = wilson(accuracy, n)
    if found[1] > 0 and chance[0] > 0.5:
        return f"Beats {name} by {points} points ({interval})."
    if found[1] > 0:
        return (
            f"Does not beat {name}: it is {points} points above it ({interval}), but its accuracy "
            f"of {_points(accuracy)} % may be chance "
            f"(95 % interval {_points(chance[0])} to {_points(chance[1])})."
        )
    if found[2] < 0:
        return f"Does not beat {name}: it is {points.lstrip('−')} points below it ({interval})."
    return f"Does not beat {name}: the difference of {points} points may be chance ({interval})."


def _points(share: float) -> str:
    """Hundredths with one decimal and a proper minus sign; never −0.0."""
    return f"{round(100 * share, 1) + 0.0:.1f}".replace("-", "−")


def _of_length(margins: Array, lengths: Sequence[tuple[int, int]]) -> tuple[dict[str, float], int]:
    """How the model's choices go with length, and how many pairs have responses of two lengths."""
    from scipy.stats import spearmanr

    longer = np.array([a - b for a, b in lengths], dtype=float)
    unequal = longer != 0
    found: dict[str, float] = {}
    if unequal.any():
        found["longer_wins"] = float(outcomes(margins * np.sign(longer))[unequal].mean())
        found["longer_chosen"] = float(outcomes(longer)[unequal].mean())
    if len(set(margins)) > 1 and len(set(longer)) > 1:
        found["spearman_length"] = float(spearmanr(margins, longer).statistic)  # pyright: ignore[reportAttributeAccessIssue]
    return found, int(unequal.sum())


def _subsets(
    test: Sequence[PairTexts], right: Array, baselines: Mapping[str, Array]
) -> list[dict[str, Any]]:
    """Accuracies in each subset, in the order of their names; none if there is one subset only."""
    names = np.array([pair.subset for pair in test])
    distinct = sorted(set(names.tolist()))
    return [
        {
            "name": name or "(none)",
            "n": int((names == name).sum()),
            "accuracy": float(right[names == name].mean()),
            "baselines": {k: float(other[names == name].mean()) for k, other in baselines.items()},
        }
        for name in (distinct if len(distinct) > 1 else ())
    ]


def _worst(
    test: Sequence[PairTexts],
    chosen: Sequence[float],
    rejected: Sequence[float],
    lengths: Sequence[tuple[int, int]],
) -> list[dict[str, Any]]:
    """The pairs that are decided wrongly by the largest margins; of equal ones the first."""
    margins = [a - b for a, b in zip(chosen, rejected, strict=True)]
    wrong = sorted(
        (index for index in range(len(test)) if margins[index] < 0), key=margins.__getitem__
    )
    return [
        {
            "number": index,
            "subset": test[index].subset,
            "prompt": cut(test[index].prompt, keep_end=True),
            "chosen": cut(test[index].chosen),
            "rejected": cut(test[index].rejected),
            "margin": float(margins[index]),
            "chosen_score": float(chosen[index]),
            "rejected_score": float(rejected[index]),
            "chosen_tokens": int(lengths[index][0]),
            "rejected_tokens": int(lengths[index][1]),
        }
        for index in wrong[:MAX_WORST]
    ]


def _round_up(width: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(width))
    return next((m * power for m in (1, 2, 2.5, 5) if m * power >= width), 10 * power)
