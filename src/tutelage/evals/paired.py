"""Whether one of two judges of the same pairs is right more often."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

Z = 1.959963984540054
"""Half-width of a 95 % interval, in standard errors."""


class Difference(NamedTuple):
    """A share less another, with its 95 % interval."""

    value: float
    low: float
    high: float


def wilson(share: float, trials: float) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson, 1927, doi:10.1080/01621459.1927.10502953)."""
    centre = share + Z**2 / (2 * trials)
    half = Z * math.sqrt(share * (1 - share) / trials + Z**2 / (4 * trials**2))
    scale = 1 + Z**2 / trials
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def paired_difference(one: Sequence[float], other: Sequence[float]) -> Difference:
    """How much more often `one` is right than `other`, on the same items.

    The interval is the tenth method of Newcombe (1998, "Improved confidence intervals for the
    difference between binomial proportions based on paired data"): that of Wilson for each share,
    joined by how far the two agree. It has a width even where the two never differ.

    Args:
        one: Of each item 1 (right), 0 (wrong) or ½, which counts as half an item of each.
        other: The same of the other judge.
    """
    trials = len(one)
    pairs = list(zip(one, other, strict=True))
    both = sum(a * b for a, b in pairs)
    neither = sum((1 - a) * (1 - b) for a, b in pairs)
    share, other_share = sum(one) / trials, sum(other) / trials
    phi = _correlation(both, sum(one) - both, sum(other) - both, neither)
    (low, high), (other_low, other_high) = wilson(share, trials), wilson(other_share, trials)
    value = share - other_share
    down = _joined(share - low, other_high - other_share, phi)
    up = _joined(high - share, other_share - other_low, phi)
    return Difference(value, max(-1.0, value - down), min(1.0, value + up))


def _correlation(both: float, one: float, other: float, neither: float) -> float:
    """The correlation of two judges from their table of counts, corrected for continuity."""
    product = (both + one) * (other + neither) * (both + other) * (one + neither)
    if product <= 0:
        return 0.0
    found = both * neither - one * other
    if found > 0:
        found = max(found - (both + one + other + neither) / 2, 0.0)
    return found / math.sqrt(product)


def _joined(one: float, other: float, phi: float) -> float:
    return math.sqrt(max(one**2 - 2 * phi * one * other + other**2, 0.0))
