"""Rewards conditioned on age (Ma et al., 2024, https://arxiv.org/abs/2405.13828, Eq. 1).

The age of a text is log2 of the training step at which its writer would write so. A text is worth
as much as it is older than the learner.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from tutelage.objectives.shapes import Shape


def age_reward(
    ages: Float[Tensor, " batch"], own_ages: Float[Tensor, " batch"], shape: Shape
) -> Float[Tensor, " batch"]:
    """What each text is worth.

    Args:
        ages: Age of each text, in log2 steps.
        own_ages: Age that it is compared with: the learner's, or that of its twin's text.
        shape: difference: `a − s` (the paper's, log n̂ / n). ratio: `a / s`, where an s below 1
            (step 2) counts as 1: towards 0 quotients grow without limit, and behind it they turn
            round. raw: `a`. binary: `a` where `a ≥ s`, else −1.
    """
    if shape == "difference":
        return ages - own_ages
    if shape == "ratio":
        return ages / own_ages.clamp(min=1.0)
    if shape == "raw":
        return ages
    return torch.where(ages >= own_ages, ages, -1.0)
