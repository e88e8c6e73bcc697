"""The chunked head: scores of tokens without the full logits (positions × vocabulary).

From the hidden states before a language model's output head, logits are computed a block of
positions at a time, and again in the backward pass unless they are few. Blocks are large, for the
sake of matrix products; what follows goes through them in strips that a CPU's caches hold.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from tutelage.tensors import TokenScores, draw

# One block's logits, and one strip's, in float32.
_BLOCK_BYTES = {"cpu": 32 * 2**20}
_STRIP_BYTES = {"cpu": 8 * 2**20}
_DEVICE_BLOCK_BYTES = 256 * 2**20
# Up to this size, what the backward pass needs is kept; beyond, it is computed again.
_KEPT_BYTES = {"cpu": 64 * 2**20}
_DEVICE_KEPT_BYTES = 1024 * 2**20


class Head(NamedTuple):
    """Hidden states and the output head that makes logits of them."""

    hidden: Float[Tensor, "position hidden"]
    weight: Float[Tensor, "vocab hidden"]
    bias: Float[Tensor, " vocab"] | None

    def cast(self, dtype: torch.dtype) -> "Head":
        """With weight and bias in the type of the matrix products."""
        bias = None if self.bias is None else self.bias.to(dtype)
        return Head(self.hidden, self.weight.to(dtype), bias)

    def logits(self, block: slice | None = None) -> Float[Tensor, "row vocab"]:
        """Logits of a block of positions, or of all."""
        hidden = self.hidden if block is None else self.hidden[block]
        return F.linear(hidden.to(self.weight.dtype), self.weight, self.bias)


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
    if block_bytes is None:
        block_bytes = _BLOCK_BYTES.get(device, _DEVICE_BLOCK_BYTES)
    if kept_bytes is None:
        kept_bytes = _KEPT_BYTES.get(device, _DEVICE_KEPT_BYTES)
    dtype = hidden.dtype
    if torch.is_autocast_enabled(device) and dtype != torch.float64:
        dtype = torch.get_autocast_dtype(device)
    strip_bytes = min(block_bytes, _STRIP_BYTES.get(device, block_bytes))
    rows, strip = (max(1, size // (4 * len(weight))) for size in (block_bytes, strip_bytes))
    task = _Task(targets, entropy, reference, uniforms, dtype, rows, strip)
    has_gradient = any(t is not None and t.requires_grad for t in (hidden, weight, bias))
    with torch.autocast(device, enabled=False):
        if not (torch.is_grad_enabled() and has_gradient):
            return _scores(Head(hidden, weight, bias).cast(dtype), task.cast()).token_scores()
        # The gradient of the KL, or of the entropies, takes logits, which are never kept.
        keep = reference is None or uniforms is not None
        keep = keep and len(hidden) * len(weight) * dtype.itemsize <= kept_bytes
        return TokenScores(*_ChunkedHead.apply(hidden, weight, bias, targets, task, keep))


class _Task(NamedTuple):
    """What is asked for, and how."""

    targets: Tensor
    entropy: bool
    reference: Head | None
    uniforms: Tensor | None
    dtype: torch.dtype
    rows: int
    """Positions of a block."""
    strip: int
    """Positions of a strip."""

    @property
    def exact(self) -> torch.dtype:
        """Type of reductions and sums."""
        return torch.promote_types(self.dtype, torch.float32)

    def logits(self, head: Head, block: slice) -> tuple[Tensor, Tensor | None]:
        """A block's logits, and the reference's."""
        ref_logits = None if self.reference is None else self.reference.logits(block)
        return head.logits(block), ref_logits

    def cast(self) -> "_Task":
        """With the reference's weight in the type of the matrix products."""
        reference = None if self.reference is None else self.reference.cast(self.dtype)
        return self._replace(reference=reference)

    def blocks(self) -> Iterator[slice]:
        """Blocks of positions; one that is empty where there are none."""
        starts = range(0, max(1, len(self.targets)), self.rows)
        return (slice(start, start + self.rows) for start in starts)

    def strips(self, block: slice, *logits: Tensor | None) -> Iterator[tuple[Any, ...]]:
        """A block's strips of positions, with their parts of what there is of the block."""
        for start in range(block.start, block.stop, self.strip):
            own = slice(start - block.start, start - block.start + self.strip)
            parts = (None if part is None else part[own] for part in logits)
            yield slice(start, min(start + self.strip, block.stop)), *parts


