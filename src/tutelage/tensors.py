"""Tensor tools under everything else: named random generators, and the chunked head.

The chunked head scores target tokens from the hidden states before a language model's output head,
a block of positions at a time, so that the full logits (positions × vocabulary) never exist.
"""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

# One block's probabilities: on a CPU about what its caches hold, elsewhere enough to fill a device.
_BLOCK_BYTES = {"cpu": 8 * 2**20}
_DEVICE_BLOCK_BYTES = 256 * 2**20
# Up to this size, what the backward pass needs is kept; beyond, it is computed again.
_KEPT_BYTES = {"cpu": 64 * 2**20}
_DEVICE_KEPT_BYTES = 1024 * 2**20


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

    def map(self, change: Callable[[Tensor], Tensor]) -> "TokenScores":
        """The same change to all parts that are there."""
        return TokenScores(*(None if part is None else change(part) for part in self))  # pyright: ignore


def generator(seed: int, *names: str | int) -> torch.Generator:
    """A CPU generator of its own for each seed and path of names, the same on every machine."""
    digest = hashlib.sha256(repr((int(seed), *names)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))


def chunked_head(
    hidden: Float[Tensor, "position hidden"],
    weight: Float[Tensor, "vocab hidden"],
    bias: Float[Tensor, " vocab"] | None,
    targets: Int[Tensor, " position"],
    *,
    entropy: bool = False,
    block_bytes: int | None = None,
    kept_bytes: int | None = None,
) -> TokenScores:
    """Log-probability of each target, and log-sum-exp of the logits `hidden @ weight.T + bias`.

    Matrix products run in the autocast type, or else in that of `hidden`; reductions and the sum
    of the weight's gradient in float32. All results carry gradients.

    Args:
        hidden: Hidden states at the positions that predict the targets.
        weight: Weight of the output head; it may be tied to the embedding.
        bias: Bias of the output head.
        targets: The token at each position.
        entropy: Give the entropies too.
        block_bytes: Memory for the probabilities of one block of positions.
        kept_bytes: Most memory kept for the backward pass to make it faster.
    """
    device = hidden.device.type
    if block_bytes is None:
        block_bytes = _BLOCK_BYTES.get(device, _DEVICE_BLOCK_BYTES)
    if kept_bytes is None:
        kept_bytes = _KEPT_BYTES.get(device, _DEVICE_KEPT_BYTES)
    dtype = hidden.dtype
    if torch.is_autocast_enabled(device) and dtype != torch.float64:
        dtype = torch.get_autocast_dtype(device)
    rows = max(1, block_bytes // (4 * len(weight)))
    has_gradient = any(t is not None and t.requires_grad for t in (hidden, weight, bias))
    with torch.autocast(device, enabled=False):
        if not (torch.is_grad_enabled() and has_gradient):
            head = _Head.build(hidden, weight, bias, targets, dtype=dtype)
            return _scores(head, rows, entropy=entropy)
        keep = len(hidden) * len(weight) * dtype.itemsize <= kept_bytes
        options = (dtype, rows, keep, entropy)
        return TokenScores(*_ChunkedHead.apply(hidden, weight, bias, targets, *options))


class _Head(NamedTuple):
    """An output head with its inputs; weight and bias in the type of the matrix products."""

    hidden: Tensor
    weight: Tensor
    bias: Tensor | None
    targets: Tensor

    @classmethod
    def build(
        cls,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        *,
        dtype: torch.dtype,
    ) -> "_Head":
        return cls(hidden, weight.to(dtype), None if bias is None else bias.to(dtype), targets)

    @property
    def exact(self) -> torch.dtype:
        """Type of reductions and sums."""
        return torch.promote_types(self.weight.dtype, torch.float32)

    def blocks(self, rows: int) -> Iterator[slice]:
        """Slices of at most `rows` positions."""
        return (slice(i, i + rows) for i in range(0, len(self.hidden), rows))

    def logits(self, block: slice) -> Tensor:
        return F.linear(self.hidden[block].to(self.weight.dtype), self.weight, self.bias)

    def probs(self, logits: Tensor, room: Tensor | None = None) -> Tensor:
        """Probabilities, written into `room` if it is of their type."""
        if room is not None and room.dtype == logits.dtype == self.exact:
            return torch.softmax(logits, dim=1, out=room)
        return torch.softmax(logits, dim=1, dtype=self.exact)

    def errors(self, block: slice, probs: Tensor) -> Tensor:
        """Softmax − onehot. In place, and before any rounding: that is relative to a number."""
        targets = self.targets[block, None]
        return probs.scatter_add_(1, targets, probs.new_full(targets.shape, -1.0))


def _scores(
    head: _Head, rows: int, kept: Tensor | None = None, *, entropy: bool = False
) -> TokenScores:
    """Scores, a block of positions at a time; errors go to `kept` if it is there."""
    logprobs = head.hidden.new_empty(len(head.hidden), dtype=head.exact)
    logsumexps = torch.empty_like(logprobs)
    entropies = torch.empty_like(logprobs) if entropy else None
    for block in head.blocks(rows):
        logits = head.logits(block)
        if entropy:
            logits = logits.to(head.exact)  # once, for the softmax and the entropies
        probs = head.probs(logits, None if kept is None else kept[block])
        # The largest probability is 1 / sum(exp(logits − max)): no further pass for the sum.
        logsumexps[block] = logits.amax(1) - probs.amax(1).log()
        chosen = logits.gather(1, head.targets[block, None]).squeeze(1)
        logprobs[block] = chosen - logsumexps[block]
        if entropies is not None:
            # In place, for there is no further use of the logits: a new tensor would cost more.
            surprises = _sum_possible(logits.mul_(probs))
            entropies[block] = logsumexps[block] - surprises
        if kept is not None:
            errors = head.errors(block, probs)
            if errors.dtype != kept.dtype:  # else they are there already
                kept[block] = errors
    return TokenScores(logprobs, logsumexps, entropies)


def row_entropies(
    logits: Float[Tensor, "row vocab"],
    probs: Float[Tensor, "row vocab"],
    logsumexps: Float[Tensor, " row"],
) -> Float[Tensor, " row"]:
    """−Σ p log p of each row; a token of probability 0 adds nothing, even at a logit of −∞."""
    return logsumexps - (probs * logits.masked_fill(probs == 0, 0.0)).sum(1)


def _sum_possible(products: Tensor) -> Tensor:
    """Sums of rows; 0 · −∞, a token that is impossible, counts as 0."""
    sums = products.sum(1)
    return products.nan_to_num(0.0).sum(1) if bool(sums.isnan().any()) else sums


class _ChunkedHead(torch.autograd.Function):
    """The scores with a backward pass of their own.

    With errors E = softmax − onehot, the gradient of the logits is (g_lse − g_lp)·E + g_lse·onehot.
    Factors of rows commute with the matrix products that follow, so E is all that is needed: it is
    kept where it is small, and computed again, block by block, where it is not. A gradient of the
    entropy H adds −g_H·p·(log p + H), for which the logits are always computed again.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        dtype: torch.dtype,
        rows: int,
        keep: bool,
        entropy: bool,
    ) -> tuple[Tensor | None, ...]:
        head = _Head.build(hidden, weight, bias, targets, dtype=dtype)
        kept = hidden.new_empty(len(hidden), len(weight), dtype=dtype) if keep else None
        ctx.save_for_backward(hidden, weight, bias, targets, kept)
        ctx.dtype, ctx.rows = dtype, rows
        ctx.set_materialize_grads(False)
        return _scores(head, rows, kept, entropy=entropy)[:3]

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]: by the decorator's type
        ctx: Any, *grad_outputs: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        *tensors, kept = ctx.saved_tensors
        with torch.autocast(tensors[0].device.type, enabled=False):
            head = _Head.build(*tensors, dtype=ctx.dtype)
            sums = [
                torch.zeros_like(tensor, dtype=head.exact) if needed else None
                for tensor, needed in zip(tensors[:3], ctx.needs_input_grad, strict=False)
            ]
            zeros = head.hidden.new_zeros(len(head.hidden), dtype=head.exact)
            logprobs_grad, logsumexps_grad = (zeros if g is None else g for g in grad_outputs[:2])
            factors = (logsumexps_grad - logprobs_grad)[:, None]
            for block in head.blocks(ctx.rows if kept is None else max(1, len(kept))):
                errors = kept
                if errors is None:
                    errors = head.errors(block, head.probs(head.logits(block))).to(ctx.dtype)
                _add_errors(head, block, errors, factors[block], sums)
            if grad_outputs[1] is not None:
                _add_targets(head, logsumexps_grad[:, None], sums)
            if grad_outputs[2] is not None:
                _add_entropies(head, ctx.rows, grad_outputs[2], sums)
        grads = [None if s is None else s.to(t.dtype) for s, t in zip(sums, tensors, strict=False)]
        return *grads, None, None, None, None, None


def _add_errors(
    head: _Head, block: slice, errors: Tensor, factors: Tensor, sums: list[Tensor | None]
) -> None:
    """Add one block's share of the gradient of hidden states, weight and bias: factors · E."""
    hidden, weight, bias = sums
    if hidden is not None:
        hidden[block] += (errors @ head.weight) * factors
    if weight is not None:
        weight += errors.T @ (head.hidden[block] * factors).to(errors.dtype)
    if bias is not None:
        bias += errors.T @ factors[:, 0].to(errors.dtype)


def _add_targets(head: _Head, factors: Tensor, sums: list[Tensor | None]) -> None:
    """Add the targets' own share: factors · onehot."""
    hidden, weight, bias = sums
    if hidden is not None:
        hidden += factors * head.weight[head.targets]
    if weight is not None:
        weight.index_add_(0, head.targets, (head.hidden * factors).to(weight.dtype))
    if bias is not None:
        bias.index_add_(0, head.targets, factors[:, 0])


def _add_entropies(head: _Head, rows: int, grad: Tensor, sums: list[Tensor | None]) -> None:
    """Add the entropies' share: their gradient times −p·(log p + H)."""
    for block in head.blocks(rows):
        logits = head.logits(block).to(head.exact)
        probs, logsumexps = head.probs(logits), logits.logsumexp(1)
        entropies = row_entropies(logits, probs, logsumexps)
        surplus = logits - (logsumexps - entropies)[:, None]
        changes = -probs * surplus.masked_fill_(probs == 0, 0.0)
        _add_errors(head, block, changes.to(head.weight.dtype), grad[block, None], sums)
