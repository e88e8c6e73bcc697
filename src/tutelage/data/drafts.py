"""An example before it is known how much of its prompt fits."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from tutelage.config import UserError, nearest
from tutelage.data.lengths import LongPrompts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


Renderer = Callable[[str, str], str]
"""The prompt with another text in the named field."""


class Draft(NamedTuple):
    """A prompt that can be written again with one of its fields shortened, and its completion."""

    prompt: str
    completion: str
    answer: str | None
    """What tells whether a response is right, if anything does."""
    where: str
    """Where the row stands: `questions.jsonl, line 3`."""
    fields: Mapping[str, str]
    """Texts that the prompt is made of, by name."""
    render: Renderer
    group: str | None = None
    """Drafts of a group are never in two parts of the data; none: those with the same prompt."""


def plain(
    prompt: str, completion: str, answer: str | None, where: str, group: str | None = None
) -> Draft:
    """A draft whose prompt is one field, itself."""
    fields = {"prompt": prompt} if prompt else {}
    return Draft(prompt, completion, answer, where, fields, lambda _, text: text, group)


def refuse_unknown_field(draft: Draft, name: str | None) -> None:
    """Raise if the prompt has no such field that could be cut."""
    if name is None or name in draft.fields:
        return
    there = ", ".join(map(repr, draft.fields)) or "none"
    raise UserError(
        f"{draft.where}: cut_field is {name!r}, but the texts that its prompt holds are {there}."
        f"{nearest(name, draft.fields)} Set cut_field to one of them."
    )


def shortened(
    draft: Draft,
    name: str | None,
    how: LongPrompts,
    *,
    tokenizer: PreTrainedTokenizerBase,
    fits: Callable[[str], bool],
) -> str | None:
    """The longest prompt that fits with the end of one field taken off; None if none does.

    At least one word of the field stays.

    Args:
        draft: What to shorten.
        name: Field to cut; none: the longest one.
        how: What is taken off at a time: tokens or lines.
        tokenizer: Says where tokens end.
        fits: Whether a prompt is short enough.
    """
    if not draft.fields:
        return None
    name = name or max(draft.fields, key=lambda each: len(draft.fields[each]))
    text = draft.fields[name]
    ends = _token_ends(text, tokenizer) if how == "cut_tokens" else _line_ends(text)
    ends = [end for end in ends if end < len(text) and not text[:end].isspace()]
    low, high = -1, len(ends)  # ends[low] fits, ends[high] does not
    best = None
    while high - low > 1:
        middle = (low + high) // 2
        prompt = draft.render(name, text[: ends[middle]])
        if fits(prompt):
            low, best = middle, prompt
        else:
            high = middle
    return best


def _token_ends(text: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Where the text's tokens end, in characters; some may share a character."""
    encoded: Any = tokenizer(
        text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
    )
    return sorted({end for _, end in encoded["offset_mapping"] if end})


def _line_ends(text: str) -> list[int]:
    """Where the text's lines end, blank ones left aside."""
    return [match.start() for match in re.finditer(r"\s*\n", text) if match.start()]