class _Rows(NamedTuple):
    """What is found for each position."""

    logprobs: Tensor
    logsumexps: Tensor
    entropies: Tensor | None = None
    kls: Tensor | None = None
    drawn_logprobs: Tensor | None = None
    drawn_ref_logprobs: Tensor | None = None
    drawn: Tensor | None = None
    ref_logsumexps: Tensor | None = None
    has_impossible: Tensor | None = None
    """Whether an entropy or a KL had to leave out a token whose logit is −∞."""

    def token_scores(self) -> TokenScores:
        drawn = (self.drawn_logprobs, self.drawn_ref_logprobs)
        return TokenScores(self.logprobs, self.logsumexps, self.entropies, None, self.kls, *drawn)


def _scores(head: Head, task: _Task, kept: Tensor | None = None) -> _Rows:
    """Scores; errors, softmax − onehot, go to `kept` if it is there."""
    found = [rows for block in task.blocks() for rows in _block_scores(head, task, block, kept)]
    parts = zip(*found, strict=True)
    return _Rows(*(None if part[0] is None else torch.cat(part) for part in parts))  # pyright: ignore


def _block_scores(head: Head, task: _Task, block: slice, kept: Tensor | None) -> list[_Rows]:
    """Scores of a block's strips; see `_scores`."""
    found = []
    for strip, logits, ref_logits in task.strips(block, *task.logits(head, block)):
        room = None if kept is None else kept[strip]
        rows, probs = _strip_scores(task, strip, logits, ref_logits, room)
        found.append(rows)
        if room is not None:
            # In place, and before any rounding: that is relative to a number.
            targets = task.targets[strip, None]
            errors = probs.scatter_add_(1, targets, probs.new_full(targets.shape, -1.0))
            if errors.dtype != room.dtype:  # else they are there already
                room.copy_(errors)
    return found


def _strip_scores(
    task: _Task, strip: slice, logits: Tensor, ref_logits: Tensor | None, room: Tensor | None
) -> tuple[_Rows, Tensor]:
    """Scores of a strip of positions, and their probabilities; logits may be overwritten."""
    if task.entropy or ref_logits is not None:
        logits = logits.to(task.exact)  # once, for all that follows
    probs = _softmax(logits, task.exact, room)
    logsumexps = _logsumexps(logits, probs)
    rows = _Rows(_at(logits, task.targets[strip]) - logsumexps, logsumexps)
    if ref_logits is not None:
        ref_logits = ref_logits.to(task.exact)
        ref_logsumexps = _logsumexps(ref_logits, _softmax(ref_logits, task.exact))
        if task.uniforms is None:
            ratios, impossible = _expected(probs, torch.sub(logits, ref_logits, out=ref_logits))
            rows = rows._replace(
                kls=ratios - logsumexps + ref_logsumexps,
                ref_logsumexps=ref_logsumexps,
                has_impossible=impossible,
            )
        else:
            drawn = draw(probs, task.uniforms[strip])
            rows = rows._replace(
                drawn=drawn,
                drawn_logprobs=_at(logits, drawn) - logsumexps,
                drawn_ref_logprobs=_at(ref_logits, drawn) - ref_logsumexps,
            )
    if task.entropy:
        surprises, impossible = _expected(probs, logits)
        if rows.has_impossible is not None:
            impossible |= rows.has_impossible
        rows = rows._replace(entropies=logsumexps - surprises, has_impossible=impossible)
    return rows, probs


def _softmax(logits: Tensor, exact: torch.dtype, room: Tensor | None = None) -> Tensor:
    """Probabilities, written into `room` if it is of their type."""
    if room is not None and room.dtype == logits.dtype == exact:
        return torch.softmax(logits, dim=1, out=room)
    return torch.softmax(logits, dim=1, dtype=exact)


def _logsumexps(logits: Tensor, probs: Tensor) -> Tensor:
    # The largest probability is 1 / sum(exp(logits − max)): no further pass for the sum.
    return logits.amax(1) - probs.amax(1).log()


