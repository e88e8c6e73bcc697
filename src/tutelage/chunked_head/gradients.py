"""The backward pass: gradients of hidden states, weight and bias.

With log p and log q of the model and the reference, the logits' gradients are onehot − p of a
log-probability, p of the log-sum-exp, −p·(log p + H) of the entropy H and p·(log p − log q − K) of
the KL K. They are added up before the matrix products that follow. Without the last two, the errors
p − onehot are all that is needed, for factors of rows commute with these products: the forward pass
keeps them where they are small.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from tutelage.chunked_head.scores import Rows
from tutelage.chunked_head.task import Head, Sizes, Task, softmax
from tutelage.products import linear
from tutelage.tensors import TokenScores


class Pull(NamedTuple):
    """What the gradients of a position's results make of the gradient of its logits.

    That is p·(offsets + slopes·logits − ref_slopes·ref_logits) + Σ share·onehot.
    """

    offsets: Tensor
    onehots: Sequence[tuple[Tensor, Tensor]]
    """Tokens, and their shares."""
    kept_onehots: Sequence[tuple[Tensor, Tensor]]
    """The same where −offsets·onehot of the targets is there already, in the errors kept."""
    slopes: Tensor | None = None
    ref_slopes: Tensor | None = None
    has_impossible: bool = False

    @classmethod
    def of(cls, grads: TokenScores, rows: Rows, targets: Tensor) -> "Pull":
        """From the results and their gradients."""
        zeros = torch.zeros_like(rows.logsumexps)
        logprobs = zeros if grads.logprobs is None else grads.logprobs
        both = zeros if grads.logsumexps is None else grads.logsumexps
        slopes, drawn = None, []
        if grads.drawn_logprobs is not None:
            assert rows.drawn is not None
            both = both - grads.drawn_logprobs
            drawn = [(rows.drawn, grads.drawn_logprobs)]
        offsets = both - logprobs
        if grads.entropies is not None:
            assert rows.entropies is not None
            slopes = -grads.entropies
            offsets = offsets + grads.entropies * (rows.logsumexps - rows.entropies)
        if grads.kls is not None:
            assert rows.kls is not None
            assert rows.ref_logsumexps is not None
            slopes = grads.kls if slopes is None else slopes + grads.kls
            offsets = offsets - grads.kls * (rows.kls + rows.logsumexps - rows.ref_logsumexps)
        return cls(
            offsets,
            onehots=[(targets, logprobs), *drawn],
            kept_onehots=drawn if both is zeros else [(targets, both), *drawn],
            slopes=slopes,
            ref_slopes=grads.kls,
            has_impossible=slopes is not None and bool(rows.has_impossible.any()),  # pyright: ignore
        )

    def logit_grads(self, task: Task, strip: slice, logits: Tensor, ref: Tensor | None) -> Tensor:
        """The gradient of a strip's logits, which are overwritten, in the type of reductions."""
        if self.slopes is None:
            changes = softmax(logits, task.exact).mul_(self.offsets[strip, None])
        else:
            logits = logits.to(task.exact)
            changes = softmax(logits, task.exact)
            surplus = logits.mul_(self.slopes[strip, None])
            if self.ref_slopes is not None:
                assert ref is not None
                slopes = self.ref_slopes[strip, None]
                surplus.addcmul_(ref.to(task.exact), slopes, value=-1)
            changes.mul_(surplus.add_(self.offsets[strip, None]))
            if self.has_impossible:
                changes.nan_to_num_(0.0, torch.inf, -torch.inf)
        # Before any rounding: beside a probability of nearly 1, it would take what is left.
        for tokens, shares in self.onehots:
            changes.scatter_add_(1, tokens[strip, None], shares[strip, None])
        return changes


def add_block(
    head: Head, task: Task, block: slice, pull: Pull, sums: Sequence[Tensor | None]
) -> None:
    """Add a block of positions' share of the gradients of hidden states, weight and bias."""
    changes, ref_logits = task.logits(head, block)
    for strip, logits, ref in task.strips(block, changes, ref_logits):
        logits.copy_(pull.logit_grads(task, strip, logits, ref))
    hidden, weight, bias = sums
    if hidden is not None:
        hidden[block] = linear(changes, head.weight.T)
    if weight is not None:
        _add_product(weight, changes.T, head.hidden[block].to(changes.dtype))
    if bias is not None:
        bias += changes.sum(0, dtype=bias.dtype)


def add_kept(
    head: Head, task: Task, kept: Sequence[Tensor], pull: Pull, sums: Sequence[Tensor | None]
) -> None:
    """Add what each block's errors are multiplied by, and the onehots that are not in them."""
    hidden, weight, bias = sums
    for block, errors in zip(task.blocks(), kept, strict=True):
        factors = pull.offsets[block, None]
        if hidden is not None:
            hidden[block] = linear(errors, head.weight.T) * factors
        if weight is not None:
            _add_product(weight, errors.T, (head.hidden[block] * factors).to(errors.dtype))
        if bias is not None:
            bias += errors.T @ factors[:, 0].to(errors.dtype)
    for tokens, shares in pull.kept_onehots:
        if hidden is not None:
            hidden += shares[:, None] * head.weight[tokens]
        if weight is not None:
            weight.index_add_(0, tokens, (head.hidden * shares[:, None]).to(weight.dtype))
        if bias is not None:
            bias.index_add_(0, tokens, shares)


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add left @ right to a total."""
    if total.dtype == left.dtype:
        total.addmm_(left, right)
        return
    # Converted as a whole, the product would not stay in the caches.
    size = Sizes.of(None, total.shape[1], total.device.type).strip
    for some, rows in zip(total.split(size), left.split(size), strict=True):
        some += (rows @ right).to(total.dtype)
