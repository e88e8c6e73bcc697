"""IQ-Learn on texts: imitation by inverse reinforcement learning, without sampling.

A language model's logits are read as Q-values of tokens (Garg et al., 2021,
https://arxiv.org/abs/2106.12142): the soft value of a state is V(s) = log Σ exp Q(s, a), the policy
log π(a|s) = Q(s, a) − V(s), and the reward that makes this policy optimal
r(s, a) = Q(s, a) − γ V(s'). With the χ² divergence and the demonstrations' own states, what is
minimised is E[−log π(a|s) + λ r(s, a)²] (Eq. 14 of Wulfmeier et al., 2024,
https://arxiv.org/abs/2409.01369): maximum likelihood, and a penalty on rewards. Log π does not
change when a number is added to all logits of a state; r does, and that number is what the penalty
teaches.

In all tensors, column t is about the token chosen at t and the state that it was chosen in.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def q_values(
    logprobs: Float[Tensor, "*shape"], soft_values: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Q of each chosen token: its logit."""
    return logprobs + soft_values


def next_soft_values(
    soft_values: Float[Tensor, "batch time"], is_end: Bool[Tensor, "batch time"]
) -> Float[Tensor, "batch time"]:
    """V of the state after each token; 0 after a token that ends its text, and in the last column.

    Args:
        soft_values: Log-sum-exp of each state's logits.
        is_end: True on tokens that end their text, each in its own column.
    """
    shifted = torch.cat([soft_values[:, 1:], torch.zeros_like(soft_values[:, :1])], dim=1)
    return torch.where(is_end, 0, shifted)


def has_reward(
    mask: Bool[Tensor, "batch time"],
    states: Bool[Tensor, "batch time"],
    is_end: Bool[Tensor, "batch time"],
) -> Bool[Tensor, "batch time"]:
    """True on tokens whose next state has a known value.

    The last token of a text that was cut has none, unless the state after it was read as well; to
    call that state's value 0 would teach that texts end wherever a window does.

    Args:
        mask: True on tokens to learn from.
        states: True where a soft value was computed: on all of the mask, and perhaps one further.
        is_end: True on tokens that end their text.
    """
    after = torch.cat([states[:, 1:], torch.zeros_like(states[:, :1])], dim=1)
    return mask & (is_end | after)


def token_rewards(
    logprobs: Float[Tensor, "batch time"],
    soft_values: Float[Tensor, "batch time"],
    next_values: Float[Tensor, "batch time"],
    *,
    gamma: float,
) -> Float[Tensor, "batch time"]:
    """The reward of each token that a policy reveals: V(s) + log π(a|s) − γ V(s'), in nats.

    Args:
        logprobs: Log π of each chosen token.
        soft_values: V of the state in which it was chosen.
        next_values: V of the state after it; detach it for a target that does not learn.
        gamma: Discount, in [0, 1].
    """
    return q_values(logprobs, soft_values) - gamma * next_values


def td_penalty(rewards: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """r² of each token: what λ weighs, in nats²."""
    return rewards.square()


def td_weight(alpha: float) -> float:
    """λ = 1 / (4 α) of the χ² divergence φ(x) = x − x² / (4 α), with α > 0."""
    return 1 / (4 * alpha)
