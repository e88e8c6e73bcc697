"""Imitation: learn completions of prompts, by likelihood alone or by IQ-Learn (IRL-2).

The loss of an optimiser step is E[−log π] + λ_td E[r²] + λ_kl E[KL(π‖reference)] − c E[H], each a
mean over the tokens of the whole step that it is about: see `tutelage.objectives.iqlearn`. With
λ_td, λ_kl and c at 0, nothing but the likelihood is in the loss.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from tutelage.batch import Batch
from tutelage.config import UserError
from tutelage.data.packing import BlockOrder
from tutelage.lessons.completions import Columns, Row, fingerprint
from tutelage.lessons.texts import at_once, shared_portions
from tutelage.models.student_module import Against, Reference
from tutelage.objectives.clm import masked_sum, nll
from tutelage.objectives.iqlearn import (
    has_reward,
    next_soft_values,
    q_values,
    td_penalty,
    token_rewards,
)
from tutelage.objectives.kl import kl_loss
from tutelage.tensors import generator

if TYPE_CHECKING:
    from tutelage.lessons.machine import Machine
    from tutelage.lessons.own_texts import OwnTexts
    from tutelage.tensors import TokenScores

VERSION = 1


class Terms(NamedTuple):
    """What the loss is made of, besides the likelihood."""

    lambda_td: float = 0.0
    """Weight of the squared rewards."""
    lambda_kl: float = 0.0
    """Weight of the KL to the reference."""
    entropy_coef: float = 0.0
    """Weight of the bonus for entropy."""
    gamma: float = 1.0
    """Discount of the next state's value."""
    detach_next: bool = False
    """Keep the next state's value from learning."""
    bootstrap: bool = False
    """Read the value of the state after a text that was cut; else its last token has no reward."""
    sampled_kl: bool = False
    """Estimate the KL from one drawn token a state."""
    shows_values: bool = False
    """Log soft values and rewards even where they do not count."""
    shows_entropy: bool = False
    """Log the entropy even where it does not count."""

    def likelihood(self) -> Terms:
        """The same with nothing but the likelihood in the loss."""
        return self._replace(lambda_td=0.0, lambda_kl=0.0, entropy_coef=0.0)


class Portion(NamedTuple):
    """Rows of one forward pass."""

    rows: Sequence[Row]
    terms: Terms
    is_own: bool
    """Whether the student wrote them: then only their rewards count."""
    share: float
    """Part of the term of rewards that texts of this kind make up."""
    reward_scale: float
    """Learned tokens of the step per token that has a reward: sums of rewards are multiplied by it,
    since everything is divided by the number of learned tokens."""
    rng: torch.Generator | None
    """Draws the tokens that a KL is estimated from: one for all portions of a step, in their order,
    so that their sizes change nothing."""


