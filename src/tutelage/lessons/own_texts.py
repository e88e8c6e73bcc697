"""Texts of the student's own, for the online variant of IQ-Learn (Wulfmeier et al., 2024)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from tutelage.lessons.completions import Row
from tutelage.lessons.machine import largest
from tutelage.lessons.records import round_exposure
from tutelage.lessons.texts import at_once
from tutelage.rollout.engine import Rollout, Sampling, sample
from tutelage.rows import portions
from tutelage.tensors import generator

if TYPE_CHECKING:
    from tutelage.lessons.machine import Machine
    from tutelage.models.student_module import Student


class Written(NamedTuple):
    """This process's share of a step's texts."""

    portions: list[list[Row]]
    """Equally many on every process; some may be empty."""
    num_rewards: int
    """Tokens with a reward, over all processes."""
    exposure: Mapping[str, int]
    """What the ledger gains, over all processes."""


class OwnTexts:
    """The student writes completions of a batch's prompts.

    Args:
        student: Who writes.
        tokenizer: Its tokens.
        fraction: Part of the term of rewards that its texts make up; a step's texts are this part
            of its batch size, and at least one a process.
        sampling: How they are sampled.
        microbatch_tokens: Most tokens of a forward pass, padding included.
        seed: Of the samples.
        machine: Processes and devices.
    """

    def __init__(
        self,
        student: Student,
        tokenizer: Any,
        *,
        fraction: float,
        sampling: Sampling,
        microbatch_tokens: int | None,
        seed: int,
        machine: Machine,
    ):
        self.student = student
        self.tokenizer = tokenizer
        self.fraction = fraction
        self.sampling = sampling
        self.most_tokens = at_once(microbatch_tokens, machine.device)
        self.seed = seed
        self.machine = machine

    def write(
        self, student: torch.nn.Module, rows: Sequence[Row], step: int, *, bootstrap: bool
    ) -> Written:
        """Texts of a step, with the first prompts of its batch.

        Args:
            student: The student as it is trained, perhaps wrapped or sharded.
            rows: The step's rows, of all processes.
            step: The step.
            bootstrap: Whether the last token of a text that was cut has a reward.
        """
        processes = self.machine.num_processes
        number = max(round(self.fraction * len(rows)), processes)
        mine = range(number)[self.machine.rank :: processes]
        rollout = self.sampled(student, [rows[i % len(rows)] for i in mine], list(mine), step)
        written = [
            Row([*prompt, *response], len(prompt), finish == "eos", len(prompt), 0)
            for prompt, response, finish in zip(
                rollout.prompt_ids, rollout.response_ids, rollout.finish, strict=True
            )
        ]
        num_rewards = torch.tensor(
            [sum(row.num_rewards(bootstrap=bootstrap) for row in written)],
            device=self.machine.device,
        )
        lengths = [len(row.token_ids) for row in written]
        own = [
            [written[i] for i in some]
            for some in portions(lengths, range(len(written)), self.most_tokens)
        ]
        own += [[] for _ in range(largest(len(own), self.machine) - len(own))]
        exposure = round_exposure(rollout.prompts, rollout, total=self.machine.sum)
        return Written(own, int(self.machine.sum(num_rewards)), exposure)

    def sampled(
        self, student: torch.nn.Module, rows: Sequence[Row], numbers: list[int], step: int
    ) -> Rollout:
        """A response to the prompt of each row, by the student as it is now."""
        was_training = student.training
        with self.machine.gathered(student), self.machine.autocast():
            rollout = sample(
                self.student,
                self.tokenizer,
                [row.token_ids[: row.num_prompt] for row in rows],
                self.sampling,
                seed=generator(self.seed, "own texts", step).initial_seed(),
                row_numbers=numbers,
            )
        student.train(was_training)
        return rollout
