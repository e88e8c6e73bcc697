"""Echo: imitate the texts of an exchange, trials and demonstrations (TND-5, double CLM).

The released code of Ma et al. does this inside the interaction step, after PPO; a control does it
in place of PPO.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tutelage.batch import Batch
from tutelage.lessons.exchange import Exchange
from tutelage.lessons.machine import largest
from tutelage.lessons.texts import at_once
from tutelage.objectives.clm import nll
from tutelage.rows import padded, portions
from tutelage.tensors import generator

if TYPE_CHECKING:
    from tutelage.lessons.trial import Trial


class Echo:
    """Learns prompts and texts of an exchange, token by token.

    Args:
        trial: Whose prompts are given.
        exchange: Who writes.
        plays: Whether it has the texts written; else those of the trial just before are taken.
        twice: Whether the texts are learned twice, as the released code does: in two steps of a
            random half each, then in one of all. Else once, in one step.
    """

    name = "echo"

    def __init__(self, trial: Trial, exchange: Exchange, *, plays: bool, twice: bool):
        self.trial = trial
        self.exchange = exchange
        self.plays = plays
        self.twice = twice
        self.machine = trial.machine

    @property
    def steps_per_round(self) -> int:
        """Optimiser steps that a round makes."""
        return 1 + min(self.trial.batch_size, 2) if self.twice else 1

    def round(self, student: torch.nn.Module) -> Iterator[Batch]:
        """The texts of one exchange."""
        news: dict[str, Any] = {}
        if self.plays:
            student.eval()
            numbers = range(self.trial.batch_size)[self.trial.own_rows()]
            with self.machine.gathered(student):
                played = self.exchange.play(
                    self.trial.next_prompts(), round=self.trial.rounds, row_numbers=numbers
                )
            student.train()
            rows = self.machine.collect(played.samples)
            news = {
                "exposure": played.exposure,
                "metrics": played.metrics,
                "samples": rows if self.machine.rank == 0 else (),
            }
        assert self.exchange.played is not None
        rollout = self.exchange.played.rollout
        texts = [p + r for p, r in zip(rollout.prompt_ids, rollout.response_ids, strict=True)]
        for part in [*(self.halves(texts) if self.twice else []), texts]:
            yield self.batch(part, **news)
            news = {}
        if self.plays:
            self.trial.rounds += 1

    def halves(self, texts: list[list[int]]) -> list[list[list[int]]]:
        """This process's texts in two random halves of all; a half may have none of them."""
        num_texts = self.trial.batch_size
        rng = generator(self.trial.seed, "echo", self.trial.rounds)
        order = torch.randperm(num_texts, generator=rng).tolist()
        half = (num_texts + 1) // 2
        own = dict(zip(range(num_texts)[self.trial.own_rows()], texts, strict=True))
        halves = [half for half in (order[:half], order[half:]) if half]
        return [[own[index] for index in half if index in own] for half in halves]

    def batch(
        self,
        texts: list[list[int]],
        *,
        exposure: Mapping[str, int] | None = None,
        metrics: Mapping[str, float] | None = None,
        samples: Sequence[Mapping[str, Any]] = (),
    ) -> Batch:
        """One optimiser step over this process's texts and the others'."""
        own = torch.tensor(
            [sum(len(text) - 1 for text in texts), len(texts)], device=self.machine.device
        )
        num_terms = int(self.machine.sum(own)[0])
        lengths = [len(text) for text in texts]
        # Processes may have different numbers of texts and of portions.
        own_portions = portions(
            lengths, range(len(texts)), at_once(self.trial.microbatch_tokens, self.machine.device)
        )
        most = largest(len(own_portions), self.machine)
        return Batch(
            microbatches=[
                [texts[index] for index in portion]
                for portion in own_portions + [[] for _ in range(most - len(own_portions))]
            ],
            num_terms=num_terms,
            exposure=exposure or {},
            name=f"texts of exchange {self.trial.rounds + 1}",
            metrics=metrics or {},
            samples=samples,
        )

    def loss(
        self, student: torch.nn.Module, microbatch: list[list[int]]
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Summed negative log-likelihood, in nats, of every token but each text's first."""
        token_ids, mask = padded(microbatch or [[0, 0]], device=self.machine.device)
        keep = mask[:, 1:] & bool(microbatch)
        return nll(student(token_ids, keep=keep).logprobs).sum(), {}

    def state_dict(self) -> dict[str, Any]:
        """What the next round depends on, if the trial's lesson does not keep it."""
        return {"trial": self.trial.state_dict()} if self.plays else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        if self.plays:
            self.trial.load_state_dict(state["trial"])