class Imitation:
    """Rows in a seeded, endless order.

    Args:
        rows: Prompts with completions.
        terms: What the loss is made of.
        reference: Who the KL is taken to, if it has a weight.
        mle_steps: First steps, in which only the likelihood counts.
        own: Who writes texts of the student's own for the term of rewards, if that is wanted.
        batch_size: Rows per optimiser step, over all processes.
        microbatch_tokens: Most tokens of a forward pass, padding included.
        seed: Of the order.
        machine: Processes and devices.
    """

    name = "imitation"

    def __init__(
        self,
        rows: Sequence[Row],
        *,
        terms: Terms,
        reference: Reference | None = None,
        mle_steps: int = 0,
        own: OwnTexts | None = None,
        batch_size: int,
        microbatch_tokens: int | None,
        seed: int,
        machine: Machine,
    ):
        self.rows = rows
        self.terms = terms
        self.reference = reference
        self.mle_steps = mle_steps
        self.own = own
        self.batch_size = batch_size
        self.most_tokens = at_once(microbatch_tokens, machine.device)
        self.seed = seed
        self.machine = machine
        self.order = BlockOrder(len(rows), seed)
        self.lengths = [len(row.token_ids) for row in rows]
        self.key = fingerprint(rows)
        self.steps = 0

    def round(self, student: torch.nn.Module) -> Iterator[Batch]:
        """The next batch."""
        step, self.steps = self.steps, self.steps + 1
        yield self.batch(student, step)

    def batch(self, student: torch.nn.Module, step: int) -> Batch:
        """The batch of a step."""
        position = step * self.batch_size
        indices = self.order.indices(position, self.batch_size)
        rows = [self.rows[index] for index in indices]
        num_terms = sum(row.num_learned for row in rows)
        terms = self.terms if step >= self.mle_steps else self.terms.likelihood()
        num_rewards = sum(row.num_rewards(bootstrap=terms.bootstrap) for row in rows)
        if not num_rewards:
            terms = terms._replace(lambda_td=0.0, shows_values=False)
        own = self.own if terms.lambda_td else None
        share, scale = 1 - own.fraction if own else 1.0, num_terms / max(num_rewards, 1)
        rng = generator(self.seed, "drawn", step, self.machine.rank) if terms.sampled_kl else None
        shared = shared_portions(self.lengths, indices, self.machine, self.most_tokens)
        portions = [
            Portion([self.rows[i] for i in some], terms, False, share, scale, rng)
            for some in shared
        ]
        exposure = {
            "read_words": sum(row.num_words for row in rows),
            "read_tokens": sum(len(row.token_ids) for row in rows),
        }
        if own is not None:
            written = own.write(student, rows, step, bootstrap=terms.bootstrap)
            scale = num_terms / max(written.num_rewards, 1)
            portions += [
                Portion(some, terms, True, own.fraction, scale, None) for some in written.portions
            ]
            exposure |= written.exposure
        return Batch(
            microbatches=portions,
            num_terms=num_terms,
            exposure=exposure,
            name=f"examples {position} to {position + self.batch_size - 1} of the order",
        )

    def loss(
        self, student: torch.nn.Module, microbatch: Portion
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The summed loss of some rows, in nats, and sums to log."""
        return portion_loss(student, microbatch, self.reference, self.machine.device)

    def state_dict(self) -> dict[str, Any]:
        """How many steps were made, and of which rows."""
        return {"steps": self.steps, "key": self.key}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on at a saved step."""
        if state["key"] != self.key:
            raise UserError(
                "The data (or their template, lengths or tokenizer) changed since this run began, "
                "so it cannot go on. Put the old ones back, or start a new run with --student.path "
                "on a checkpoint."
            )
        self.steps = state["steps"]


def portion_loss(
    student: torch.nn.Module, portion: Portion, reference: Reference | None, device: torch.device
) -> tuple[Tensor, dict[str, Tensor]]:
    """The summed loss of some rows, in nats, and sums to log."""
    terms = portion.terms
    columns = Columns.of(portion.rows, bootstrap=terms.bootstrap, device=device)
    if portion.is_own:
        scores = student(columns.token_ids, keep=columns.states)
        penalty, sums = revealed(scores, columns, terms)
        sums = {f"own_{name}": portion.reward_scale * value for name, value in sums.items()}
        return terms.lambda_td * portion.share * portion.reward_scale * penalty, sums
    has_entropy = bool(terms.entropy_coef) or terms.shows_entropy
    scores = student(
        columns.token_ids,
        keep=columns.states,
        entropy=has_entropy,
        against=against(portion, reference),
    )
    loss = masked_sum(nll(scores.logprobs), columns.learned)
    sums = {"nll": loss}
    if scores.entropies is not None:
        sums["entropy"] = masked_sum(scores.entropies, columns.learned)
    if terms.entropy_coef:
        loss = loss - terms.entropy_coef * sums["entropy"]
    if terms.lambda_kl:
        sums["kl"] = masked_sum(divergences(scores), columns.learned)
        loss = loss + terms.lambda_kl * sums["kl"]
    if terms.lambda_td or terms.shows_values:
        penalty, rewards = revealed(scores, columns, terms)
        sums |= {name: portion.reward_scale * value for name, value in rewards.items()}
        sums["soft_value"] = masked_sum(scores.logsumexps, columns.learned)
        sums["q_value"] = masked_sum(q_values(scores.logprobs, scores.logsumexps), columns.learned)
        if terms.lambda_td:
            weight = terms.lambda_td * portion.share * portion.reward_scale
            loss = loss + weight * penalty
    return loss, sums


def revealed(
    scores: TokenScores, columns: Columns, terms: Terms
) -> tuple[Tensor, dict[str, Tensor]]:
    """The summed penalty on the rewards that a student reveals, and sums to log."""
    values = scores.logsumexps
    following = values.detach() if terms.detach_next else values
    rewards = token_rewards(
        scores.logprobs,
        values,
        next_soft_values(following, columns.is_end),
        gamma=terms.gamma,
    )
    known = has_reward(columns.learned, columns.states, columns.is_end)
    penalty = masked_sum(td_penalty(rewards), known)
    return penalty, {"reward": masked_sum(rewards, known), "td_penalty": penalty}


def against(portion: Portion, reference: Reference | None) -> Against | None:
    """Whom the student is compared with, if that has a weight."""
    if not portion.terms.lambda_kl:
        return None
    assert reference is not None
    return Against(reference, portion.rng)


def divergences(scores: TokenScores) -> Tensor:
    """KL to the reference in each state: exact, or an estimate with its gradient on average."""
    if scores.kls is not None:
        return scores.kls
    assert scores.drawn_logprobs is not None
    assert scores.drawn_ref_logprobs is not None
    return kl_loss(scores.drawn_logprobs, scores.drawn_ref_logprobs)


def measure(
    student: torch.nn.Module,
    rows: Sequence[Row],
    *,
    terms: Terms,
    microbatch_tokens: int | None,
    machine: Machine,
) -> dict[str, Any]:
    """How well held-out rows are predicted, and what rewards that reveals; nothing without rows.

    Without gradients, in fp32 with dropout off; the processes share the rows. The entropy is that
    of the states in which completions' tokens were chosen.
    """
    if not rows:
        return {}
    shown = terms.likelihood()._replace(shows_entropy=True)
    counts = [row.num_learned for row in rows]
    rewards = [row.num_rewards(bootstrap=shown.bootstrap) for row in rows]
    scale = sum(counts) / max(sum(rewards), 1)
    lengths, totals = [len(row.token_ids) for row in rows], {}
    most_tokens = at_once(microbatch_tokens, machine.device)
    was_training = student.training
    student.eval()
    with torch.no_grad(), torch.autocast(machine.device.type, enabled=False):
        for some in shared_portions(lengths, range(len(rows)), machine, most_tokens):
            portion = Portion([rows[i] for i in some], shown, False, 1.0, scale, None)
            _, sums = portion_loss(student, portion, None, machine.device)
            for name, value in sums.items():
                totals[name] = totals.get(name, 0.0) + value.double()
    student.train(was_training)
    summed = machine.sum(torch.stack(list(totals.values()))).tolist()
    means = {name: value / sum(counts) for name, value in zip(totals, summed, strict=True)}
    nll_mean = means.pop("nll")
    measures = {"loss": nll_mean, "perplexity": math.exp(min(nll_mean, 700)), **means}
    return {"version": VERSION, "measures": measures, "num_tokens": sum(counts)}
