"""REINFORCE with a leave-one-out baseline (Ahmadian et al., 2024, https://arxiv.org/abs/2402.14740).

A response y is one action. For k responses y₁ … y_k to a prompt x, the RLOO estimator of the
gradient is 1/k · Σᵢ [ R(yᵢ) − 1/(k−1) · Σ_{j≠i} R(yⱼ) ] · ∇ ln π(yᵢ | x). R is the score less the
KL penalty of the whole response: the sum of a row of `scores.token_rewards`.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tutelage.objectives.ppo import ratio


def leave_one_out(scores: Float[Tensor, "prompt group"]) -> Float[Tensor, "prompt group"]:
    """Advantage of each response: its score less the mean score of the prompt's other ones."""
    group_size = scores.shape[1]
    if group_size < 2:
        raise ValueError(
            "Leave-one-out needs at least 2 responses per prompt, since each is compared with the "
            f"others; got {group_size}."
        )
    return (scores - scores.mean(1, keepdim=True)) * (group_size / (group_size - 1))


def sequence_logprobs(
    logprobs: Float[Tensor, "batch time"], mask: Bool[Tensor, "batch time"]
) -> Float[Tensor, " batch"]:
    """Log-probability of each whole response."""
    return torch.where(mask, logprobs, 0).sum(1)


def reinforce_loss(
    logprobs: Float[Tensor, " batch"],
    advantages: Float[Tensor, " batch"],
    *,
    old_logprobs: Float[Tensor, " batch"] | None = None,
) -> Float[Tensor, " batch"]:
    """Policy loss of each response, to be averaged over responses: −A · ln π, or −A · π/π_old.

    Where the policy is still the one that sampled, both have the same gradient, the estimator's.
    After that the ratio keeps it unbiased; `ppo.clipped_surrogate` bounds it.

    Args:
        logprobs: Log-probability of each whole response under the policy in training.
        advantages: Advantage of each response. No gradient.
        old_logprobs: Log-probability under the policy that sampled it. No gradient.
    """
    if old_logprobs is None:
        return -advantages * logprobs
    return -advantages * ratio(logprobs, old_logprobs)
