"""Optimiser and learning-rate schedule of one lesson."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, model_validator

from tutelage.config import Config

if TYPE_CHECKING:
    import torch

Schedule = Literal[
    "constant",
    "linear",
    "cosine",
    "cosine_with_min_lr",
    "inverse_sqrt",
    "polynomial",
    "exponential",
]


class Optim(Config):
    """AdamW or Adam with a warm-up and a schedule."""

    algorithm: Literal["adamw", "adam"] = "adamw"
    """adamw decays weights by themselves (Loshchilov & Hutter, 2019); adam adds the decay to the
    gradients."""
    lr: Annotated[float, Field(gt=0, lt=1)] = 1e-3
    """Peak learning rate."""
    schedule: Schedule = "cosine"
    """What the learning rate does after the warm-up; every schedule but constant and inverse_sqrt
    reaches its end at the last step."""
    final_lr: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Learning rate of the last step with schedule exponential."""
    warmup_steps: NonNegativeInt = 50
    """Optimiser steps of linear warm-up from 0."""
    weight_decay: NonNegativeFloat = 0.1
    """Weight decay of matrices; biases and norms have none."""
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Decay of the mean of gradients."""
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.95
    """Decay of the mean of squared gradients."""
    eps: PositiveFloat = 1e-8
    """Added to the root of the mean of squared gradients."""
    max_grad_norm: PositiveFloat = 1.0
    """Gradients are scaled down to this L2 norm; raise it to switch clipping off."""

    @model_validator(mode="after")
    def _refuse_half_told(self) -> Optim:
        if (self.final_lr is not None) != (self.schedule == "exponential"):
            raise ValueError("final_lr goes with schedule exponential: give both or neither")
        return self

    def build(
        self,
        module: torch.nn.Module,
        *,
        total_steps: int,
        at: Sequence[int] | None = None,
        without: str | None = None,
    ) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        """The optimiser over the module's trainable parameters, and its schedule.

        Args:
            module: What learns.
            total_steps: Steps to the end of the schedule.
            at: In which of these steps each update is made; none: one update a step.
            without: Name of a part that this optimiser leaves alone.
        """
        import torch

        trained = [
            parameter
            for name, parameter in module.named_parameters()
            if parameter.requires_grad and (without is None or without not in name.split("."))
        ]
        groups = [
            {"params": [p for p in trained if p.dim() >= 2], "weight_decay": self.weight_decay},
            {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
        ]
        kind = torch.optim.AdamW if self.algorithm == "adamw" else torch.optim.Adam
        optimizer = kind(
            [group for group in groups if group["params"]],
            lr=self.lr,
            betas=(self.beta1, self.beta2),
            eps=self.eps,
            fused=True,
        )
        factor = self.factor(optimizer, total_steps)
        return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, placed(factor, at))

    def factor(self, optimizer: torch.optim.Optimizer, total_steps: int) -> Callable[[int], float]:
        """What the learning rate is multiplied by in each step."""
        from transformers import get_scheduler

        warmup_steps = min(self.warmup_steps, total_steps)
        if self.final_lr is not None:
            return exponential(self.final_lr / self.lr, warmup_steps, total_steps)
        own = {"min_lr_rate": 0.1} if self.schedule == "cosine_with_min_lr" else {}
        scheduler = get_scheduler(
            # Transformers' own "constant" has no warm-up.
            "constant_with_warmup" if self.schedule == "constant" else self.schedule,
            optimizer,
            num_warmup_steps=warmup_steps,
            num_training_steps=total_steps,
            scheduler_specific_kwargs=own,
        )
        return scheduler.lr_lambdas[0]  # pyright: ignore[reportAttributeAccessIssue]


def placed(factor: Callable[[int], float], at: Sequence[int] | None) -> Callable[[int], float]:
    """Factors of updates, from those of steps and in which step each update is made."""
    if at is None:
        return factor
    return lambda update: factor(at[min(update, len(at) - 1)]) if at else 1.0


def exponential(final: float, warmup_steps: int, total_steps: int) -> Callable[[int], float]:
    """Factors that rise to 1, then fall by the same ratio each step, to `final` at the last."""

    def factor(step: int) -> float:
        if step < warmup_steps:
            return step / warmup_steps
        falls = max(total_steps - 1 - warmup_steps, 1)
        return final ** min((step - warmup_steps) / falls, 1.0)

    return factor
