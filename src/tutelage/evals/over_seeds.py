"""Means over seeds, with the interval that so few numbers allow (Student, 1908)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class SeedMean(NamedTuple):
    """A mean over seeds and the 95 % interval of what another seed's mean is drawn around."""

    mean: float
    low: float | None
    """None if there is one seed only: one number does not tell how much seeds differ."""
    high: float | None
    n: int
    """Seeds."""


def seed_mean(values: Sequence[float]) -> SeedMean:
    """The mean of one number a seed, with Student's 95 % interval; there must be a value."""
    from scipy.stats import t

    n = len(values)
    mean = math.fsum(values) / n
    if n == 1:
        return SeedMean(mean, None, None, 1)
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    half = float(t.ppf(0.975, n - 1)) * math.sqrt(variance / n)
    return SeedMean(mean, mean - half, mean + half, n)


def estimated(by_seed: Mapping[int, float]) -> dict[str, Any]:
    """The mean of one number a seed and its interval, with the seeds and their values, as JSON."""
    values = list(by_seed.values())
    return {**seed_mean(values)._asdict(), "seeds": list(by_seed), "values": values}
