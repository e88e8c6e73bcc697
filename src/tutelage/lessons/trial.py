"""Trial: the student writes, a reward says how good that was, and an update learns from it.

A round has responses to a batch of prompts written and scored (`stage.py`), appraises them, and
hands out epochs × minibatches.
Everything that is random in it is a pure function of the seed and the round, so a round that was
interrupted is done again from its start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from tutelage.batch import Batch
from tutelage.config import UserError
from tutelage.data.packing import BlockOrder
from tutelage.data.prompts import Prompt
from tutelage.lessons.appraisal import Appraiser
from tutelage.lessons.experience import Rows
from tutelage.lessons.texts import at_once
from tutelage.lessons.updates import refuse_indivisible
from tutelage.rewards.protocol import Scores
from tutelage.rollout.engine import Rollout
from tutelage.rows import portions
from tutelage.tensors import generator

if TYPE_CHECKING:
    from tutelage.lessons.machine import Machine
    from tutelage.lessons.shaping import Kl, Shaping
    from tutelage.lessons.stage import Stage
    from tutelage.lessons.updates import AnyUpdate
    from tutelage.models.student_module import Reference, Student


class Portion(NamedTuple):
    """What one forward pass learns from."""

    rows: Rows
    tensors: Mapping[str, Tensor]


class Experience(NamedTuple):
    """This process's share of a round."""

    rollout: Rollout
    tensors: Mapping[str, Tensor]
    lengths: list[int]
    """Prompt and response of every row, over all processes."""
    weights: list[float]
    """What each row adds to the number of terms, over all processes."""


