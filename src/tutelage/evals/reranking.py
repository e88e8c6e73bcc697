"""What a metric comes to if of each prompt's responses the one is taken that is ranked first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tutelage.evals.rank_correlation import Array, Resampling, mean

RANDOM, BEST = "random", "best"


def by_prompt(groups: Sequence[int]) -> list[list[int]]:
    """The rows of each prompt, prompts in the order of their first rows."""
    found: dict[int, list[int]] = {}
    for row, group in enumerate(groups):
        found.setdefault(group, []).append(row)
    return list(found.values())


def ranks(values: Array, groups: Sequence[int]) -> list[int]:
    """The rank of each row among those of its prompt, from 1 for the highest; equal ones share."""
    found = [0] * len(values)
    for rows in by_prompt(groups):
        for row in rows:
            found[row] = 1 + int((values[rows] > values[row]).sum())
    return found


def reranked(
    readouts: Mapping[str, Array], metric: Array, groups: Sequence[int], *, seed: int
) -> list[dict[str, Any]]:
    """The mean metric of each prompt's first response by each read-out, by chance, and at best.

    Of responses that share the first rank the mean counts. Prompts with one response are left out;
    without any other there is no result.

    Args:
        readouts: A number for each row, by name; the highest is first.
        metric: What the responses are worth, more is better.
        groups: The prompt of each row.
        seed: Seed of the draws of prompts behind the intervals, of the gains over chance.
    """
    several = [rows for rows in by_prompt(groups) if len(rows) > 1]
    if not several:
        return []
    resampling = Resampling(range(len(several)), seed)
    chance = np.array([metric[rows].mean() for rows in several])
    taken = {RANDOM: chance}
    for name, values in readouts.items():
        taken[name] = np.array([_first(values[rows], metric[rows]) for rows in several])
    taken[BEST] = np.array([metric[rows].max() for rows in several])
    found = []
    for name, values in taken.items():
        gain = mean(values - chance, resampling)
        row = {"by": name, "mean": float(values.mean()), "gain": gain.value}
        found.append(row | {"low": gain.low, "high": gain.high})
    return found


def _first(values: Array, metric: Array) -> float:
    return float(metric[values == values.max()].mean())
