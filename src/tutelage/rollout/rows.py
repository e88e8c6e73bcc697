"""Rows of a rollout while they are written, and their assembly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from tutelage.rollout.engine import Finish, Rollout, Sampling


@dataclass
class Row:
    """A prompt, and what was drawn for it."""

    prompt: list[int]
    number: int
    limit: int
    """Most tokens that its response may have."""
    finish: Finish = "length"
    response: list[int] = field(default_factory=list)
    tracks: dict[str, Tensor] = field(default_factory=dict)
    """Per token: `logprobs`, `kept_mass`, and where they exist `values` and `support`."""


def new_rows(
    prompt_ids: Sequence[Sequence[int]],
    numbers: Sequence[int] | None,
    sampling: Sampling,
    context: int,
) -> list[Row]:
    """Rows without a response yet."""
    numbers = range(len(prompt_ids)) if numbers is None else numbers
    return [
        Row(list(prompt), number, min(sampling.max_tokens, context - len(prompt)))
        for prompt, number in zip(prompt_ids, numbers, strict=True)
    ]


def assembled(rows: Sequence[Row], tokenizer: Any, sampling: Sampling) -> Rollout:
    """Rows as one rollout, in their order."""

    def padded(name: str, filler: float) -> Tensor:
        tracks = [row.tracks[name] for row in rows]
        return pad_sequence(tracks, batch_first=True, padding_value=filler)

    if not rows:
        nothing = torch.zeros(0, 0)
        return Rollout([], [], [], [], nothing.bool(), nothing, None, nothing, None, [])
    names, logprobs = rows[0].tracks, padded("logprobs", 0.0)
    lengths = torch.tensor([len(row.response) for row in rows], device=logprobs.device)
    places = torch.arange(logprobs.shape[1], device=logprobs.device)
    return Rollout(
        prompt_ids=[row.prompt for row in rows],
        response_ids=[row.response for row in rows],
        prompts=[str(tokenizer.decode(row.prompt, skip_special_tokens=True)) for row in rows],
        responses=[response_text(row, tokenizer, sampling) for row in rows],
        mask=places < lengths[:, None],
        logprobs=logprobs,
        values=padded("values", 0.0) if "values" in names else None,
        kept_mass=padded("kept_mass", 1.0),
        support=padded("support", -1) if "support" in names else None,
        finish=[row.finish for row in rows],
    )


def response_text(row: Row, tokenizer: Any, sampling: Sampling) -> str:
    """The text of a response, without the stop string that ended it."""
    text = continuation(tokenizer, row.prompt, row.response)
    return text if row.finish != "stop" else text[: stop_place(text, sampling.stop)]


def continuation(tokenizer: Any, prompt: Sequence[int], response: Sequence[int]) -> str:
    """The text of new tokens, so that prompt + response reads as one text.

    Some tokenizers drop the space at the start of what they decode, so the prompt is decoded too.
    """
    before = str(tokenizer.decode(prompt, skip_special_tokens=True))
    whole = str(tokenizer.decode([*prompt, *response], skip_special_tokens=True))
    if whole.startswith(before):
        return whole.removeprefix(before)
    return str(tokenizer.decode(response, skip_special_tokens=True))


def stop_place(text: str, stop: Sequence[str]) -> int | None:
    """Where the first stop string begins; none if there is none."""
    return min((place for string in stop if (place := text.find(string)) >= 0), default=None)
