"""Regression on a number that is known of each text, such as the age of its writer."""

from jaxtyping import Float
from torch import Tensor


def squared_error(
    predicted: Float[Tensor, " batch"], actual: Float[Tensor, " batch"]
) -> Float[Tensor, " batch"]:
    """Squared error of each prediction, to be averaged over texts."""
    return (predicted - actual).square()
