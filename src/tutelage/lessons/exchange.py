"""An exchange: for the same prompts the student tries, and a demonstrator shows (TND-2, TND-3).

The texts stand one after another, a trial and then its demonstration. An age model says how old
each is; what it is worth depends on the learner's own age.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from tutelage.config import UserError
from tutelage.lessons.records import round_exposure, round_samples
from tutelage.lessons.stage import Played, agreed
from tutelage.objectives.ages import age_reward
from tutelage.rewards.protocol import RewardError, Scores, checked
from tutelage.rollout.engine import Rollout, Sampling, sample
from tutelage.tensors import generator

if TYPE_CHECKING:
    from tutelage.data.prompts import Prompt
    from tutelage.lessons.machine import Machine
    from tutelage.lessons.updates import AnyUpdate
    from tutelage.models.student_module import Student
    from tutelage.objectives.shapes import Shape
    from tutelage.rewards.protocol import Reward

TRIALS, DEMONSTRATIONS = "trials", "demonstrations"
AUTHORS = {TRIALS: "student", DEMONSTRATIONS: "demonstrator"}


class Writer(NamedTuple):
    """Who writes, and how."""

    student: Student
    sampling: Sampling


class Exchange:
    """Trials, demonstrations or both, with their worth.

    Args:
        writers: Who writes trials, who demonstrations; of the two, those that are wanted.
        tokenizer: Of all writers.
        age_model: Says how old texts are, in log2 steps.
        shape: How ages become scores.
        step_of: The learner's step, from 1, at the exchange with a number, from 0.
        known_age: Age of demonstrations, if it is not left to the age model.
        twin: Whose texts' ages are compared with, in place of the learner's step.
        seed: Of the texts.
        machine: Processes and devices.
    """

    is_own = False

    def __init__(
        self,
        writers: dict[str, Writer],
        tokenizer: Any,
        age_model: Reward | None,
        *,
        shape: Shape,
        step_of: Callable[[int], int],
        known_age: float | None,
        twin: Writer | None,
        seed: int,
        machine: Machine,
    ):
        self.writers = writers
        self.tokenizer = tokenizer
        self.age_model = age_model
        self.shape: Shape = shape
        self.step_of = step_of
        self.known_age = known_age
        self.twin = twin
        self.seed = seed
        self.machine = machine
        self.voices = len(writers)
        self.played: Played | None = None
        """The last exchange."""
        self.counts = {name: torch.zeros(len(tokenizer), dtype=torch.long) for name in AUTHORS}
        """How often each token was written by all, so far."""

    def play(self, prompts: Sequence[Prompt], *, round: int, row_numbers: Sequence[int]) -> Played:
        """The texts of a round, each with its age and worth."""
        began = perf_counter()
        own = prompts[:: self.voices]
        numbers = [number // self.voices for number in row_numbers[:: self.voices]]
        texts = {
            name: self.write(writer, name, own, round, numbers)
            for name, writer in self.writers.items()
        }
        self.refuse_silence(texts)
        twin = None
        if self.twin is not None:
            twin = self.write(self.twin, "twin", own, round, numbers)
        written = perf_counter()
        rollout = interleaved(list(texts.values()), self.machine.device)
        scores = self.score(prompts, own, rollout, twin, self.step_of(round))
        authors = [AUTHORS[name] for _ in own for name in texts]
        said = None if self.age_model is None else scores
        samples = round_samples([prompt.text for prompt in prompts], rollout, said)
        self.count(texts)
        self.played = Played(
            rollout,
            scores,
            [{**row, "author": who} for row, who in zip(samples, authors, strict=True)],
            self.exposure(own, texts),
            {
                **self.metrics(scores, authors),
                "time/rollout_seconds": written - began,
                "time/reward_seconds": perf_counter() - written,
            },
        )
        return self.played

    def write(
        self, writer: Writer, name: str, prompts: Sequence[Prompt], round: int, numbers: list[int]
    ) -> Rollout:
        """What somebody writes for the prompts."""
        with self.machine.autocast():
            return sample(
                writer.student,
                self.tokenizer,
                [prompt.token_ids for prompt in prompts],
                writer.sampling,
                seed=generator(self.seed, name, round).initial_seed(),
                row_numbers=numbers,
            )

    def refuse_silence(self, texts: dict[str, Rollout]) -> None:
        """Raise if the demonstrator has nothing to say."""
        shown = texts.get(DEMONSTRATIONS)
        if shown is None:
            return
        num_tokens = torch.tensor(
            [sum(map(len, shown.response_ids)), len(shown.responses)], device=self.machine.device
        )
        written, rows = self.machine.sum(num_tokens).tolist()
        if written <= rows and all(finish == "eos" for finish in shown.finish):
            raise RewardError(
                f"The demonstrator ended all of its {rows} texts at once, so there is nothing to "
                "imitate. To go on, first set min_tokens under demonstrator, sampling in the run's "
                "config.yaml, and of a sweep also in the group's; or start a new run with "
                "--demonstrator.sampling.min-tokens or another demonstrator."
            )

    def score(
        self,
        prompts: Sequence[Prompt],
        own: Sequence[Prompt],
        rollout: Rollout,
        twin: Rollout | None,
        step: int,
    ) -> Scores:
        """Age and worth of every text."""
        if self.age_model is None:  # texts that are only imitated
            return Scores(torch.zeros(len(rollout.responses)), {})
        ages = self.all_ages([prompt.text for prompt in prompts], rollout.responses)
        if twin is None:
            baseline = torch.full_like(ages, math.log2(step))
        else:
            of_twin = self.ages([prompt.text for prompt in own], twin.responses)
            baseline = of_twin.repeat_interleave(self.voices)
        worth = age_reward(ages, baseline, self.shape)
        return Scores(worth, {"age": ages, "baseline": baseline})

    def all_ages(self, prompts: list[str], responses: list[str]) -> Tensor:
        """Of trials and demonstrations; if the latter's is known, nobody is asked for it."""
        if self.known_age is None or DEMONSTRATIONS not in self.writers:
            return self.ages(prompts, responses)
        ages = torch.full((len(responses),), self.known_age)
        if TRIALS in self.writers:
            trials = slice(None, None, self.voices)
            ages[trials] = self.ages(prompts[trials], responses[trials])
        return ages

    def ages(self, prompts: list[str], responses: list[str]) -> Tensor:
        """What the age model says, in log2 steps."""
        assert self.age_model is not None
        judge = self.age_model
        return agreed(
            lambda: checked(judge(prompts, responses), prompts, responses).scores.clone(),
            self.machine,
        )

    def exposure(self, own: Sequence[Prompt], texts: dict[str, Rollout]) -> dict[str, int]:
        """What the ledger gains; a prompt counts once."""
        prompts = [prompt.text for prompt in own]
        found: dict[str, int] = {}
        for name, rollout in texts.items():
            counted = round_exposure(prompts, rollout, total=self.machine.sum)
            if name == DEMONSTRATIONS:
                for unit in ("words", "tokens"):
                    counted[f"demonstrated_{unit}"] = counted.pop(f"generated_{unit}")
            found |= counted
        return found

    def metrics(self, scores: Scores, authors: Sequence[str]) -> dict[str, float]:
        """Mean worth and age of trials and of demonstrations."""
        if not scores.terms:
            return {}
        values = {"reward": scores.scores, "age": scores.terms["age"]}
        found = {}
        for author, kind in (("student", "trial"), ("demonstrator", "demonstration")):
            rows = [index for index, who in enumerate(authors) if who == author]
            if rows:
                found |= {f"{kind}_{name}": of[rows] for name, of in values.items()}
        found["baseline"] = scores.terms["baseline"]
        sums = [[float(of.sum()), len(of)] for of in found.values()]
        totals = torch.tensor(sums, dtype=torch.float64, device=self.machine.device)
        means = [total / count for total, count in self.machine.sum(totals).tolist()]
        return {f"interaction/{name}": mean for name, mean in zip(found, means, strict=True)}

    def count(self, texts: dict[str, Rollout]) -> None:
        """Add the tokens of all processes' texts to the tables of frequencies."""
        for name, rollout in texts.items():
            tokens = [token for row in rollout.response_ids for token in row]
            found = torch.bincount(torch.tensor(tokens), minlength=len(self.tokenizer))
            self.counts[name] += self.machine.sum(found.to(self.machine.device)).cpu()

    def state_dict(self) -> dict[str, Any]:
        """The tables of frequencies."""
        return {"counts": self.counts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.counts = state["counts"]


def refuse_uneven(batch_size: int, voices: int, update: AnyUpdate, num_processes: int) -> None:
    """Raise unless processes divide an interaction evenly, and minibatches fit into it.

    Args:
        batch_size: Prompts of an interaction, over all processes.
        voices: Texts of each prompt.
        update: What learns from them.
        num_processes: How many processes there are.
    """
    if batch_size % num_processes:
        raise UserError(
            f"--interaction.batch-size {batch_size} does not divide among {num_processes} "
            f"processes. Make it a multiple of {num_processes}."
        )
    if (update.minibatch_size or 0) > batch_size * voices:
        raise UserError(
            f"--update.minibatch-size {update.minibatch_size} is more than the "
            f"{batch_size * voices} texts of an interaction (--interaction.batch-size "
            f"{batch_size}{', of two authors' if voices == 2 else ''}). Lower it."
        )


def interleaved(rollouts: Sequence[Rollout], device: torch.device) -> Rollout:
    """Rollouts of the same prompts as one: the first rows of all, then the second, and so on.

    Of log-probabilities there are none: each writer has a distribution of its own.
    """
    if len(rollouts) == 1:
        (only,) = rollouts
        return only._replace(
            mask=only.mask.to(device),
            logprobs=torch.zeros_like(only.logprobs, device=device),
            values=None,
            kept_mass=only.kept_mass.to(device),
        )

    def rows(name: str) -> list[Any]:
        parts = zip(*(getattr(rollout, name) for rollout in rollouts), strict=True)
        return [row for part in parts for row in part]

    mask = pad_sequence([row.to(device) for row in rows("mask")], batch_first=True)
    kept = [row.to(device) for row in rows("kept_mass")]
    return Rollout(
        prompt_ids=rows("prompt_ids"),
        response_ids=rows("response_ids"),
        prompts=rows("prompts"),
        responses=rows("responses"),
        mask=mask,
        logprobs=torch.zeros(mask.shape, device=device),
        values=None,
        kept_mass=pad_sequence(kept, batch_first=True, padding_value=1.0),
        support=None,
        finish=rows("finish"),
    )
