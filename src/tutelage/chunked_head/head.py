"""The chunked head itself."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from tutelage.chunked_head.gradients import Pull, add_block, add_kept
from tutelage.chunked_head.scores import Rows, scores
from tutelage.chunked_head.task import Head, Sizes, Task
from tutelage.tensors import TokenScores

# Up to this size, what the backward pass needs is kept; beyond, it is computed again.
_KEPT_BYTES = {"cpu": 64 * 2**20}
_DEVICE_KEPT_BYTES = 1024 * 2**20


def chunked_head(
    hidden: Float[Tensor, "position hidden"],
    weight: Float[Tensor, "vocab hidden"],
    bias: Float[Tensor, " vocab"] | None,
    targets: Int[Tensor, " position"],
    *,
    entropy: bool = False,
    reference: Head | None = None,
    uniforms: Float[Tensor, " position"] | None = None,
    block_bytes: int | None = None,
    kept_bytes: int | None = None,
) -> TokenScores:
    """Log-probability of each target, and log-sum-exp of the logits `hidden @ weight.T + bias`.

    Matrix products run in the autocast type, or else in that of `hidden`; reductions and the sum
    of the weight's gradient in float32. All results carry gradients but those of the reference.

    Args:
        hidden: Hidden states at the positions that predict the targets.
        weight: Weight of the output head; it may be tied to the embedding.
        bias: Bias of the output head.
        targets: The token at each position.
        entropy: Give the entropies too.
        reference: What another model has at the same positions, to give the KL to it. No gradient.
        uniforms: In [0, 1): instead of the KL, give both log-probabilities of one token of each
            position, which its number draws from the model's distribution.
        block_bytes: Memory for the logits of one block of positions, in float32.
        kept_bytes: Most memory kept for the backward pass to make it faster.
    """
    device = hidden.device.type
    if kept_bytes is None:
        kept_bytes = _KEPT_BYTES.get(device, _DEVICE_KEPT_BYTES)
    dtype = hidden.dtype
    if torch.is_autocast_enabled(device) and dtype != torch.float64:
        dtype = torch.get_autocast_dtype(device)
    sizes = Sizes.of(block_bytes, len(weight), device)
    task = Task(targets, entropy, reference, uniforms, dtype, sizes)
    has_gradient = any(t is not None and t.requires_grad for t in (hidden, weight, bias))
    with torch.autocast(device, enabled=False):
        if not (torch.is_grad_enabled() and has_gradient):
            return scores(Head(hidden, weight, bias).cast(dtype), task.cast()).token_scores()
        # The gradient of the KL, or of the entropies, takes logits, which are never kept.
        keep = reference is None or uniforms is not None
        keep = keep and len(hidden) * len(weight) * dtype.itemsize <= kept_bytes
        return TokenScores(*_ChunkedHead.apply(hidden, weight, bias, targets, task, keep))


class _ChunkedHead(torch.autograd.Function):
    """The scores with a backward pass of their own."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        task: Task,
        keep: bool,
    ) -> tuple[Tensor | None, ...]:
        kept: list[Tensor] | None = [] if keep else None
        rows = scores(Head(hidden, weight, bias).cast(task.dtype), task.cast(), kept)
        ctx.save_for_backward(hidden, weight, bias, targets, *rows, *(kept or []))
        ctx.task = task
        ctx.set_materialize_grads(False)
        if rows.drawn_ref_logprobs is not None:
            ctx.mark_non_differentiable(rows.drawn_ref_logprobs)
        return tuple(rows.token_scores())

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]: by the decorator's type
        ctx: Any, *grad_outputs: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, targets, *rest = ctx.saved_tensors
        rows = Rows(*rest[: len(Rows._fields)])
        kept = rest[len(Rows._fields) :]
        tensors = (hidden, weight, bias)
        with torch.autocast(hidden.device.type, enabled=False):
            head = Head(*tensors).cast(ctx.task.dtype)
            sums = [
                torch.zeros_like(tensor, dtype=ctx.task.exact) if needed else None
                for tensor, needed in zip(tensors, ctx.needs_input_grad, strict=False)
            ]
            pull = Pull.of(TokenScores(*grad_outputs), rows, targets)  # pyright: ignore
            if kept and pull.slopes is None:
                add_kept(head, ctx.task, kept, pull, sums)
            else:
                needs_reference = pull.ref_slopes is not None
                task = ctx.task.cast() if needs_reference else ctx.task._replace(reference=None)
                for block in task.blocks():
                    add_block(head, task, block, pull, sums)
        grads = [None if s is None else s.to(t.dtype) for s, t in zip(sums, tensors, strict=False)]
        return *grads, None, None, None
