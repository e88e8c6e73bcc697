"""What a student may write next, and what is kept of what it wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from tutelage.config import UserError
from tutelage.models.student_module import States, Student
from tutelage.rollout.drawing import Choices, choices, distribution
from tutelage.rollout.engine import Constraint, Sampling, banned_ids, end_tokens
from tutelage.rollout.generate import spare_ids


class Outlook(NamedTuple):
    """The next token's distribution in some states."""

    logits: Float[Tensor, "row vocab"]
    """Divided by the temperature; nothing is banned in them."""
    logsumexps: Float[Tensor, " row"]
    choices: Choices
    values: Float[Tensor, " row"] | None


def refuse_no_choice(banned: Sequence[int], ends: Sequence[int], *, num_tokens: int) -> None:
    """Raise if no token is left to draw.

    Args:
        banned: Tokens that are never drawn.
        ends: End tokens, where a response may not end at once.
        num_tokens: Tokens that there are, counted from 0.
    """
    if set(range(num_tokens)) <= {*banned, *ends}:
        but = " but those that end a response, which --rollout.min-tokens forbids," if ends else ""
        raise UserError(
            f"All {num_tokens} tokens{but} are banned, so nothing can be written. Leave some out "
            "of --rollout.banned-tokens or --rollout.banned-words."
        )


class Policy:
    """A student's next tokens under sampling settings."""

    def __init__(
        self, student: Student, tokenizer: Any, sampling: Sampling, constraint: Constraint | None
    ):
        self.student = student
        self.sampling = sampling
        self.constraint = constraint
        self.device = student.base.device
        ends = end_tokens(student, tokenizer)
        banned = [*banned_ids(sampling, tokenizer), *spare_ids(student.base, tokenizer)]
        refuse_no_choice(banned, ends if sampling.min_tokens else (), num_tokens=len(tokenizer))
        self.ends = torch.tensor(ends, dtype=torch.long, device=self.device)
        self.banned = torch.tensor(banned, dtype=torch.long, device=self.device)

    def outlook(self, states: States, responses: Tensor, numbers: Tensor) -> Outlook:
        """The distribution in each state.

        Args:
            states: The last state of each row.
            responses: Tokens that each row has so far.
            numbers: Number of each row in the call.
        """
        sampling = self.sampling
        logits = self.student.logits(states)
        if sampling.temperature != 1:
            logits = logits / sampling.temperature
        logsumexps = distribution(logits)[1]
        allowed = logits
        if len(self.banned):
            allowed = allowed.index_fill(1, self.banned, -torch.inf)
        if responses.shape[1] < sampling.min_tokens:
            allowed = allowed.index_fill(1, self.ends, -torch.inf)
        if self.constraint is not None:
            allowed = self.constraint(allowed, responses, numbers)
        found = choices(allowed, logsumexps=logsumexps, top_k=sampling.top_k, top_p=sampling.top_p)
        return Outlook(logits, logsumexps, found, self.student.values(states))

    def track(self, outlook: Outlook, tokens: Tensor) -> dict[str, Tensor]:
        """What learning needs to know of the tokens that were drawn."""
        logprobs = outlook.logits.gather(1, tokens[:, None]).squeeze(1) - outlook.logsumexps
        kept_mass = outlook.choices.kept_mass
        track = {"logprobs": logprobs, "kept_mass": kept_mass}
        if self.sampling.support == "truncated":
            track |= {"logprobs": logprobs - kept_mass.log(), "support": outlook.choices.support}
        if outlook.values is not None:
            track["values"] = outlook.values
        return track