def _at(rows: Tensor, tokens: Tensor) -> Tensor:
    """What each row has for its token."""
    return rows.gather(1, tokens[:, None]).squeeze(1)


def _expected(probs: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Expectation of each row's values, which are overwritten; and where 0 · ∞ counted as 0."""
    sums = values.mul_(probs).sum(1)
    impossible = sums.isnan()
    if bool(impossible.any()):
        sums = values.nan_to_num_(0.0, torch.inf, -torch.inf).sum(1)
    return sums, impossible


class _ChunkedHead(torch.autograd.Function):
    """The scores with a backward pass of their own.

    With log p and log q of the model and the reference, the logits' gradients are onehot − p of a
    log-probability, p of the log-sum-exp, −p·(log p + H) of the entropy H and p·(log p − log q − K)
    of the KL K. Without the last two, the errors E = p − onehot are all that is needed, for factors
    of rows commute with the matrix products that follow: E is kept where it is small.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        task: _Task,
        keep: bool,
    ) -> tuple[Tensor | None, ...]:
        kept = hidden.new_empty(len(hidden), len(weight), dtype=task.dtype) if keep else None
        rows = _scores(Head(hidden, weight, bias).cast(task.dtype), task.cast(), kept)
        ctx.save_for_backward(hidden, weight, bias, targets, kept, *rows)
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
        hidden, weight, bias, targets, kept, *rows = ctx.saved_tensors
        tensors = (hidden, weight, bias)
        with torch.autocast(hidden.device.type, enabled=False):
            head = Head(*tensors).cast(ctx.task.dtype)
            sums = [
                torch.zeros_like(tensor, dtype=ctx.task.exact) if needed else None
                for tensor, needed in zip(tensors, ctx.needs_input_grad, strict=False)
            ]
            pull = _Pull.of(TokenScores(*grad_outputs), _Rows(*rows), targets)  # pyright: ignore
            if kept is not None and pull.slopes is None:
                _add_kept(head, kept, pull, sums)
            else:
                needs_reference = pull.ref_slopes is not None
                task = ctx.task.cast() if needs_reference else ctx.task._replace(reference=None)
                for block in task.blocks():
                    _add_block(head, task, block, pull, sums)
        grads = [None if s is None else s.to(t.dtype) for s, t in zip(sums, tensors, strict=False)]
        return *grads, None, None, None


class _Pull(NamedTuple):
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
    def of(cls, grads: TokenScores, rows: _Rows, targets: Tensor) -> "_Pull":
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

    def logit_grads(self, task: _Task, strip: slice, logits: Tensor, ref: Tensor | None) -> Tensor:
        """The gradient of a strip's logits, which are overwritten, in the type of reductions."""
        if self.slopes is None:
            changes = _softmax(logits, task.exact).mul_(self.offsets[strip, None])
        else:
            logits = logits.to(task.exact)
            changes = _softmax(logits, task.exact)
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


def _add_block(
    head: Head, task: _Task, block: slice, pull: _Pull, sums: Sequence[Tensor | None]
) -> None:
    """Add a block of positions' share of the gradients of hidden states, weight and bias."""
    changes, ref_logits = task.logits(head, block)
    for strip, logits, ref in task.strips(block, changes, ref_logits):
        logits.copy_(pull.logit_grads(task, strip, logits, ref))
    hidden, weight, bias = sums
    if hidden is not None:
        hidden[block] = changes @ head.weight
    if weight is not None:
        _add_product(weight, changes.T, head.hidden[block].to(changes.dtype))
    if bias is not None:
        bias += changes.sum(0, dtype=bias.dtype)


def _add_kept(head: Head, errors: Tensor, pull: _Pull, sums: Sequence[Tensor | None]) -> None:
    """Add what the errors kept are multiplied by, and the onehots that are not in them."""
    hidden, weight, bias = sums
    factors = pull.offsets[:, None]
    if hidden is not None:
        hidden += (errors @ head.weight) * factors
    if weight is not None:
        _add_product(weight, errors.T, (head.hidden * factors).to(errors.dtype))
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
    size = _STRIP_BYTES.get(total.device.type, _DEVICE_BLOCK_BYTES) // (4 * total.shape[1])
    for some, rows in zip(total.split(max(1, size)), left.split(max(1, size)), strict=True):
        some += (rows @ right).to(total.dtype)
