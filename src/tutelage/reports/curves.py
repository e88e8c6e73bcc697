"""Curves of logged metrics: collected per key, smoothed, and thinned to what a screen shows."""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from tutelage.reports.runs import Run, is_number

WORDS_KEY = "budget/read_words"
GROUPS_AT_THE_END = ("optim", "budget", "time")
Item = TypeVar("Item")


class Curve(NamedTuple):
    """One metric of one run, without values that are not finite; words is empty if unknown."""

    run: int
    steps: np.ndarray
    words: np.ndarray
    values: np.ndarray
    smooth: np.ndarray
    num_dropped: int

    @property
    def is_noisy(self) -> bool:
        """Whether the raw line moves up and down at least twice as much as the smoothed one."""
        moved = np.abs(np.diff(self.values)).sum()
        return len(self.values) >= 100 and bool(moved > 2 * np.abs(np.diff(self.smooth)).sum())

    @property
    def final(self) -> float:
        """The last value; of a noisy metric, the mean of the last twentieth of its rows."""
        tail = max(1, len(self.values) // 20) if self.is_noisy else 1
        return float(self.values[-tail:].mean())


def training_curves(runs: list[Run]) -> dict[str, list[Curve]]:
    """Every logged metric but `eval/…`, in the page's order, with a curve for each run."""
    found: dict[str, list[Curve]] = defaultdict(list)
    for index, run in enumerate(runs):
        columns: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for row in run.metrics:
            for key, value in row.items():
                if key in ("step", "round") or key.startswith("eval/"):
                    continue
                if is_number(value) or value is None:  # null stands for NaN and infinity
                    columns[key].append((row["step"], math.nan if value is None else value))
        for key, points in columns.items():
            found[key].append(_curve(index, points, read_words(run)))
    return dict(sorted(_drawable(found).items(), key=lambda item: _place(item[0], list(found))))


def eval_curves(runs: list[Run]) -> dict[str, dict[str, list[Curve]]]:
    """Per eval and measure a curve for each run, from evals/ and from the rows `eval/…`."""
    found: dict[str, dict[str, list[Curve]]] = defaultdict(lambda: defaultdict(list))
    for index, run in enumerate(runs):
        points: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
        for evaluation in run.evaluations:
            for measure, value in evaluation.measures.items():
                points[evaluation.eval, measure][evaluation.step] = value
        for row in run.metrics:
            for key, value in row.items():
                if key.startswith("eval/") and is_number(value):
                    name, _, measure = key.removeprefix("eval/").partition("/")
                    points[name, measure or name].setdefault(row["step"], value)
        for (name, measure), by_step in points.items():
            found[name][measure].append(_curve(index, sorted(by_step.items()), read_words(run)))
    return {name: drawn for name in sorted(found) if (drawn := _drawable(found[name]))}


def read_words(run: Run) -> np.ndarray:
    """Steps (first row) and words read by then (second row), from none on; empty if not logged."""
    known = [(row["step"], row[WORDS_KEY]) for row in run.metrics if is_number(row.get(WORDS_KEY))]
    start = [(0, 0)] if known else []
    return np.array(sorted(start + known), dtype=float).reshape(-1, 2).T


def smoothed(values: np.ndarray) -> np.ndarray:
    """A centred moving mean over a fiftieth of the values, taken twice."""
    return _moving_mean(_moving_mean(values))


def thinned(x: np.ndarray, y: np.ndarray, num_bins: int) -> np.ndarray:
    """Which points to draw: the least and greatest y in each of equal bins of x, and both ends."""
    if len(x) <= 2 * num_bins or x[0] == x[-1]:
        return np.arange(len(x))
    bins = ((x - x[0]) / (x[-1] - x[0]) * num_bins).astype(int)
    order = np.lexsort((y, bins))
    starts = np.flatnonzero(np.diff(bins[order], prepend=-1))
    ends = np.append(starts[1:], len(x)) - 1
    return np.unique(np.concatenate([[0, len(x) - 1], order[starts], order[ends]]))


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """So many of the items, evenly spaced, with the first and the last."""
    if len(items) <= count:
        return list(items)
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]


def vocabulary_curves(runs: list[Run]) -> list[Curve]:
    """The effective vocabulary of each run whose ages of acquisition are known."""
    curves = []
    for index, run in enumerate(runs):
        for evaluation in run.evaluations:
            if evaluation.ages and evaluation.ages.steps:
                points = zip(evaluation.ages.steps, evaluation.ages.vocabulary, strict=True)
                curves.append(_curve(index, list(points), read_words(run)))
    return curves


def is_log_spaced(steps: list[int]) -> bool:
    """Whether milestones grow like 1, 10, 100 rather than like 1, 2, 3."""
    known = sorted({step for step in steps if step > 0})
    if len(known) < 4 or known[-1] < 10 * known[0]:
        return False
    median = float(np.median(known))
    from_geometric = abs(math.log(median / math.sqrt(known[0] * known[-1])))
    return from_geometric < abs(math.log(median / ((known[0] + known[-1]) / 2)))


def _moving_mean(values: np.ndarray) -> np.ndarray:
    count = len(values)
    index = np.arange(count)
    # Narrow at the start, where curves are steep; cut short at the end, where they are flat.
    half = np.minimum(count // 100, index)
    end = np.minimum(index + half + 1, count)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    return (sums[end] - sums[index - half]) / (end - index + half)


def _curve(run: int, points: list[tuple[int, float]], words: np.ndarray) -> Curve:
    array = np.array(points, dtype=float).reshape(-1, 2)
    finite = array[np.isfinite(array).all(axis=1)]
    finite = finite[np.argsort(finite[:, 0], kind="stable")]
    steps, values = finite.T
    at = np.interp(steps, *words) if words.size else np.array([])
    return Curve(run, steps, at, values, smoothed(values), len(array) - len(finite))


def _drawable(found: dict[str, list[Curve]]) -> dict[str, list[Curve]]:
    """Only curves with a point, and only keys with a curve."""
    kept = {key: [c for c in curves if len(c.values)] for key, curves in found.items()}
    return {key: curves for key, curves in kept.items() if curves}


def _place(key: str, keys: list[str]) -> tuple[int, str, bool, str]:
    """Lessons (groups with a loss) first, the machinery last; in a group, the loss first."""
    group, name = group_of(key), key.rpartition("/")[2]
    if group in GROUPS_AT_THE_END:
        rank = 2 + GROUPS_AT_THE_END.index(group)
    else:
        rank = 0 if f"{group}/loss" in keys else 1
    return rank, group, name != "loss", name


def group_of(key: str) -> str:
    """The group of a metric's key; keys without one are `other`."""
    return key.partition("/")[0] if "/" in key else "other"
