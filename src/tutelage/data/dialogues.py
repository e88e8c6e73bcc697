"""Two dialogues that begin alike, as one prompt and two responses.

Dialogues of hh-rlhf (Bai et al., 2022, https://arxiv.org/abs/2204.05862) are text whose turns open
with marks; others are lists of messages, which a tokenizer's chat template turns into text.
"""

from __future__ import annotations

import os.path
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from tutelage.data.messages import Message, templated

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

HUMAN, ASSISTANT = "\n\nHuman:", "\n\nAssistant:"
MARKS = {"user": HUMAN, "assistant": ASSISTANT}


class Sides(NamedTuple):
    """A prompt and what followed it, as text."""

    prompt: str
    chosen: str
    rejected: str


def split_marked(chosen: str, rejected: str) -> Sides | None:
    """Two dialogues of hh-rlhf, split behind the last mark of the assistant that both share.

    That is the last turn of the assistant, unless the dialogues part earlier: then the responses
    have several turns. None if they share no turn of the assistant's.
    """
    shared, mark, _ = _shared([chosen, rejected]).rpartition(ASSISTANT)
    if not mark:
        return None
    size = len(shared) + len(mark)
    return Sides(chosen[:size], chosen[size:], rejected[size:])


def split_plain(chosen: str, rejected: str) -> Sides:
    """Two texts, split where they part, but not inside a word: blanks go to the responses."""
    size = len(_shared([chosen, rejected]))
    while size and not (chosen[size:][:1].isspace() and rejected[size:][:1].isspace()):
        size -= 1
    while size and chosen[size - 1].isspace():
        size -= 1
    return Sides(chosen[:size], chosen[size:], rejected[size:])


def split_messages(
    chosen: list[Message], rejected: list[Message], tokenizer: PreTrainedTokenizerBase | None
) -> Sides | None:
    """Two lists of messages, split before the last message of the assistant that begins to differ.

    They are written by the tokenizer's chat template, or with the marks of hh-rlhf if there is
    none. None if they share no message before one of the assistant's.
    """
    size = 0
    for number, (one, other) in enumerate(zip(chosen, rejected, strict=False)):
        if one.role == other.role == "assistant":
            size = number
        if one != other:
            break
    if not size:
        return None
    if tokenizer is None or not getattr(tokenizer, "chat_template", None):
        return Sides(
            marked(chosen[:size]) + ASSISTANT,
            marked(chosen[size:]).removeprefix(ASSISTANT),
            marked(rejected[size:]).removeprefix(ASSISTANT),
        )
    texts = [templated(tokenizer, chosen[:size], is_open=True)]
    texts += [templated(tokenizer, side, is_open=False) for side in (chosen, rejected)]
    prompt = _shared(texts)
    return Sides(prompt, texts[1].removeprefix(prompt), texts[2].removeprefix(prompt))


def split_turns(
    before: list[Message], after: list[Message], tokenizer: PreTrainedTokenizerBase | None
) -> tuple[str, str]:
    """Messages as the text up to the assistant's opening, and what follows that."""
    if tokenizer is None or not getattr(tokenizer, "chat_template", None):
        return marked(before) + ASSISTANT, marked(after).removeprefix(ASSISTANT)
    whole = templated(tokenizer, [*before, *after], is_open=False)
    prompt = _shared([templated(tokenizer, before, is_open=True), whole])
    return prompt, whole.removeprefix(prompt)


def marked(messages: Sequence[Message]) -> str:
    """The messages as text with hh-rlhf's marks; other roles get a mark like theirs."""
    marks = [MARKS.get(role, f"\n\n{role.capitalize()}:") for role, _ in messages]
    return "".join(f"{mark} {each.content}" for mark, each in zip(marks, messages, strict=True))


def opening(prompt: str) -> str:
    """The prompt up to the assistant's first turn: continuations of one dialogue share it."""
    return prompt.partition(ASSISTANT)[0]


def _shared(texts: Sequence[str]) -> str:
    """What all texts begin with."""
    return os.path.commonprefix(texts)  # noqa: RUF071 - character by character, as is wanted
