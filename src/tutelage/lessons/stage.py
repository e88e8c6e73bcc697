"""Where a round's texts come from and what they are worth: the part of a trial before learning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import torch

from tutelage.data.prompts import Prompt, columns_of
from tutelage.lessons.records import round_exposure, round_samples
from tutelage.rewards.protocol import RewardError, Scores, checked
from tutelage.rollout.engine import Rollout, Sampling, sample
from tutelage.tensors import generator

if TYPE_CHECKING:
    from tutelage.lessons.machine import Machine
    from tutelage.models.student_module import Student
    from tutelage.rewards.protocol import Reward


class Played(NamedTuple):
    """This process's share of a round's texts."""

    rollout: Rollout
    scores: Scores
    samples: list[dict[str, Any]]
    """Rows for samples.jsonl."""
    exposure: Mapping[str, int]
    """What the ledger gains, over all processes."""
    metrics: Mapping[str, float]
    """What is to be logged besides the usual."""


class Stage(Protocol):
    """Plays rounds: the same prompts and round give the same texts."""

    voices: int
    """Texts of each prompt; they stand one after another."""
    is_own: bool
    """Whether all texts are the student's, with log-probabilities and values."""

    def play(self, prompts: Sequence[Prompt], *, round: int, row_numbers: Sequence[int]) -> Played:
        """The texts of a round, for prompts of which each comes as often as there are voices.

        Args:
            prompts: This process's.
            round: Number of the round, from 0.
            row_numbers: Numbers of this process's rows among those of all.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """What it has to remember from one round to the next."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        ...


class Solo:
    """The student writes, and a reward says how good that is."""

    voices = 1
    is_own = True

    def __init__(
        self,
        student: Student,
        tokenizer: Any,
        reward: Reward,
        *,
        sampling: Sampling,
        seed: int,
        machine: Machine,
    ):
        self.student = student
        self.tokenizer = tokenizer
        self.reward = reward
        self.sampling = sampling
        self.seed = seed
        self.machine = machine

    def play(self, prompts: Sequence[Prompt], *, round: int, row_numbers: Sequence[int]) -> Played:
        """The student's responses, scored."""
        began = perf_counter()
        with self.machine.autocast():
            rollout = sample(
                self.student,
                self.tokenizer,
                [prompt.token_ids for prompt in prompts],
                self.sampling,
                seed=generator(self.seed, "rollout", round).initial_seed(),
                row_numbers=row_numbers,
            )
        written = perf_counter()
        texts = [prompt.text for prompt in prompts]
        scores = agreed(lambda: self.score(prompts, rollout), self.machine)
        seconds = {
            "time/rollout_seconds": written - began,
            "time/reward_seconds": perf_counter() - written,
        }
        return Played(
            rollout,
            scores,
            round_samples(texts, rollout, scores),
            round_exposure(texts, rollout, total=self.machine.sum),
            seconds,
        )

    def score(self, prompts: Sequence[Prompt], rollout: Rollout) -> Scores:
        """What the reward says."""
        texts = [prompt.text for prompt in prompts]
        found = self.reward(texts, rollout.responses, **columns_of(prompts))
        return checked(found, texts, rollout.responses)

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to do."""


def agreed(score: Any, machine: Machine) -> Any:
    """What `score` gives; if it raises a RewardError on one process, it does so on all.

    All then raise the first error, since only the main process speaks to the user.
    """
    found, failures = None, []
    try:
        found = score()
    except RewardError as error:
        failures.append(error)
    failed = torch.tensor([len(failures)], dtype=torch.long, device=machine.device)
    if int(machine.sum(failed)):
        raise machine.collect(failures)[0]
    return found
