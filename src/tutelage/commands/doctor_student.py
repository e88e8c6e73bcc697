"""What must hold of any student before its first update: padding, gradients, ratio and KL."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor

from tutelage.commands.doctor_checks import Check, Diagnosis, decided
from tutelage.lessons.experience import Rows
from tutelage.models.student_module import Student
from tutelage.objectives.clm import masked_sum, nll
from tutelage.objectives.kl import k1
from tutelage.objectives.ppo import ratio
from tutelage.recipes.references import without_adapters
from tutelage.rollout.engine import Rollout
from tutelage.tensors import TokenScores, generator

Side = Literal["left", "right"]


def first_ratio(rollout: Rollout, scores: TokenScores) -> Check:
    """The ratio of the policy to itself, before any update.

    Args:
        rollout: What the student wrote, with its log-probabilities when it did.
        scores: What the same student says of it in the forward pass of an update.
    """
    ratios = ratio(scores.logprobs, rollout.logprobs)[rollout.mask]
    worst = float((ratios - 1).abs().max())
    check = Check(
        "first_ratio", "The first PPO ratio is 1", "largest |ratio − 1|", worst, rounding(scores)
    )
    return decided(
        check,
        Diagnosis(
            "The student says something else of its tokens when it learns from them than when it "
            "wrote them. PPO clips and weighs tokens by a ratio that is wrong before anything was "
            "learned.",
            "dropout or other noise that eval() does not switch off (then the KL below is not 0 "
            "either); positions or masks that padding shifts (then padded rows below fail, too); "
            "a cached decoding step that computes something else than a plain forward pass; "
            "weights that changed in between.",
            "mend what fails below first. If nothing does, try --rollout.engine transformers: "
            "where that helps, the model's key-value cache is at fault.",
        ),
    )


def kl_to_itself(
    student: Student, rollout: Rollout, scores: TokenScores, temperature: float
) -> Check:
    """The KL to a frozen copy of the student, or to a new adapter's model without it.

    Args:
        student: Who has a reference.
        rollout: What it wrote.
        scores: What it says of that.
        temperature: Divides the logits of both.
    """
    rows = whole(rollout, student)
    adapted = student.model is not student.base
    lent = without_adapters(student) if adapted else nullcontext(copy.deepcopy(student))
    with torch.no_grad(), lent as reference:
        kl = k1(scores.logprobs, rows.scores(reference, temperature=temperature).logprobs)
    worst = float(kl[rows.mask].abs().max())
    check = Check(
        "kl_to_itself", "The KL to an identical reference is 0", "largest |k1| of a token",
        worst, 1e-6,
    )  # fmt: skip
    return decided(
        check,
        Diagnosis(
            "The student and an exact copy of it disagree, so the KL penalty punishes or rewards "
            "tokens by chance, and a KL may be logged that is negative.",
            "dropout or other noise that eval() does not switch off; layers that change with every "
            "forward pass, such as batch norm or counters; weights that a copy does not take "
            "along.",
            "set every kind of dropout in the model's config.json to 0, and look for code in the "
            "model that draws random numbers or keeps a state.",
        ),
    )


@torch.no_grad()
def alone(student: Student, rows: Sequence[Sequence[int]]) -> Tensor:
    """Log-probabilities of rows, each read by itself: all of the first row's, then the next's."""
    device = student.base.device
    return torch.cat([student(torch.tensor([row], device=device)).logprobs[0] for row in rows])


def padded_rows(
    student: Student, rows: Sequence[Sequence[int]], expected: Tensor, side: Side
) -> Check:
    """Log-probabilities of rows in one padded batch, compared with those that they have alone."""
    token_ids, mask = padded(rows, side, student)
    with torch.no_grad():
        together = student(token_ids, mask=mask)
    real = mask[:, 1:] & mask[:, :-1]
    worst = float((together.logprobs[real] - expected).abs().max())
    check = Check(
        f"{side}_padding",
        f"Padding on the {side} changes no log-probability",
        "largest difference in nats",
        worst,
        rounding(together),
    )
    positions = (
        "positions that count from the first column instead of the first real token: the model "
        "ignores position_ids, or has learned positions and computes them itself; "
        if side == "left"
        else ""
    )
    return decided(
        check,
        Diagnosis(
            "What the student says of a text depends on the texts beside it in the batch. "
            + (
                "Prompts are padded on the left while sampling, so what is sampled is not what the "
                "student would write alone."
                if side == "left"
                else "Responses are padded on the right while learning, so their log-probabilities "
                "are wrong."
            ),
            positions + "an attention mask that is not used, or layers without one (recurrence, "
            "convolution); statistics over the batch, as in batch norm.",
            "use a model whose forward() takes attention_mask and position_ids and uses both; for "
            "code of your own, compare a padded row with the row alone, layer by layer.",
        ),
    )


def masked_gradients(student: Student, rows: Sequence[Sequence[int]]) -> Check:
    """The gradient that reaches padding on either side, as a share of the largest one."""
    shares = []
    for side in ("left", "right"):
        token_ids, mask = padded(rows, side, student)
        with embedded(student) as inputs:
            scores = student(token_ids, mask=mask)
        losses = masked_sum(nll(scores.logprobs), mask[:, 1:] & mask[:, :-1])
        (gradient,) = gradients(losses, inputs)
        sizes = gradient.abs().amax(-1)
        shares.append(sizes[~mask].max() / sizes[mask].max())
    worst = float(torch.stack(shares).max())  # NaN if one of them is
    check = Check(
        "masked_gradients", "Masked positions carry no gradient", "share of the largest gradient",
        worst, 1e-7,
    )  # fmt: skip
    return decided(
        check,
        Diagnosis(
            "Padding takes part in learning: the gradient depends on how much of it there is, and "
            "on what it holds. Where the number is nan, not even real tokens have a gradient.",
            "an attention mask that is not used; layers that mix positions without one "
            "(recurrence, convolution, routing with a capacity); a loss over all positions.",
            "use a model that applies its attention_mask everywhere; with nan, look for weights "
            "that are not finite, or for a detach() or no_grad() in the model.",
        ),
    )


def accumulation(student: Student, rollout: Rollout, portions: Sequence[Sequence[int]]) -> Check:
    """Gradients of a batch at once, and added up over portions of it.

    Args:
        student: Who learns.
        rollout: What it learns from.
        portions: Rows of each portion; together, the rows of the batch.
    """
    indices = [index for portion in portions for index in portion]
    weights = [weight for weight in student.parameters() if weight.requires_grad]
    num_tokens = sum(len(rollout.response_ids[index]) for index in indices)

    def share(rows: Sequence[int]) -> list[Tensor]:
        batch = Rows.of(rollout, rows, student.base.device)
        losses = masked_sum(nll(batch.scores(student, temperature=1.0).logprobs), batch.mask)
        return gradients(losses / num_tokens, weights)

    at_once = share(indices)
    added = [torch.zeros_like(weight) for weight in weights]
    for portion in portions:
        added = [total + part for total, part in zip(added, share(portion), strict=True)]
    apart = [a - b for a, b in zip(at_once, added, strict=True)]
    check = Check(
        "accumulation",
        f"Accumulation × {len(portions)} is the same as batch × {len(portions)}",
        "relative difference of the gradients",
        float(_norm(apart) / _norm(at_once)),
        1e-4,
    )
    return decided(
        check,
        Diagnosis(
            "The gradient depends on how a batch is cut into portions, so --microbatch-tokens, "
            "which should only save memory, changes what is learned.",
            "noise in the forward pass; statistics over the batch (batch norm, a router's load "
            "balance); padding that is read, since portions are padded less than the batch.",
            "mend what fails among padding and gradients first; else keep all rows in one portion, "
            "and look in the model for a mean over the batch.",
        ),
    )


def whole(rollout: Rollout, student: Student) -> Rows:
    """All rows of a rollout, as an update reads them."""
    return Rows.of(rollout, range(len(rollout.response_ids)), student.base.device)


def padded(rows: Sequence[Sequence[int]], side: Side, student: Student) -> tuple[Tensor, Tensor]:
    """Token ids and mask of rows, padded with any tokens of the vocabulary."""
    lengths = torch.tensor([len(row) for row in rows])[:, None]
    width = int(lengths.max()) + 1  # one more, so that there is padding at equal lengths, too
    places = torch.arange(width)
    mask = places >= width - lengths if side == "left" else places < lengths
    embeddings: Any = student.base.get_input_embeddings()
    vocab = len(embeddings.weight)
    token_ids = torch.randint(vocab, mask.shape, generator=generator(0, "padding", side))
    token_ids[mask] = torch.tensor([token for row in rows for token in row])
    return token_ids.to(student.base.device), mask.to(student.base.device)


def gradients(loss: Tensor, inputs: Sequence[Tensor]) -> list[Tensor]:
    """The loss's gradients; 0 where the loss does not depend on something."""
    if not loss.requires_grad:
        return [torch.zeros_like(one) for one in inputs]
    return list(torch.autograd.grad(loss, inputs, allow_unused=True, materialize_grads=True))


@contextmanager
def embedded(student: Student) -> Iterator[list[Tensor]]:
    """Inside, collects what tokens are embedded as, cut off from the embeddings' weights."""
    caught: list[Tensor] = []

    def catch(module: Any, args: Any, output: Tensor) -> Tensor:
        caught.append(output.detach().requires_grad_())
        return caught[-1]

    handle = student.base.get_input_embeddings().register_forward_hook(catch)  # pyright: ignore
    try:
        yield caught
    finally:
        handle.remove()


def rounding(scores: TokenScores) -> float:
    """How far two ways to compute a log-probability may differ: 1e-5, or what float32 rounds off
    where logits are large.
    """
    size = float(scores.logsumexps.abs().max())
    return max(1e-5, 32 * torch.finfo(torch.float32).eps * size)


def _norm(tensors: Sequence[Tensor]) -> Tensor:
    return torch.stack([tensor.norm() for tensor in tensors]).norm()
