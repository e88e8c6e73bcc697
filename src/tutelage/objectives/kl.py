"""How far a policy is from another: estimates from its own samples, a loss, a controller.

With x drawn from a policy π and another distribution ρ, k1 = ln π(x) − ln ρ(x), k2 = ½ k1² and
k3 = exp(−k1) − 1 + k1 (Schulman, http://joschu.net/blog/kl-approx.html) estimate KL(π‖ρ). k1 and
k3 are unbiased; k3 is never negative. Their values are good for logging; their gradients are not
the KL's: on average k1's is 0, and k3's is that of KL(ρ‖π). k2's is right.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from tutelage.objectives.ppo import LOG_RATIO_LIMIT


def k1(
    logprobs: Float[Tensor, "*shape"], ref_logprobs: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Unbiased, negative where the reference finds a token likelier: the penalty in rewards."""
    return logprobs - ref_logprobs


def k2(
    logprobs: Float[Tensor, "*shape"], ref_logprobs: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Never negative, biased, and with the right gradient."""
    return k1(logprobs, ref_logprobs).square() / 2


def k3(
    logprobs: Float[Tensor, "*shape"], ref_logprobs: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Unbiased and never negative.

    `k3(old_logprobs, logprobs)`, on tokens that the old policy sampled, says how far the policy has
    moved from it.
    """
    exponents = (ref_logprobs - logprobs).clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
    return torch.expm1(exponents) + k1(logprobs, ref_logprobs)


def kl_loss(
    logprobs: Float[Tensor, "*shape"],
    ref_logprobs: Float[Tensor, "*shape"],
    *,
    value: Literal["k1", "k3"] = "k3",
) -> Float[Tensor, "*shape"]:
    """KL to the reference as a loss: an unbiased value, and on average the KL's own gradient.

    The gradient is that of the KL between the next-token distributions in the states that were
    reached, on tokens that this very policy sampled. What a token does to the KL of later ones is
    not in it; with the KL in the reward, it is.

    Args:
        logprobs: Log-probability of each sampled token under the policy in training.
        ref_logprobs: The same under the reference. No gradient.
        value: The estimate that the loss shows.
    """
    estimate = k1 if value == "k1" else k3
    surrogate = k2(logprobs, ref_logprobs)
    return estimate(logprobs.detach(), ref_logprobs) + (surrogate - surrogate.detach())


def adapted_kl_coef(
    coef: float, kl: float, *, target: float, horizon: int = 10_000, num_steps: int
) -> float:
    """The coefficient for the next round (Ziegler et al., 2019, https://arxiv.org/abs/1909.08593).

    It grows while the KL is above the target and shrinks below it, by at most a fifth per horizon.

    Args:
        coef: The coefficient of this round.
        kl: KL to the reference of a whole response: summed over its tokens, mean over responses.
        target: The KL to keep, in the same units; above 0.
        horizon: Responses over which an error acts in full.
        num_steps: Responses of this round, over all processes.
    """
    error = min(max(kl / target - 1, -0.2), 0.2)
    # A round longer than the horizon acts like one of its length, or the sign could change.
    return coef * (1 + error * min(num_steps / horizon, 1))
