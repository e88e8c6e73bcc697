"""Preferences between pairs (Bradley & Terry, 1952; Stiennon et al., 2020,
https://arxiv.org/abs/2009.01325): one response is preferred to another with the probability
sigmoid(difference of their scores).
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def preference_nll(
    chosen: Float[Tensor, " pair"],
    rejected: Float[Tensor, " pair"],
    *,
    margin: Float[Tensor, " pair"] | None = None,
) -> Float[Tensor, " pair"]:
    """Negative log-likelihood of each preference, in nats.

    Args:
        chosen: Scores of the responses that people preferred.
        rejected: Scores of the others.
        margin: By how much a score has to lead, more where a preference is strong (Touvron et al.,
            2023, https://arxiv.org/abs/2307.09288, section 3.2.2).
    """
    lead = chosen - rejected
    return -F.logsigmoid(lead if margin is None else lead - margin)


def centring(
    chosen: Float[Tensor, " pair"], rejected: Float[Tensor, " pair"]
) -> Float[Tensor, " pair"]:
    """What keeps scores around 0, which preferences leave open: the squared sum of each pair.

    Eisenstein et al., 2023 (https://arxiv.org/abs/2312.09244), Eq. 2.
    """
    return (chosen + rejected).square()


def is_right(
    chosen: Float[Tensor, " pair"], rejected: Float[Tensor, " pair"]
) -> Float[Tensor, " pair"]:
    """1 where the preferred response has the higher score, 0 where the lower, ½ for a tie."""
    return (torch.sign(chosen - rejected) + 1) / 2
