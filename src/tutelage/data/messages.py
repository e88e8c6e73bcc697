"""Dialogues as lists of messages: read from a row's cell, and written by a chat template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from tutelage.config import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ROLES = {"human": "user", "gpt": "assistant"}  # as LLaMA-Factory calls them


class Message(NamedTuple):
    """One turn; `role` is user, assistant, system or whatever a chat template knows."""

    role: str
    content: str


def text_or_messages(value: Any, name: str) -> str | list[Message]:
    """The cell's text or messages; anything else is refused."""
    if isinstance(value, str):
        return value
    messages = [value] if isinstance(value, Mapping) else value
    if not isinstance(messages, list) or not messages:
        raise not_text(name, value)
    return [_message(message, name) for message in messages]


def _message(message: Any, name: str) -> Message:
    if not isinstance(message, Mapping):
        raise not_text(name, [message])
    role, content = ("from", "value") if "from" in message else ("role", "content")
    values = {key: message.get(key) for key in (role, content)}
    for key, value in values.items():
        if not isinstance(value, str):
            found = repr(value)[:40] if key in message else "missing"
            raise UserError(
                f"in a message of {name}, {key} is {found}, but it must be text. A message "
                'is such as {"role": "user", "content": "Hi"}.'
            )
    who, text = map(str, values.values())
    return Message(ROLES.get(who, who), text)


def refuse_half_characters(side: str | list[Message] | None) -> None:
    """Raise if a text has a character that UTF-8 cannot write."""
    for text in [side] if isinstance(side, str) else [m.content for m in side or ()]:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UserError(
                f"a text holds half a character (\\u{ord(text[error.start]):04x}), which no UTF-8 "
                "text can hold. Take it out."
            ) from None


def not_text(name: str, value: Any) -> UserError:
    """What to raise for a cell of another type."""
    found = "null" if value is None else type(value).__name__
    found = "an empty list" if value == [] else found
    return UserError(
        f"column {name!r} holds {found}, neither text nor messages. Mend the row or take it out."
    )


def templated(tokenizer: PreTrainedTokenizerBase, messages: list[Message], *, is_open: bool) -> str:
    """The messages as the chat template writes them, with or without the assistant's opening."""
    from jinja2 import TemplateError

    turns: list[dict[str, Any]] = [message._asdict() for message in messages]
    try:
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=is_open)
    except (TemplateError, TypeError, ValueError, KeyError) as error:
        reason = str(error).strip().rstrip(".") or type(error).__name__
        roles = ", ".join(message.role for message in messages)
        raise UserError(
            f"the tokenizer's chat template does not take messages by {roles}: {reason}. Take the "
            "row out, or use a tokenizer with another chat template."
        ) from None
    return str(text)
