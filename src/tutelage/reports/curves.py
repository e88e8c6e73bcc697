"""Curves of logged metrics and of measures, collected per key over steps and over words."""

import itertools
import math
from collections import defaultdict
from typing import NamedTuple

import numpy as np

from tutelage.reports.json_lines import is_number
from tutelage.reports.runs import Run
from tutelage.reports.thinning import smoothed

WORDS_KEYS = {"words": "budget/read_words", "generated": "budget/generated_words"}
"""What counts the words of each unit of the x-axis that is not steps."""
GROUPS_AT_THE_END = ("optim", "budget", "time")


class Curve(NamedTuple):
    """One metric of one run, without values that are not finite; words are empty if unknown."""

    run: int
    steps: np.ndarray
    words: np.ndarray
    values: np.ndarray
    smooth: np.ndarray
    num_dropped: int
    generated: np.ndarray = np.array([])

    def along(self, unit: str) -> np.ndarray:
        """Where the values are on an x-axis of steps, words read or words generated."""
        return {"steps": self.steps, "words": self.words, "generated": self.generated}[unit]

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
        words = word_counts(run)
        for key, points in columns.items():
            found[key].append(_curve(index, points, words))
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
        words = word_counts(run)
        for (name, measure), by_step in points.items():
            found[name][measure].append(_curve(index, sorted(by_step.items()), words))
    return {name: drawn for name in sorted(found) if (drawn := _drawable(found[name]))}


def word_counts(run: Run) -> dict[str, np.ndarray]:
    """Per unit, steps (first row) and words by then (second row), from none on; empty if unknown.

    A round's words are counted at its first step and learned from in all: they are spread over it.
    """
    counts = {}
    for unit, key in WORDS_KEYS.items():
        rows = [row for row in run.metrics if is_number(row.get(key))]
        known = sorted((row["step"], row[key], row.get("round", -1)) for row in rows)
        last = [p[:2] for p, q in itertools.pairwise([*known, (0,)]) if p[1:] != q[1:]]
        start = [(0, 0)] if known else []
        counts[unit] = np.array(start + last, dtype=float).reshape(-1, 2).T
    return counts


def vocabulary_curves(runs: list[Run]) -> list[Curve]:
    """The effective vocabulary of each run whose ages of acquisition are known."""
    curves = []
    for index, run in enumerate(runs):
        for evaluation in run.evaluations:
            if evaluation.ages and evaluation.ages.steps:
                points = zip(evaluation.ages.steps, evaluation.ages.vocabulary, strict=True)
                curves.append(_curve(index, list(points), word_counts(run)))
    return curves


def is_log_spaced(steps: list[int]) -> bool:
    """Whether milestones grow like 1, 10, 100 rather than like 1, 2, 3."""
    known = sorted({step for step in steps if step > 0})
    if len(known) < 4 or known[-1] < 10 * known[0]:
        return False
    median = float(np.median(known))
    from_geometric = abs(math.log(median / math.sqrt(known[0] * known[-1])))
    return from_geometric < abs(math.log(median / ((known[0] + known[-1]) / 2)))


def _curve(run: int, points: list[tuple[int, float]], words: dict[str, np.ndarray]) -> Curve:
    array = np.array(points, dtype=float).reshape(-1, 2)
    finite = array[np.isfinite(array).all(axis=1)]
    finite = finite[np.argsort(finite[:, 0], kind="stable")]
    steps, values = finite.T
    at = {unit: np.interp(steps, *w) if w.size else np.array([]) for unit, w in words.items()}
    dropped = len(array) - len(finite)
    return Curve(run, steps, at["words"], values, smoothed(values), dropped, at["generated"])


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
