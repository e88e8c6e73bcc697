"""The training loop: whatever the lesson, one optimiser step per batch.

Nothing here knows what is learned. A lesson brings batches and their loss; hooks log, evaluate,
save and stop; the curriculum says which lessons a round has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from tutelage.batch import Batch
from tutelage.run_folder import Ledger

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from tutelage.train.compute import Compute


class Lesson(Protocol):
    """One kind of step: where batches come from and what is learned from each."""

    name: str

    def round(self, student: torch.nn.Module) -> Iterator[Batch]:
        """The batches of one round; state is saved between rounds only."""
        ...

    def loss(
        self, student: torch.nn.Module, microbatch: Any
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The summed loss of a micro-batch, and further sums to log over the batch's terms."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What the next round depends on."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        ...


class Learner(NamedTuple):
    """A lesson with the optimiser and schedule that belong to it."""

    lesson: Lesson
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    max_grad_norm: float


class Stop(NamedTuple):
    """Why a run ends before its last step, and with which exit status."""

    reason: str
    status: int


@dataclass
class Progress:
    """How far a run is. Hooks read it, and set `stop` to end the run."""

    step: int = 0
    round: int = 0
    round_began: int = 0
    """Steps before the present round."""
    ledger: Ledger = field(default_factory=Ledger)
    metrics: dict[str, Any] = field(default_factory=dict)
    samples: Sequence[Mapping[str, Any]] = ()
    """What the last batch was learned from, for people to read."""
    has_news: bool = False
    """Whether the last batch brought metrics of its own, which must not be lost."""
    stop: Stop | None = None


Hook = Callable[[Progress], None]

Curriculum = Callable[[int], Sequence[str]]
"""Names of the lessons that a round has, in their order: a pure function of the round."""


class DivergedError(RuntimeError):
    """The loss or a gradient is NaN or infinite."""


def train(
    student: torch.nn.Module,
    learners: Mapping[str, Learner],
    curriculum: Curriculum,
    *,
    steps: int,
    compute: Compute,
    progress: Progress,
    after_step: Sequence[Hook] = (),
    after_round: Sequence[Hook] = (),
) -> None:
    """Train until `steps` updates are done or a hook sets `progress.stop`.

    A round that a hook stops has no end: the run can go on from its beginning only.
    """
    while progress.step < steps and progress.stop is None:
        progress.round_began = progress.step
        for name in curriculum(progress.round):
            student.train()
            began = perf_counter()
            for batch in learners[name].lesson.round(student):
                step(student, learners[name], batch, compute, progress, began)
                for hook in after_step:
                    hook(progress)
                if progress.step >= steps:
                    break
                if progress.stop is not None:
                    return
                began = perf_counter()
            if progress.step >= steps:
                break
        progress.round += 1
        for hook in after_round:
            hook(progress)


def step(
    student: torch.nn.Module,
    learner: Learner,
    batch: Batch,
    compute: Compute,
    progress: Progress,
    began: float,
) -> None:
    """One optimiser step, and what it did to the run's progress."""
    metrics = update(student, learner, batch, compute)
    progress.step += 1
    progress.ledger.add(batch.exposure)
    progress.samples, progress.has_news = batch.samples, bool(batch.metrics)
    progress.metrics = {
        "lesson": learner.lesson.name,
        **batch.metrics,
        **metrics,
        **progress.ledger.metrics(),
        **speed(batch.exposure, perf_counter() - began),
    }


def update(
    student: torch.nn.Module, learner: Learner, batch: Batch, compute: Compute
) -> dict[str, float]:
    """One optimiser step. The loss is the sum over all its tokens, divided once by their count."""
    import torch

    lesson = learner.lesson
    totals: dict[str, Tensor] = {}
    # Processes average their gradients, so each scales its sum by their number.
    scale = compute.num_processes / batch.num_terms
    for index, microbatch in enumerate(batch.microbatches):
        last = index == len(batch.microbatches) - 1
        with torch.enable_grad() if last else compute.gradients_local(student):
            with compute.autocast():
                loss, sums = lesson.loss(student, microbatch)
            compute.backward(loss * scale)
        for name, value in {"loss": loss, **sums}.items():
            totals[name] = totals.get(name, 0.0) + value.detach().float()
    grad_norm = clip(student, learner, compute)
    means = compute.sum(torch.stack(list(totals.values()))) / batch.num_terms
    metrics = {f"{lesson.name}/{name}": v for name, v in zip(totals, means.tolist(), strict=True)}
    refuse_nonfinite(metrics[f"{lesson.name}/loss"], grad_norm, batch.name, compute.scaler)
    metrics["optim/lr"] = learner.scheduler.get_last_lr()[0]
    metrics["optim/grad_norm"] = grad_norm
    compute.step(learner.optimizer)
    learner.scheduler.step()
    learner.optimizer.zero_grad(set_to_none=True)
    return metrics


def speed(exposure: Mapping[str, int], seconds: float) -> dict[str, float]:
    """How long the last step took, its batch's making included, and its tokens per second."""
    num_tokens = sum(n for name, n in exposure.items() if name.endswith("_tokens"))
    rate = {"time/tokens_per_second": num_tokens / seconds} if num_tokens else {}
    return {"time/step_seconds": seconds, **rate}


def clip(student: torch.nn.Module, learner: Learner, compute: Compute) -> float:
    """Scale the gradients down to the learner's largest norm; returns the norm before."""
    import torch

    compute.unscale(learner.optimizer)
    norm = torch.nn.utils.clip_grad_norm_(student.parameters(), learner.max_grad_norm)
    return (norm.full_tensor() if hasattr(norm, "full_tensor") else norm).item()  # pyright: ignore


def refuse_nonfinite(loss: float, grad_norm: float, batch: str, scaler: Any) -> None:
    """Raise if training went to NaN; fp16's loss scaling meets infinite gradients by itself."""
    if not math.isfinite(loss):
        raise DivergedError(f"the loss is {loss} on batch {batch}")
    if not math.isfinite(grad_norm) and scaler is None:
        raise DivergedError(f"the gradient's norm is {grad_norm} on batch {batch}")
