"""The forward pass: what is found for each position."""

from typing import NamedTuple

import torch
from torch import Tensor

from tutelage.chunked_head.task import Head, Task, softmax
from tutelage.tensors import TokenScores, draw


class Rows(NamedTuple):
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
        """What of it is asked for."""
        drawn = (self.drawn_logprobs, self.drawn_ref_logprobs)
        return TokenScores(self.logprobs, self.logsumexps, self.entropies, None, self.kls, *drawn)


def scores(head: Head, task: Task, kept: list[Tensor] | None = None) -> Rows:
    """Scores; each block's errors, softmax − onehot, are added to `kept` if it is there."""
    found = [rows for block in task.blocks() for rows in _block_scores(head, task, block, kept)]
    parts = zip(*found, strict=True)
    return Rows(*(None if part[0] is None else torch.cat(part) for part in parts))  # pyright: ignore


def _block_scores(head: Head, task: Task, block: slice, kept: list[Tensor] | None) -> list[Rows]:
    """Scores of a block's strips; see `scores`."""
    found = []
    whole, ref_whole = task.logits(head, block)
    for strip, logits, ref_logits in task.strips(block, whole, ref_whole):
        rows, probs = _strip_scores(task, strip, logits, ref_logits)
        found.append(rows)
        if kept is not None:
            # Before any rounding, which is relative to a number; in the place of the logits.
            targets = task.targets[strip, None]
            logits.copy_(probs.scatter_add_(1, targets, probs.new_full(targets.shape, -1.0)))
    if kept is not None:
        kept.append(whole)
    return found


def _strip_scores(
    task: Task, strip: slice, logits: Tensor, ref_logits: Tensor | None
) -> tuple[Rows, Tensor]:
    """Scores of a strip of positions, and their probabilities; logits may be overwritten."""
    if task.entropy or ref_logits is not None:
        logits = logits.to(task.exact)  # once, for all that follows
    probs = softmax(logits, task.exact)
    logsumexps = _logsumexps(logits, probs)
    rows = Rows(_at(logits, task.targets[strip]) - logsumexps, logsumexps)
    if ref_logits is not None:
        ref_logits = ref_logits.to(task.exact)
        ref_logsumexps = _logsumexps(ref_logits, softmax(ref_logits, task.exact))
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
