"""Proximal policy optimization (Schulman et al., 2017, https://arxiv.org/abs/1707.06347).

Advantages are those of generalized advantage estimation (https://arxiv.org/abs/1506.02438). How
scores become rewards of tokens is in `scores.py`, whitening in `moments.py`, the KL in `kl.py`.
Everything is per token and in nats. A function with a mask never reads what masked tokens hold, and
gives 0 there. The losses have none: their reducer drops masked tokens, which need only be finite.
"""

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from tutelage.objectives.moments import mean_and_variance

LOG_RATIO_LIMIT = 20.0
"""Where log-ratios are clamped before the exponential, so that no ratio is infinite."""


def ratio(
    logprobs: Float[Tensor, "*shape"], old_logprobs: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """How much likelier each token (or response) is under the policy than when it was sampled."""
    return (logprobs - old_logprobs).clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).exp()


def clipped_surrogate(
    logprobs: Float[Tensor, "*shape"],
    old_logprobs: Float[Tensor, "*shape"],
    advantages: Float[Tensor, "*shape"],
    *,
    clip: float,
    dual_clip: float | None = None,
) -> Float[Tensor, "*shape"]:
    """Policy loss of each token (Eq. 7), to be averaged over response tokens.

    Args:
        logprobs: Log-probability of each sampled token under the policy in training.
        old_logprobs: The same under the policy that sampled it. No gradient.
        advantages: Advantage of each token. No gradient; whiten first, if at all.
        clip: Half-width of the trust region around ratio 1, in (0, 1).
        dual_clip: The ratio, above 1, beyond which a token of negative advantage no longer counts
            (https://arxiv.org/abs/1912.09729); Eq. 7 alone has no bound there.
    """
    ratios = ratio(logprobs, old_logprobs)
    losses = torch.maximum(-advantages * ratios, -advantages * ratios.clamp(1 - clip, 1 + clip))
    if dual_clip is None:
        return losses
    bounded = torch.minimum(losses, -advantages * dual_clip)
    return torch.where(advantages < 0, bounded, losses)


def clipped_value_loss(
    values: Float[Tensor, "*shape"],
    old_values: Float[Tensor, "*shape"],
    returns: Float[Tensor, "*shape"],
    *,
    clip: float | None,
) -> Float[Tensor, "*shape"]:
    """Half the squared error of each token's value, or that of the clipped value if it is larger.

    Args:
        values: The critic's values now.
        old_values: Its values when the tokens were sampled. No gradient.
        returns: What the values should have been. No gradient.
        clip: How far a value may move from its old one and still gain by it; `None`: any distance.
    """
    losses = (values - returns).square()
    if clip is not None:
        clipped = torch.clamp(values, old_values - clip, old_values + clip)
        losses = torch.maximum(losses, (clipped - returns).square())
    return losses / 2


def gae(
    rewards: Float[Tensor, "batch time"],
    values: Float[Tensor, "batch time"],
    mask: Bool[Tensor, "batch time"],
    *,
    gamma: float,
    lam: float,
    bootstrap: Float[Tensor, " batch"] | None = None,
) -> tuple[Float[Tensor, "batch time"], Float[Tensor, "batch time"]]:
    """Advantages (Eq. 16 of the GAE paper), and returns, which are advantages plus values.

    The tokens that count follow each other directly, however many masked ones lie between them:
    those neither decay nor delay anything. Masked tokens get 0 in both results.

    Args:
        rewards: Reward of each token. No gradient, nor for what follows.
        values: The critic's value of the state in which each token was chosen.
        mask: True on the tokens that count.
        gamma: Discount, in [0, 1].
        lam: Weight of longer sums of rewards, in [0, 1]: 0 is the TD error, 1 is Monte Carlo.
        bootstrap: Value of the state after each row's last token; 0 where the episode ends there,
            and everywhere if it is left out.
    """
    advantages = torch.zeros_like(values)
    advantage = values.new_zeros(len(values))
    next_value = advantage if bootstrap is None else bootstrap
    for t in reversed(range(values.shape[1])):
        delta = rewards[:, t] + gamma * next_value - values[:, t]
        advantage = torch.where(mask[:, t], delta + gamma * lam * advantage, advantage)
        next_value = torch.where(mask[:, t], values[:, t], next_value)
        advantages[:, t] = advantage
    return torch.where(mask, advantages, 0), torch.where(mask, advantages + values, 0)


def clip_fraction(
    logprobs: Float[Tensor, "*shape"],
    old_logprobs: Float[Tensor, "*shape"],
    advantages: Float[Tensor, "*shape"],
    *,
    clip: float,
) -> Float[Tensor, "*shape"]:
    """1 on tokens that the clip holds back, else 0: they left the trust region as they should."""
    ratios = ratio(logprobs, old_logprobs)
    return (-advantages * ratios.clamp(1 - clip, 1 + clip) > -advantages * ratios).to(ratios.dtype)


def clamp_fraction(
    logprobs: Float[Tensor, "*shape"], old_logprobs: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """1 on tokens whose log-ratio had to be clamped, else 0. In sound training there are none."""
    return ((logprobs - old_logprobs).abs() > LOG_RATIO_LIMIT).to(logprobs.dtype)


def ratio_range(
    logprobs: Float[Tensor, "*shape"],
    old_logprobs: Float[Tensor, "*shape"],
    mask: Bool[Tensor, "*shape"],
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Smallest and largest ratio of the tokens that count; of none, infinity and −infinity.

    The minimum and maximum over shards are then those of the whole. Both are 1 before the first
    update: anything else says that sampling and training disagree.
    """
    ratios = ratio(logprobs, old_logprobs)
    return torch.where(mask, ratios, torch.inf).amin(), torch.where(mask, ratios, -torch.inf).amax()


def explained_variance(
    errors: Float64[Tensor, "3"], returns: Float64[Tensor, "3"]
) -> Float64[Tensor, ""]:
    """Share of the returns' variance that the values predicted; 0 if returns do not vary.

    1 is a perfect critic, 0 no better than a constant, and less is worse than one.

    Args:
        errors: Moments of `returns - values`, values being those before the update.
        returns: Moments of the returns.
    """
    residual, variance = mean_and_variance(errors)[1], mean_and_variance(returns)[1]
    return torch.where(variance > 0, 1 - residual / variance, 0)
