"""Mean and variance over what counts, in any number of shards; whitening and normalising by them.

Moments are three numbers: count, sum and sum of squares. They add up, over micro-batches and
processes to those of a batch, and over rounds to those of a run. They are `float64`, in which the
squares of `float32` numbers are exact and their sums nearly so: the variance survives a large mean.
"""

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

EPSILON = 1e-8
"""Added to a variance before its inverse root is taken."""

ROUNDING = 1e-12
"""Variance in units of the mean square below which there is none."""


def moments(
    values: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"] | None = None
) -> Float64[Tensor, "3"]:
    """Count, sum and sum of squares of the values that count: all, without a mask."""
    if mask is None:
        mask = torch.ones_like(values, dtype=torch.bool)
    counted = torch.where(mask, values, 0).double()
    return torch.stack([mask.sum().double(), counted.sum(), counted.square().sum()])


def mean_and_variance(
    total: Float64[Tensor, "3"],
) -> tuple[Float64[Tensor, ""], Float64[Tensor, ""]]:
    """Mean and population variance; 0 and 0 of nothing."""
    count, summed, squares = total.unbind()
    mean, mean_square = summed / count.clamp(min=1), squares / count.clamp(min=1)
    variance = mean_square - mean.square()
    # What is left of equal numbers is the rounding of their sums.
    return mean, torch.where(variance > ROUNDING * mean_square, variance, 0)


def whiten(
    values: Float[Tensor, "*shape"],
    mask: Bool[Tensor, "*shape"],
    *,
    center: bool,
    total: Float64[Tensor, "3"],
) -> Float[Tensor, "*shape"]:
    """Values in units of their standard deviation; masked ones get 0.

    Fewer than two numbers have no spread to divide by, and stay as they are.

    Args:
        values: Advantages, or rewards of tokens.
        mask: True on the values that count.
        center: The mean becomes 0; otherwise it stays what it was.
        total: Moments of the whole batch that `values` are a share of, over all processes.
    """
    mean, variance = mean_and_variance(total)
    has_spread = total[0] >= 2
    pivot = torch.where(has_spread, mean, 0)
    scale = torch.where(has_spread, (variance + EPSILON).rsqrt(), 1)
    whitened = (values - pivot) * scale
    return torch.where(mask, whitened if center else whitened + pivot, 0)


def normalise(
    scores: Float[Tensor, " batch"], *, total: Float64[Tensor, "3"]
) -> Float[Tensor, " batch"]:
    """Scores with the mean and standard deviation of a run so far made 0 and 1.

    Args:
        scores: What the reward says of each response.
        total: The run's moments, these scores among them: `total = total + moments(scores)`.
            No normalised score is then farther from 0 than √(count − 1).
    """
    return whiten(scores, torch.ones_like(scores, dtype=torch.bool), center=True, total=total)
