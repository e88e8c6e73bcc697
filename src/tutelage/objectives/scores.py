"""From what a reward says of whole responses to the rewards of their tokens.

In order: a response that did not end is penalised, truncation decides what counts, and what is left
of the score goes to the response's last token, beside the penalty for leaving the reference.
"""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor


class Episodes(NamedTuple):
    """What of each response is learned from, once it is known how truncation is read."""

    scores: Float[Tensor, " batch"]
    mask: Bool[Tensor, "batch time"]
    bootstraps: Bool[Tensor, " batch"]
    """Rows that go on after their last token: GAE starts there from the critic's value."""


def penalise_missing_end(
    scores: Float[Tensor, " batch"],
    ended: Bool[Tensor, " batch"],
    *,
    penalty: float,
    how: Literal["replace", "subtract"],
) -> Float[Tensor, " batch"]:
    """Scores in which responses without an end are worth less.

    Args:
        scores: What the reward says of each response.
        ended: True if the student ended it, by the end token or a stop string.
        penalty: How bad it is not to end; 0 or more.
        how: The score becomes −penalty, or is lowered by it.
    """
    penalised = torch.full_like(scores, -penalty) if how == "replace" else scores - penalty
    return torch.where(ended, scores, penalised)


def episodes(
    scores: Float[Tensor, " batch"],
    mask: Bool[Tensor, "batch time"],
    ended: Bool[Tensor, " batch"],
    *,
    truncation: Literal["terminal", "bootstrap", "mask"],
) -> Episodes:
    """Scores and tokens that count, when some responses were cut off by a limit of length.

    `terminal` takes the cut for an end. `bootstrap` takes the response for unfinished: the critic's
    value after the last token stands for the score to come, so the score of the cut text is left
    out. With both, a critic that is right would see an advantage in being cut off, and no
    critic could be right. `mask` learns nothing from cut responses.
    """
    nothing = torch.zeros_like(ended)
    if truncation == "bootstrap":
        return Episodes(torch.where(ended, scores, 0), mask, ~ended)
    if truncation == "mask":
        return Episodes(scores, mask & ended[:, None], nothing)
    return Episodes(scores, mask, nothing)


def place_scores(
    scores: Float[Tensor, " batch"], mask: Bool[Tensor, "batch time"]
) -> Float[Tensor, "batch time"]:
    """Each row's score on its last token that counts, and 0 elsewhere.

    A row in which no token counts has nowhere to put its score, and stays 0.
    """
    num_left = mask.flip(1).cumsum(1).flip(1)  # tokens that count, from here on
    return torch.where(mask & (num_left == 1), scores[:, None], 0)


def token_rewards(
    scores: Float[Tensor, " batch"],
    kl: Float[Tensor, "batch time"],
    mask: Bool[Tensor, "batch time"],
    *,
    kl_coef: float,
) -> Float[Tensor, "batch time"]:
    """Reward of each token: −kl_coef · KL, plus the score on the last one.

    A row's sum is its score less the penalty for the whole response, as RLOO uses it.

    Args:
        scores: What the reward says of each response.
        kl: k1 of each token: log-probability when sampled, less that under the reference.
        mask: True on the tokens that count.
        kl_coef: Weight of the penalty, in units of score per nat.
    """
    return torch.where(mask, -kl_coef * kl, 0) + place_scores(scores, mask)


def token_weights(
    mask: Bool[Tensor, "batch time"], *, per: Literal["token", "sequence"]
) -> Float[Tensor, "batch time"]:
    """Weight of each token's loss; the sum of weights is what the summed loss is divided by.

    `token`: every token that counts weighs the same, so long responses weigh more. `sequence`:
    every response with such tokens weighs the same, and its tokens share that weight.
    """
    weights = mask.float()
    if per == "token":
        return weights
    return weights / weights.sum(1, keepdim=True).clamp(min=1)
