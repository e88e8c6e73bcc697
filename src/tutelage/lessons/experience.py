"""A round's responses as tensors: what was sampled, what is thought of it, and its portions.

Rows are read without padding on the left, each response right behind its prompt: what is padded on
the right is never seen by a real token, so no attention mask is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from tutelage.rows import portions
from tutelage.tensors import TokenScores

if TYPE_CHECKING:
    from tutelage.models.student_module import Student
    from tutelage.rollout.engine import Rollout

# Tokens that are read at once without gradients, where nobody says: what a CPU's caches hold.
_READ_TOKENS = {"cpu": 1536}

Read = Callable[..., TokenScores]
"""A student, or what wraps one."""


class Rows(NamedTuple):
    """Some rows, padded on the right: what a student reads to score their responses."""

    token_ids: Tensor
    """Prompts and responses (batch, time)."""
    keep: Tensor
    """True on response tokens (batch, time − 1)."""
    mask: Tensor
    """True on response tokens, counted from the first (batch, response time)."""
    support: Tensor | None
    """Tokens that each response token was drawn from (kept, candidate)."""

    @classmethod
    def of(cls, rollout: Rollout, indices: Sequence[int], device: torch.device) -> Rows:
        """These rows of a rollout, as wide as the longest of them."""
        prompts = [rollout.prompt_ids[index] for index in indices]
        responses = [rollout.response_ids[index] for index in indices]
        lengths = [len(p) + len(r) for p, r in zip(prompts, responses, strict=True)]
        width = max(lengths)
        token_ids = torch.tensor(
            [
                prompt + response + [0] * (width - length)
                for prompt, response, length in zip(prompts, responses, lengths, strict=True)
            ],
            device=device,
        )
        starts = torch.tensor([len(prompt) for prompt in prompts], device=device)[:, None]
        ends = torch.tensor(lengths, device=device)[:, None]
        places = torch.arange(1, width, device=device)
        mask = rollout.mask[list(indices), : max(map(len, responses))]
        support = None
        if rollout.support is not None:
            support = rollout.support[list(indices), : mask.shape[1]][mask]
        return cls(token_ids, (places >= starts) & (places < ends), mask, support)

    def scores(self, student: Read, *, temperature: float, entropy: bool = False) -> TokenScores:
        """What a student says of the responses: (batch, response time), 0 behind their ends."""
        scores = student(
            self.token_ids,
            keep=self.keep,
            temperature=temperature,
            entropy=entropy,
            support=self.support,
        )
        # Both layouts hold the same tokens in the same order.
        return scores.map(
            lambda part: torch.zeros_like(self.mask, dtype=part.dtype).masked_scatter(
                self.mask, part[self.keep]
            )
        )


def score_all(
    student: Student,
    rollout: Rollout,
    *,
    temperature: float,
    microbatch_tokens: int | None,
    autocast: Callable[[], AbstractContextManager[object]],
) -> TokenScores:
    """What a student says of all responses of a rollout, without gradients."""
    device = student.base.device
    found: dict[str, Tensor] = {}
    # One context for all portions, so that weights are cast once.
    with torch.no_grad(), autocast():
        for indices, rows in _all_rows(rollout, microbatch_tokens, device):
            scores = rows.scores(student, temperature=temperature)
            for name, part in scores._asdict().items():
                if part is not None:
                    whole = found.setdefault(name, torch.zeros_like(rollout.logprobs))
                    whole[indices, : part.shape[1]] = part.to(whole.dtype)
    return TokenScores(**found)


def last_values(
    student: Student,
    rollout: Rollout,
    *,
    microbatch_tokens: int | None,
    autocast: Callable[[], AbstractContextManager[object]],
) -> Tensor:
    """The value of the state after each response (batch)."""
    device = student.base.device
    values = rollout.logprobs.new_zeros(len(rollout.responses))
    with torch.no_grad():
        for indices, rows in _all_rows(rollout, microbatch_tokens, device):
            lengths = [len(rollout.prompt_ids[i]) + len(rollout.response_ids[i]) for i in indices]
            last = torch.tensor(lengths, device=device) - 1
            with autocast():
                everything = torch.ones_like(rows.token_ids)
                states = student.read(
                    input_ids=rows.token_ids, attention_mask=everything, use_cache=False
                )
                ends = states.map(
                    lambda part, last=last: part[torch.arange(len(last), device=device), last]
                )
                found = student.values(ends)
            assert found is not None
            values[indices] = found
    return values


def _all_rows(
    rollout: Rollout, microbatch_tokens: int | None, device: torch.device
) -> Iterator[tuple[list[int], Rows]]:
    """All rows of a rollout, in portions."""
    limit = microbatch_tokens or _READ_TOKENS.get(device.type)
    lengths = [
        len(prompt) + len(response)
        for prompt, response in zip(rollout.prompt_ids, rollout.response_ids, strict=True)
    ]
    for indices in portions(lengths, range(len(lengths)), limit):
        yield indices, Rows.of(rollout, indices, device)
