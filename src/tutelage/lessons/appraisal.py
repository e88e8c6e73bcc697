"""What a round's responses are worth: old and reference log-probabilities, rewards, advantages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tutelage.lessons.experience import last_values, score_all
from tutelage.lessons.records import round_metrics
from tutelage.objectives.kl import adapted_kl_coef, k1, kl_loss
from tutelage.objectives.moments import moments, normalise
from tutelage.objectives.scores import episodes, penalise_missing_end, token_rewards

if TYPE_CHECKING:
    from tutelage.lessons.machine import Machine
    from tutelage.lessons.shaping import Kl, Shaping
    from tutelage.lessons.updates import AnyUpdate
    from tutelage.models.student_module import Reference, Student
    from tutelage.rewards.protocol import Scores
    from tutelage.rollout.engine import Rollout
    from tutelage.tensors import TokenScores


class Appraiser:
    """Turns scores of responses into what an update learns from.

    Its state, the weight of the KL and the moments of all scores so far, changes once a round.
    """

    def __init__(
        self,
        student: Student,
        update: AnyUpdate,
        shaping: Shaping,
        kl: Kl,
        reference: Reference | None,
        *,
        temperature: float,
        microbatch_tokens: int | None,
        is_own: bool = True,
        machine: Machine,
    ):
        self.student = student
        self.update = update
        self.shaping = shaping
        self.kl = kl
        self.reference = reference
        self.temperature = temperature
        self.microbatch_tokens = microbatch_tokens
        # Decoding rounds at other places than learning does, and the first ratio has to be 1.
        self.scores_again = not is_own or machine.precision != "fp32"
        self.machine = machine
        self.kl_coef = kl.coef
        self.moments = torch.zeros(3, dtype=torch.float64)

    def appraise(
        self, rollout: Rollout, scores: Scores
    ) -> tuple[dict[str, Tensor], dict[str, float]]:
        """What the update's losses need of every row, and how the rollout went."""
        told = self.look_back(rollout)
        kl = k1(told["logprobs"], told["ref_logprobs"]) if self.reference is not None else None
        ended = torch.tensor(
            [finish in ("eos", "stop") for finish in rollout.finish], device=rollout.mask.device
        )
        shaped = self.shaped(scores.scores.to(ended.device), ended)
        cut = episodes(shaped, rollout.mask, ended, truncation=self.shaping.truncation)
        rewards = token_rewards(
            cut.scores,
            torch.zeros_like(told["logprobs"]) if kl is None else kl,
            cut.mask,
            kl_coef=self.kl_coef if self.kl.place == "reward" else 0.0,
        )
        learned = self.update.tell(
            rewards,
            cut.mask,
            values=told.get("values"),
            bootstrap=self.bootstrap(rollout, cut.bootstraps),
            total=self.machine.sum,
        )
        metrics = round_metrics(rollout, scores, kl, told["logprobs"], total=self.machine.sum)
        metrics |= {f"trial/{name}": value for name, value in learned.metrics.items()}
        metrics |= {} if kl is None else {"trial/kl_coef": self.kl_coef}
        return {**told, **learned.tensors, "mask": cut.mask}, metrics

    def look_back(self, rollout: Rollout) -> dict[str, Tensor]:
        """Log-probabilities and values as they were, and those of the reference."""
        seen = self.scores_of(self.student, rollout) if self.scores_again else rollout
        told = {"logprobs": seen.logprobs}
        if seen.values is not None:
            told["values"] = seen.values
        if self.reference is not None:
            with self.reference() as reference:
                told["ref_logprobs"] = self.scores_of(reference, rollout).logprobs
        return told

    def scores_of(self, student: Student, rollout: Rollout) -> TokenScores:
        """What a student says of the responses."""
        return score_all(
            student,
            rollout,
            temperature=self.temperature,
            microbatch_tokens=self.microbatch_tokens,
            autocast=self.machine.autocast,
        )

    def shaped(self, scores: Tensor, ended: Tensor) -> Tensor:
        """Scores with the penalty for a missing end, and normalised if asked for."""
        if self.shaping.missing_end_penalty:
            scores = penalise_missing_end(
                scores,
                ended,
                penalty=self.shaping.missing_end_penalty,
                how=self.shaping.missing_end,
            )
        if self.shaping.normalise:
            self.moments = self.moments + self.machine.sum(moments(scores)).cpu()
            scores = normalise(scores, total=self.moments.to(scores.device))
        return scores

    def bootstrap(self, rollout: Rollout, wanted: Tensor) -> Tensor:
        """The critic's value after each response that goes on, and 0 after the others."""
        if self.shaping.truncation != "bootstrap":
            return torch.zeros_like(wanted, dtype=rollout.logprobs.dtype)
        finals = last_values(
            self.student,
            rollout,
            microbatch_tokens=self.microbatch_tokens,
            autocast=self.machine.autocast,
        )
        return torch.where(wanted, finals, 0.0)

    def kl_penalty(self, now: TokenScores, old: Mapping[str, Tensor]) -> Tensor | None:
        """The KL to the reference as a part of the loss, if that is its place."""
        if self.reference is None or self.kl.place != "loss":
            return None
        return (old["weights"] * kl_loss(now.logprobs, old["ref_logprobs"])).sum()

    def adapt(self, metrics: Mapping[str, float], num_responses: int) -> None:
        """Move the weight of the KL towards its target, after a round."""
        if self.kl.target is not None:
            self.kl_coef = adapted_kl_coef(
                self.kl_coef,
                metrics["trial/kl_per_response"],
                target=self.kl.target,
                horizon=self.kl.horizon,
                num_steps=num_responses,
            )

    def state_dict(self) -> dict[str, Any]:
        """What the next round depends on."""
        return {"kl_coef": self.kl_coef, "moments": self.moments.tolist()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.kl_coef = state["kl_coef"]
        self.moments = torch.tensor(state["moments"], dtype=torch.float64)
