"""What of many values is shown: smoothed lines, thinned lines, a few of many items."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")


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


def _moving_mean(values: np.ndarray) -> np.ndarray:
    count = len(values)
    index = np.arange(count)
    # Narrow at the start, where curves are steep; cut short at the end, where they are flat.
    half = np.minimum(count // 100, index)
    end = np.minimum(index + half + 1, count)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    return (sums[end] - sums[index - half]) / (end - index + half)
