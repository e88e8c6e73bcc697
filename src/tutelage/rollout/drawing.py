"""Draw tokens from logits: temperature, top-k, top-p, by inverse CDF.

A sampler from the multinomial distribution over a whole vocabulary costs as much as a small model.
One uniform number a row, a cumulative sum and a search cost next to nothing.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from tutelage.tensors import draw

# Candidates looked at first for top-p alone: sorting a whole vocabulary is rarely needed.
_FIRST_CANDIDATES = 256
# Columns of a block: the largest numbers are in the blocks with the largest maxima.
_BLOCK = 64


class Choices(NamedTuple):
    """What each row's next token is drawn from."""

    probs: Float[Tensor, "row candidate"]
    """Not normalised."""
    candidates: Int[Tensor, "row candidate"] | None
    """Tokens, the likeliest first; none: the whole vocabulary."""
    kept_mass: Float[Tensor, " row"]
    """Probability, under the whole policy, of the tokens that can be drawn."""

    @property
    def support(self) -> Int[Tensor, "row candidate"]:
        """The tokens that can be drawn, the likeliest first; −1 fills up. Not for all tokens."""
        assert self.candidates is not None
        return self.candidates.masked_fill(self.probs == 0, -1)

    def draw(self, uniforms: Float[Tensor, " row"]) -> Int[Tensor, " row"]:
        """One token for each row, decided by a number in [0, 1) each."""
        chosen = draw(self.probs, uniforms)
        if self.candidates is None:
            return chosen
        return self.candidates.gather(1, chosen[:, None]).squeeze(1)


def choices(
    logits: Float[Tensor, "row vocab"],
    *,
    logsumexps: Float[Tensor, " row"],
    top_k: int = 0,
    top_p: float = 1.0,
) -> Choices:
    """What can be drawn after top-k and top-p, in this order.

    Args:
        logits: Divided by the temperature; −∞ where a token may not be drawn.
        logsumexps: Log-sum-exp of the logits before any were set to −∞.
        top_k: Draw among the k likeliest tokens only; 0 for all.
        top_p: Draw among the likeliest tokens that together have this probability.
    """
    if top_k == 0 and top_p == 1.0:
        probs, kept = distribution(logits)
        return Choices(probs, None, (kept - logsumexps).exp())
    values, candidates = _candidates(logits, top_k, top_p)
    # What top-p compares is the distribution that top-k leaves, else that over all tokens.
    remaining = values if top_k else logits
    probs = (values - remaining.logsumexp(1, keepdim=True)).exp()
    probs = probs * nucleus(probs, top_p)
    whole = (values - logsumexps[:, None]).exp()
    return Choices(probs, candidates, whole.masked_fill(probs == 0, 0.0).sum(1))


def distribution(logits: Float[Tensor, "row vocab"]) -> tuple[Tensor, Tensor]:
    """Probabilities, and log-sum-exp of the logits."""
    probs = torch.softmax(logits, dim=1)
    # The largest probability is exp(max − logsumexp): no further pass for the sum.
    return probs, logits.amax(1) - probs.amax(1).log()


def nucleus(probs: Float[Tensor, "row candidate"], top_p: float) -> Bool[Tensor, "row candidate"]:
    """Which of the tokens, the likeliest first, are the fewest that reach probability `top_p`."""
    before = probs.cumsum(1) - probs
    is_kept = before < top_p
    is_kept[:, 0] = True
    return is_kept


def largest(
    logits: Float[Tensor, "row vocab"], number: int
) -> tuple[Float[Tensor, "row number"], Int[Tensor, "row number"]]:
    """Each row's largest numbers and their columns, the largest first, like `topk`.

    So many blocks with the largest maxima hold them all, and a maximum is found much faster than
    an order.
    """
    vocab = logits.shape[1]
    if 4 * number * _BLOCK > vocab:
        return logits.topk(number)
    rest = vocab % _BLOCK
    maxima = logits[:, : vocab - rest].unflatten(1, (-1, _BLOCK)).amax(2)
    starts = maxima.topk(number, sorted=False).indices * _BLOCK
    places = torch.arange(_BLOCK, device=logits.device)
    columns = (starts[:, :, None] + places).flatten(1)
    if rest:
        behind = torch.arange(vocab - rest, vocab, device=logits.device)
        columns = torch.cat([columns, behind.expand(len(columns), -1)], dim=1)
    values, chosen = logits.gather(1, columns).topk(number)
    return values, columns.gather(1, chosen)


def _candidates(logits: Tensor, top_k: int, top_p: float) -> tuple[Tensor, Tensor]:
    """Logits and tokens that can be drawn, the likeliest first: all that may count, or more."""
    vocab = logits.shape[1]
    if top_k:
        return largest(logits, min(top_k, vocab))
    size = min(_FIRST_CANDIDATES, vocab)
    values, candidates = logits.topk(size)
    mass = (values - logits.logsumexp(1, keepdim=True)).exp().sum(1)
    if size < vocab and bool((mass < top_p).any()):
        return logits.topk(vocab)
    return values, candidates
