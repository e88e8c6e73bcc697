"""`tutelage irl`: imitation by inverse reinforcement learning (IRL-2)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from tutelage.config import Config, UserError
from tutelage.recipes.conduct import conduct
from tutelage.recipes.imitation import GSM8K, LAPTOP, Imitate, Parts
from tutelage.recipes.references import build_reference, refuse_no_model
from tutelage.recipes.sweep import refuse_shared_hub
from tutelage.rollout.engine import Sampling
from tutelage.run_folder import default_path

if TYPE_CHECKING:
    from tutelage.lessons.imitation import Terms
    from tutelage.models.student import Student
    from tutelage.train.compute import Compute

LAMBDA_KL = 0.01


class Td(Config):
    """The penalty on rewards, which are differences of values: temporal differences."""

    cut: Literal["drop", "bootstrap"] = "drop"
    """The last token of a completion that was cut has no reward (drop), or one that counts on the
    value of the state after it (bootstrap)."""
    target: Literal["flow", "stop"] = "flow"
    """Whether the next state's value learns, too (flow), or is a target only (stop)."""


class KlTo(Config):
    """Staying near a reference."""

    reference: str = "start"
    """Whom the KL is taken to: start, the student before training (under LoRA, without its
    adapters); or the folder or hub name of a model with the same tokens."""
    estimator: Literal["full", "sampled"] = "full"
    """full: over the whole vocabulary in each state. sampled: from one token drawn in each."""


class Online(Config):
    """Texts of the student's own beside the demonstrations, in the penalty on rewards."""

    fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Their part of the penalty, and of the batch size; 0.1 in the paper's analysis of rewards."""
    sampling: Sampling = Sampling()
    """How they are sampled."""


class Irl(Imitate):
    """Train a student to complete prompts as demonstrated, by inverse reinforcement learning."""

    lambda_td: NonNegativeFloat = 0.1
    """Weight of the squared rewards: 1 / (4 α) of the χ² divergence; 0 leaves the likelihood."""
    lambda_kl: NonNegativeFloat | None = None
    """Weight of the KL to the reference, 0: none. Default: 0.01, and 0 for a new student without a
    reference of its own."""
    gamma: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Discount of the next state's value."""
    mle_steps: NonNegativeInt = 0
    """First optimiser steps, in which only the likelihood counts."""
    td: Td = Td()
    """The penalty on rewards."""
    kl: KlTo = KlTo()
    """The KL's reference."""
    online: Online = Online()
    """Samples in training."""
    sweep: tuple[str, ...] = ()
    """Train several arms one after another into one folder: lambda_0, lambda_0.01 … (any weight),
    entropy_0.1 … (sft with that bonus), or pareto for the usual ones."""
    seeds: PositiveInt = 1
    """Seeds of each arm of a sweep."""

    def check(self) -> None:
        """Refuse what can be refused before anything heavy loads."""
        super().check()
        if self.lambda_kl and self.student.path is None and self.kl.reference == "start":
            raise UserError(
                f"--lambda-kl {self.lambda_kl:g} would keep a new student near its random weights. "
                "Leave it out, or give --kl.reference or --student.path."
            )
        if self.kl_weight and self.kl.reference != "start":
            refuse_no_model(self.kl.reference)
        if self.online.fraction:
            self.online.sampling.check()
            if not self.lambda_td:
                raise UserError(
                    "--online.fraction is part of the penalty on rewards, whose weight "
                    "--lambda-td is 0. Leave one of them out."
                )
        if self.sweep:
            from tutelage.recipes.irl_sweep import planned

            refuse_shared_hub(self.hub)

            planned(self)

    @property
    def kl_weight(self) -> float:
        """The weight of the KL."""
        if self.lambda_kl is None:
            has_reference = self.student.path is not None or self.kl.reference != "start"
            return LAMBDA_KL if has_reference else 0.0
        return self.lambda_kl

    def terms(self) -> Terms:
        """IQ-Learn's."""
        from tutelage.lessons.imitation import Terms

        return Terms(
            lambda_td=self.lambda_td,
            lambda_kl=self.kl_weight,
            gamma=self.gamma,
            detach_next=self.td.target == "stop",
            bootstrap=self.td.cut == "bootstrap",
            sampled_kl=self.kl.estimator == "sampled",
            shows_values=True,
            shows_entropy=True,
        )

    def parts(self, student: Student, tokenizer: Any, compute: Compute) -> Parts:
        """The reference, and who writes samples."""
        from tutelage.lessons.own_texts import OwnTexts

        reference = own = None
        if self.kl_weight:
            reference = build_reference(
                self.kl.reference, student, tokenizer, seed=self.seed, device=compute.device
            )
        if self.online.fraction:
            own = OwnTexts(
                student,
                tokenizer,
                fraction=self.online.fraction,
                sampling=self.online.sampling,
                microbatch_tokens=self.microbatch_tokens,
                seed=self.seed,
                machine=compute,
            )
        return Parts(reference, own, self.mle_steps)

    def run(self, resume: Path | None = None) -> int:
        """Train one run, or all of a sweep; returns the exit status."""
        if self.sweep:
            from tutelage.recipes.irl_sweep import run_arms

            return run_arms(self, resume)
        return conduct(self, resume, default=self.default_out, make=self.session)

    def default_out(self) -> Path:
        """Named after the recipe and the time."""
        return default_path("irl")


def laptop() -> Irl:
    """A million parameters learn sums with their steps, a minute or two on a laptop."""
    return Irl(**LAPTOP)


def gsm8k() -> Irl:
    """Pythia-160m on GSM8K, with the settings of the research code that this comes from."""
    return Irl(**GSM8K)


def pareto() -> Irl:
    """Six weights of the penalty, and a bonus for entropy, on sums: accuracy and diversity."""
    return Irl(**LAPTOP, sweep=("pareto",), seeds=3)


PRESETS: dict[str, Callable[[], Irl]] = {"laptop": laptop, "gsm8k": gsm8k, "pareto": pareto}