class Trial:
    """Rounds of prompts, responses, scores and updates."""

    name = "trial"

    def __init__(
        self,
        student: Student,
        prompts: Sequence[Prompt],
        stage: Stage,
        *,
        temperature: float,
        update: AnyUpdate,
        shaping: Shaping,
        kl: Kl,
        reference: Reference | None,
        batch_size: int,
        microbatch_tokens: int | None,
        seed: int,
        machine: Machine,
    ):
        refuse_indivisible(batch_size, update, machine.num_processes)
        self.student = student
        self.prompts = prompts
        self.stage = stage
        self.temperature = temperature
        self.update = update
        self.appraiser = Appraiser(
            student,
            update,
            shaping,
            kl,
            reference,
            temperature=temperature,
            microbatch_tokens=microbatch_tokens,
            is_own=stage.is_own,
            machine=machine,
        )
        self.batch_size = batch_size
        self.microbatch_tokens = microbatch_tokens
        self.seed = seed
        self.machine = machine
        self.order = BlockOrder(len(prompts), seed)
        self.rounds = 0

    @property
    def steps_per_round(self) -> int:
        """Optimiser steps that a round makes."""
        return self.update.epochs * len(self.minibatches(0))

    def round(self, student: torch.nn.Module) -> Iterator[Batch]:
        """One round; `student` is what the processes wrapped around the lesson's own."""
        student.eval()  # no dropout: the first ratio is 1
        prompts = self.next_prompts()
        with self.machine.gathered(student):
            numbers = range(self.batch_size)[self.own_rows()]
            played = self.stage.play(prompts, round=self.rounds, row_numbers=numbers)
            began = perf_counter()
            experience, metrics = self.experience(played.rollout, played.scores)
            seconds = perf_counter() - began
        rows = self.machine.collect(played.samples)
        news = {
            "metrics": {**metrics, **played.metrics, "time/scoring_seconds": seconds},
            "samples": rows if self.machine.rank == 0 else (),
            "exposure": played.exposure,
        }
        for epoch in range(self.update.epochs):
            for number, indices in enumerate(self.minibatches(epoch)):
                name = f"round {self.rounds + 1}, epoch {epoch + 1}, minibatch {number + 1}"
                yield self.batch(experience, indices, name, **news)
                news = {}
        self.rounds += 1
        self.appraiser.adapt(metrics, self.batch_size)

    def next_prompts(self) -> list[Prompt]:
        """This process's prompts of the round, each as often as texts of it are wanted."""
        group = self.update.group_size * self.stage.voices
        num_groups = self.batch_size // group
        indices = self.order.indices(self.rounds * num_groups, num_groups)
        rows = [index for index in indices for _ in range(group)]
        return [self.prompts[index] for index in rows[self.own_rows()]]

    def own_rows(self) -> slice:
        """This process's rows of the round's."""
        size = self.batch_size // self.machine.num_processes
        return slice(self.machine.rank * size, (self.machine.rank + 1) * size)

    def experience(self, rollout: Rollout, scores: Scores) -> tuple[Experience, dict[str, float]]:
        """Everything that the round's updates need, and how the rollout went."""
        told, metrics = self.appraiser.appraise(rollout, scores)
        mine = torch.zeros(self.batch_size, 2, dtype=torch.float64)
        lengths = [len(p) for p in rollout.prompt_ids]
        mine[self.own_rows(), 0] = torch.tensor(lengths, dtype=torch.float64)
        mine[self.own_rows(), 0] += rollout.mask.sum(1).cpu()
        mine[self.own_rows(), 1] = told["weights"].sum(1).double().cpu()
        everyone = self.machine.sum(mine.to(self.machine.device)).cpu()
        experience = Experience(
            rollout, told, everyone[:, 0].long().tolist(), everyone[:, 1].tolist()
        )
        return experience, metrics

    def minibatches(self, epoch: int) -> list[list[int]]:
        """Rows of each optimiser step of an epoch, over all processes."""
        rng = generator(self.seed, "minibatches", self.rounds, epoch)
        order = torch.randperm(self.batch_size, generator=rng).tolist()
        size = self.update.minibatch_size or self.batch_size
        return [order[start : start + size] for start in range(0, self.batch_size, size)]

    def batch(
        self,
        experience: Experience,
        indices: list[int],
        name: str,
        *,
        metrics: Mapping[str, float] | None = None,
        samples: Sequence[Mapping[str, Any]] = (),
        exposure: Mapping[str, int] | None = None,
    ) -> Batch:
        """The work of one optimiser step: this process's rows among these, in portions."""
        size = self.batch_size // self.machine.num_processes
        shares = [
            portions(
                experience.lengths,
                [index for index in indices if index // size == rank],
                at_once(self.microbatch_tokens, self.machine.device),
            )
            for rank in range(self.machine.num_processes)
        ]
        own = [[index % size for index in rows] for rows in shares[self.machine.rank]]
        num_portions = max(map(len, shares))
        return Batch(
            microbatches=[
                portion(experience, rows, self.machine.device)
                for rows in own + [[]] * (num_portions - len(own))
            ],
            num_terms=max(sum(experience.weights[index] for index in indices), 1),
            exposure=exposure or {},
            name=name,
            metrics=metrics or {},
            samples=samples,
        )

    def loss(
        self, student: torch.nn.Module, microbatch: Portion
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The summed loss of a portion, and sums to log."""
        rows, old = microbatch
        now = rows.scores(student, temperature=self.temperature, entropy=True)
        loss, sums = self.update.loss(now, old)
        penalty = self.appraiser.kl_penalty(now, old)
        if penalty is None:
            return loss, sums
        return loss + self.appraiser.kl_coef * penalty, {**sums, "kl_loss": penalty}

    def state_dict(self) -> dict[str, Any]:
        """What the next round depends on."""
        return {
            "rounds": self.rounds,
            "appraiser": self.appraiser.state_dict(),
            "stage": self.stage.state_dict(),
            "num_prompts": len(self.prompts),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        if state["num_prompts"] != len(self.prompts):
            raise UserError(
                f"There were {state['num_prompts']} prompts when this run began, and now there are "
                f"{len(self.prompts)}, so it cannot go on. Put the old prompts back, or start a "
                "new run with --student.path on a checkpoint."
            )
        self.rounds = state["rounds"]
        self.appraiser.load_state_dict(state["appraiser"])
        self.stage.load_state_dict(state["stage"])


def portion(experience: Experience, indices: list[int], device: torch.device) -> Portion:
    """These rows of a round; without any, one row of which nothing counts.

    A process without rows takes part in the forward and backward pass all the same.
    """
    is_blank = not indices
    indices = indices or [0]
    rows = Rows.of(experience.rollout, indices, device)
    width = rows.mask.shape[1]
    tensors = {
        name: tensor[indices, :width] if tensor.dim() > 1 else tensor[indices]
        for name, tensor in experience.tensors.items()
    }
    if is_blank:
        # Nothing that is summed over has a weight.
        names = ("weights", "mask")
        tensors |= {name: torch.zeros_like(tensors[name]) for name in names}
    return Portion(rows, tensors)
