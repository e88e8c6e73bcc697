"""Rollouts by `generate()` of Transformers: any model, slower, and the reference in tests.

Random numbers are one stream for each batch, so a response depends on the rows beside it, too.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tutelage.config import UserError
from tutelage.models.student_module import Student
from tutelage.rollout.engine import Constraint, Rollout, Sampling
from tutelage.rollout.generate import padding_token, seeded_sampling
from tutelage.rollout.policy import Policy
from tutelage.rollout.rows import Row, assembled, continuation, new_rows, stop_place


def generate_rollout(
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
    if constraint is not None:
        raise UserError("Constraints on rows need --rollout.engine tutelage.")
    rows = new_rows(prompt_ids, row_numbers, sampling, student.context)
    policy = Policy(student, tokenizer, sampling, None)
    with torch.no_grad():
        ordered = sorted(rows, key=lambda row: (row.limit, len(row.prompt)))
        for start in range(0, len(rows), sampling.rows_at_once):
            batch = ordered[start : start + sampling.rows_at_once]
            written = _continued(policy, tokenizer, batch, seed)
            for row, new in zip(batch, written, strict=True):
                _finish(row, new, tokenizer, sampling, policy.ends.tolist())
                row.tracks = _tracks(policy, row)
    return assembled(rows, tokenizer, sampling)


def _continued(policy: Policy, tokenizer: Any, rows: list[Row], seed: int) -> list[list[int]]:
    """New tokens of each row, with what may stand behind an end."""
    from transformers import GenerationConfig

    model, sampling = policy.student.model, policy.sampling
    width = max(len(row.prompt) for row in rows)
    lengths = torch.tensor([len(row.prompt) for row in rows])
    padding = padding_token(tokenizer)
    token_ids = torch.tensor([[padding] * (width - len(r.prompt)) + r.prompt for r in rows])
    mask = torch.arange(width) >= width - lengths[:, None]
    settings = GenerationConfig(
        max_new_tokens=max(row.limit for row in rows),
        min_new_tokens=sampling.min_tokens or None,
        do_sample=True,
        temperature=sampling.temperature,
        top_k=sampling.top_k,
        top_p=sampling.top_p,
        suppress_tokens=policy.banned.tolist() or None,
        stop_strings=list(sampling.stop) or None,
        eos_token_id=policy.ends.tolist() or None,
        pad_token_id=padding,
    )
    inputs = {"attention_mask": mask.long().to(model.device)}
    if "position_ids" in inspect.signature(model.forward).parameters:
        inputs["position_ids"] = (mask.cumsum(-1) - 1).clamp(min=0).to(model.device)
    with seeded_sampling(model, settings, seed + rows[0].number):
        stopping = {"tokenizer": tokenizer} if sampling.stop else {}
        output = model.generate(token_ids.to(model.device), **inputs, **stopping)  # pyright: ignore
    return output[:, width:].tolist()


def _finish(row: Row, new: list[int], tokenizer: Any, sampling: Sampling, ends: list[int]) -> None:
    """Cut what stands behind the end of a response, and say why it ended."""
    row.finish = "context" if row.limit < sampling.max_tokens else "length"
    row.response = new[: row.limit]
    for count, token in enumerate(row.response, 1):
        text = continuation(tokenizer, row.prompt, new[:count]) if sampling.stop else ""
        is_stopped = stop_place(text, sampling.stop) is not None
        if token in ends or is_stopped:
            row.finish = "eos" if token in ends else "stop"
            row.response = new[:count]
            return


def _tracks(policy: Policy, row: Row) -> dict[str, Tensor]:
    """What is known of each token, from one forward pass over the whole row."""
    token_ids = torch.tensor([row.prompt + row.response], device=policy.device)
    first, number = len(row.prompt), torch.tensor([row.number], device=policy.device)
    states = policy.student.read(input_ids=token_ids, use_cache=False)
    states = states.map(lambda part: part[0, first - 1 : -1])
    tracks = []
    for place in range(len(row.response)):
        state = states.map(lambda part, place=place: part[place : place + 1])
        before, token = token_ids[:, first : first + place], token_ids[:, first + place]
        tracks.append(policy.track(policy.outlook(state, before, number), token))
    return {name: torch.cat([track[name] for track in tracks]) for name in tracks[0]}
