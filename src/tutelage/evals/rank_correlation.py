"""Rank correlations and means over prompts, with intervals by resampling prompts.

Responses to one prompt are no independent rows, so what is drawn with replacement are prompts, each
with all of its responses (the cluster bootstrap; Davison and Hinkley, 1997, section 3.8,
doi:10.1017/CBO9780511802843). Intervals are from the 2.5 % to the 97.5 % quantile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tutelage.evals.age_card import spearman

DRAWS = 2000
FEWEST_ROWS = 3
FEWEST_PROMPTS = 10
NUMBERS_AT_ONCE = 2_000_000

Array = NDArray[np.float64]


class Estimate(NamedTuple):
    """A number and its 95 % interval, as far as they are known."""

    value: float | None
    low: float | None = None
    high: float | None = None


class Resampling:
    """Draws of prompts with replacement, the same ones for whatever is estimated.

    Args:
        groups: The number of each row's prompt, from 0, without gaps.
        seed: Seed of the draws.
    """

    def __init__(self, groups: Sequence[int], seed: int) -> None:
        self.groups = np.asarray(groups, dtype=np.intp)
        self.num_groups = int(self.groups.max()) + 1
        self.seed = seed

    @property
    def is_possible(self) -> bool:
        """Whether there are enough prompts for an interval."""
        return self.num_groups >= FEWEST_PROMPTS

    def draws(self) -> Iterator[Array]:
        """How often each row is drawn, a line for each draw, some lines at a time."""
        rng = np.random.default_rng(self.seed)
        even = np.full(self.num_groups, 1 / self.num_groups)
        left, most = DRAWS, max(1, NUMBERS_AT_ONCE // len(self.groups))
        while left:
            times = rng.multinomial(self.num_groups, even, size=min(left, most))
            left -= len(times)
            yield times[:, self.groups].astype(np.float64)


def correlations(
    readouts: Mapping[str, Array], metric: Array, resampling: Resampling
) -> dict[str, Estimate]:
    """Spearman's ρ of each read-out with a metric; under "a less b", ρ of a less that of b.

    None where a read-out or the metric is the same in all rows; no interval where draws of such
    rows are all there is, or prompts are few. Differences are those of the first read-out with the
    others.
    """
    found = {name: Estimate(spearman(values, metric)) for name, values in readouts.items()}
    first, *others = found
    for name in others:
        one, two = found[first].value, found[name].value
        gap = None if one is None or two is None else one - two
        found[less(first, name)] = Estimate(gap)
    if resampling.is_possible:
        drawn: dict[str, list[Array]] = {name: [] for name in readouts}
        for weights in resampling.draws():
            ranks = weighted_ranks(metric, weights)
            for name, values in readouts.items():
                own = weighted_ranks(values, weights)
                drawn[name].append(weighted_correlation(own, ranks, weights))
        every = {name: np.concatenate(parts) for name, parts in drawn.items()}
        every |= {less(first, name): every[first] - every[name] for name in others}
        found = {name: _within(estimate, every[name]) for name, estimate in found.items()}
    return found


def less(one: str, other: str) -> str:
    """How the difference of two is called."""
    return f"{one} less {other}"


def mean(values: Array, resampling: Resampling) -> Estimate:
    """The mean of one number for each prompt."""
    estimate = Estimate(float(values.mean()))
    if not resampling.is_possible:
        return estimate
    drawn = np.concatenate([weights @ values / len(values) for weights in resampling.draws()])
    return _within(estimate, drawn)


def weighted_ranks(values: Array, weights: Array) -> Array:
    """The mean rank of each row where row i is there weights[:, i] times."""
    order = np.argsort(values, kind="stable")
    distinct, inverse = np.unique(values, return_inverse=True)
    starts = np.searchsorted(values[order], distinct)
    grouped = np.add.reduceat(weights[:, order], starts, axis=1)
    return (grouped.cumsum(axis=1) - (grouped - 1) / 2)[:, inverse]


def weighted_correlation(one: Array, other: Array, weights: Array) -> Array:
    """Pearson's r of each line, where row i is there weights[:, i] times; NaN if undefined."""
    total = weights.sum(axis=1, keepdims=True)
    one = one - (weights * one).sum(axis=1, keepdims=True) / total
    other = other - (weights * other).sum(axis=1, keepdims=True) / total
    spread = (weights * one**2).sum(axis=1) * (weights * other**2).sum(axis=1)
    product = (weights * one * other).sum(axis=1)
    return np.divide(
        product, np.sqrt(spread), out=np.full(len(product), np.nan), where=spread > 1e-9
    )


def _within(estimate: Estimate, drawn: Array) -> Estimate:
    """The estimate with the interval of what was drawn, if nearly all of it is defined."""
    known = drawn[~np.isnan(drawn)]
    if estimate.value is None or len(known) < 0.95 * len(drawn):
        return estimate
    low, high = np.quantile(known, (0.025, 0.975))
    return Estimate(estimate.value, float(low), float(high))
