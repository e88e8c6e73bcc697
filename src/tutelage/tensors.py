"""Tensor tools under everything else: named random generators, draws, scores of tokens."""

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

# Tokens whose probabilities are summed before the block that a token is drawn from is looked up.
_SUMMED = 128


class TokenScores(NamedTuple):
    """What a student says of given tokens, in nats; `float32`, or `float64` if the student is.

    With logits as Q-values, `logsumexps` are the soft values of the states and
    `logprobs + logsumexps` the Q-values of the tokens.
    """

    logprobs: Tensor
    logsumexps: Tensor
    entropies: Tensor | None = None
    """Entropy of the distribution that each token was scored by, in nats, if asked for."""
    values: Tensor | None = None
    """Value of the state that each token was chosen in, if the student has a value head."""
    kls: Tensor | None = None
    """KL(student‖reference) of the distributions over the whole vocabulary, beside a reference."""
    drawn_logprobs: Tensor | None = None
    """Log-probability of a token drawn from the student in each state, if the KL is sampled."""
    drawn_ref_logprobs: Tensor | None = None
    """The same token's under the reference. No gradient."""

    def map(self, change: Callable[[Tensor], Tensor]) -> "TokenScores":
        """The same change to all parts that are there."""
        return TokenScores(*(None if part is None else change(part) for part in self))  # pyright: ignore


def generator(seed: int, *names: str | int) -> torch.Generator:
    """A CPU generator of its own for each seed and path of names, the same on every machine."""
    digest = hashlib.sha256(repr((int(seed), *names)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))


def draw(
    weights: Float[Tensor, "row vocab"], uniforms: Float[Tensor, " row"]
) -> Int[Tensor, " row"]:
    """One column of each row by inverse CDF, each as likely as its share of the row's sum.

    Args:
        weights: Probabilities, or multiples of them; never drawn where they are 0.
        uniforms: In [0, 1): what decides.
    """
    if weights.shape[1] <= _SUMMED:
        cumulative = weights.cumsum(1)
        return _first_past(cumulative, uniforms * cumulative[:, -1])
    # Sums of blocks first: a cumulative sum over a vocabulary takes longer than its softmax.
    blocks = F.pad(weights, (0, -weights.shape[1] % _SUMMED)).unflatten(1, (-1, _SUMMED))
    sums = blocks.sum(2)
    ends = sums.cumsum(1)
    shares = uniforms * ends[:, -1]
    block = _first_past(ends, shares)[:, None]
    inside = blocks.gather(1, block[:, :, None].expand(-1, 1, _SUMMED)).squeeze(1).cumsum(1)
    before = (ends.gather(1, block) - sums.gather(1, block)).squeeze(1)
    return block.squeeze(1) * _SUMMED + _first_past(inside, (shares - before).clamp(min=0))


def _first_past(cumulative: Tensor, shares: Tensor) -> Tensor:
    """Where each row's cumulative sum passes its share of it."""
    # Rounded up to the total, a share would fall behind the last possible place.
    below = torch.nextafter(cumulative[:, -1], cumulative.new_zeros(()))
    shares = torch.minimum(shares, below)[:, None]
    return torch.searchsorted(cumulative, shares, right=True).squeeze(1)


def whole_scores(
    logits: Float[Tensor, "row vocab"],
    targets: Int[Tensor, " row"],
    *,
    entropy: bool = False,
    ref_logits: Float[Tensor, "row vocab"] | None = None,
    uniforms: Float[Tensor, " row"] | None = None,
) -> TokenScores:
    """Scores of each target from all logits at once; see `chunked_head.head.chunked_head`."""
    logsumexps = logits.logsumexp(1)
    scores = TokenScores(_at(logits, targets) - logsumexps, logsumexps)
    if entropy:
        entropies = row_entropies(logits, logits.softmax(1), logsumexps)
        scores = scores._replace(entropies=entropies)
    if ref_logits is None:
        return scores
    probs, ref_logsumexps = logits.softmax(1), ref_logits.logsumexp(1)
    if uniforms is None:
        ratios = logits - ref_logits - (logsumexps - ref_logsumexps)[:, None]
        return scores._replace(kls=(probs * ratios.masked_fill(probs == 0, 0.0)).sum(1))
    drawn = draw(probs.detach(), uniforms)
    return scores._replace(
        drawn_logprobs=_at(logits, drawn) - logsumexps,
        drawn_ref_logprobs=_at(ref_logits, drawn) - ref_logsumexps,
    )


def _at(rows: Tensor, tokens: Tensor) -> Tensor:
    """What each row has for its token."""
    return rows.gather(1, tokens[:, None]).squeeze(1)


def row_entropies(
    logits: Float[Tensor, "row vocab"],
    probs: Float[Tensor, "row vocab"],
    logsumexps: Float[Tensor, " row"],
) -> Float[Tensor, " row"]:
    """−Σ p log p of each row; a token of probability 0 adds nothing, even at a logit of −∞."""
    return logsumexps - (probs * logits.masked_fill(probs == 0, 0.0)).sum(1)
