"""tutelage's own sampler: a lean loop over any decoder's forward pass.

Prompts are padded on the left and every token has an explicit position; rows that are finished
leave the batch. Each row draws with random numbers of its own, so that a response does not depend
on the rows beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tutelage.models.fast_layers import packed_weights
from tutelage.models.student_module import States, Student
from tutelage.rollout.attention import key_dtype, single_query_attention
from tutelage.rollout.cache import (
    RoomyCache,
    additive,
    prompt_mask,
    refuse_other_layers,
    rounded_up,
)
from tutelage.rollout.engine import Constraint, Rollout, Sampling
from tutelage.rollout.policy import Policy
from tutelage.rollout.rows import Row, assembled, continuation, new_rows, stop_place
from tutelage.tensors import generator

# Rows leave once at least this share of them is finished: moving the rest costs time too.
_LEAVING_SHARE = 0.25
# Enough of a prompt's end for a tokenizer to spell the beginning of a response as it will.
_PROMPT_TAIL = 8


def decode(
    student: Student,
    tokenizer: Any,
    prompt_ids: Sequence[Sequence[int]],
    sampling: Sampling,
    *,
    seed: int,
    row_numbers: Sequence[int] | None = None,
    constraint: Constraint | None = None,
) -> Rollout:
    """One response for each prompt; see `engine.sample`."""
    rows = new_rows(prompt_ids, row_numbers, sampling, student.context)
    refuse_other_layers(student.base, max((len(row.prompt) + row.limit for row in rows), default=0))
    policy = Policy(student, tokenizer, sampling, constraint)
    with torch.no_grad(), packed_weights(student), single_query_attention(student.base):
        # Prompts of similar length share a batch, so that there is little padding.
        ordered = sorted(rows, key=lambda row: len(row.prompt))
        for start in range(0, len(rows), sampling.rows_at_once):
            _Batch(policy, tokenizer, ordered[start : start + sampling.rows_at_once], seed).write()
    return assembled(rows, tokenizer, sampling)


class _Batch:
    """Rows that are written together.

    `written` and `tracks` have a line for every row; `active`, `alive` and the tensors named with
    them follow the rows that are still in the cache.
    """

    def __init__(self, policy: Policy, tokenizer: Any, rows: list[Row], seed: int):
        self.policy = policy
        self.tokenizer = tokenizer
        self.rows = rows
        device = policy.device
        max_tokens = policy.sampling.max_tokens
        self.uniforms = torch.stack(
            [torch.rand(max_tokens, generator=generator(seed, "draw", r.number)) for r in rows]
        ).to(device)
        self.limits = torch.tensor([row.limit for row in rows], device=device)
        self.numbers = torch.tensor([row.number for row in rows], device=device)
        self.lengths = torch.tensor([len(row.prompt) for row in rows], device=device)
        self.width, self.num_steps = int(self.lengths.max()), int(self.limits.max())
        layers = policy.student.base.config.get_text_config().num_hidden_layers
        room = rounded_up(self.width + self.num_steps)
        self.cache = RoomyCache(layers, room, key_dtype=key_dtype(policy.student.base))
        places = torch.arange(room, device=device)
        self.seen = (places >= self.width - self.lengths[:, None]) & (places < self.width)
        self.mask = additive(self.seen, policy.student.base.dtype)
        self.written = torch.zeros(len(rows), self.num_steps, dtype=torch.long, device=device)
        self.tracks: dict[str, Tensor] = {}
        self.active = torch.arange(len(rows), device=device)
        self.alive = torch.ones_like(self.active, dtype=torch.bool)

    def write(self) -> None:
        """Fill in the responses."""
        states = self.read_prompts()
        for step in range(self.num_steps):
            tokens = self.draw(states, step)
            self.finish(tokens, step)
            if not bool(self.alive.any()):
                return
            if bool(self.alive.float().mean() <= 1 - _LEAVING_SHARE):
                tokens = tokens[self.alive]
                self.leave()
            # Rows that are finished but have not left yet may be at the end of the context.
            last = self.policy.student.context - 1
            positions = (self.lengths[self.active] + step).clamp(max=last)[:, None]
            place = self.width + step
            self.mask[:, place] = 0
            mask = self.mask[self.active, None, None, : rounded_up(place + 1)]
            states = self.read(tokens[:, None], mask, positions)

    def read_prompts(self) -> States:
        """The states after each prompt."""
        padded = [[0] * (self.width - len(row.prompt)) + row.prompt for row in self.rows]
        token_ids = torch.tensor(padded, device=self.policy.device)
        real = self.seen[:, : self.width]
        mask = prompt_mask(real, self.mask.dtype)
        return self.read(token_ids, mask, (real.cumsum(1) - 1).clamp(min=0))

    def read(self, token_ids: Tensor, mask: Tensor, positions: Tensor) -> States:
        """One forward pass; the states after the last token."""
        states = self.policy.student.read(
            input_ids=token_ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
        )
        return states.map(lambda part: part[:, -1])

    def draw(self, states: States, step: int) -> Tensor:
        """The next token of every active row; those of living rows are written down."""
        active, living = self.active, self.active[self.alive]
        outlook = self.policy.outlook(states, self.written[active, :step], self.numbers[active])
        tokens = outlook.choices.draw(self.uniforms[active, step])
        self.written[living, step] = tokens[self.alive]
        for name, values in self.policy.track(outlook, tokens).items():
            if name not in self.tracks:
                shape = (len(self.rows), self.num_steps, *values.shape[1:])
                self.tracks[name] = values.new_zeros(shape)
            self.tracks[name][living, step] = values[self.alive]
        return tokens

    def finish(self, tokens: Tensor, step: int) -> None:
        """Note which rows have come to their end, and why."""
        ended = torch.isin(tokens, self.policy.ends)
        stopped = self.stopped(ended, step)
        done = self.alive & (ended | stopped | (step + 1 >= self.limits[self.active]))
        for place in done.nonzero().flatten().tolist():
            index = int(self.active[place])
            row = self.rows[index]
            if bool(ended[place]):
                row.finish = "eos"
            elif bool(stopped[place]):
                row.finish = "stop"
            elif row.limit < self.policy.sampling.max_tokens:
                row.finish = "context"
            row.response = self.written[index, : step + 1].tolist()
            row.tracks = {name: track[index, : step + 1] for name, track in self.tracks.items()}
        self.alive = self.alive & ~done

    def stopped(self, ended: Tensor, step: int) -> Tensor:
        """Which rows have just completed a stop string."""
        stopped = torch.zeros_like(ended)
        sampling = self.policy.sampling
        if not sampling.stop or step + 1 < sampling.min_tokens:
            return stopped
        for place in (self.alive & ~ended).nonzero().flatten().tolist():
            index = int(self.active[place])
            tail, response = self.rows[index].prompt[-_PROMPT_TAIL:], self.written[index]
            text = continuation(self.tokenizer, tail, response[: step + 1].tolist())
            stopped[place] = stop_place(text, sampling.stop) is not None
        return stopped

    def leave(self) -> None:
        """Take the finished rows out of the cache."""
        remaining = self.alive.nonzero().flatten()
        self.cache.keep(remaining)
        self.active, self.alive = self.active[remaining], self.alive[remaining]
