"""Rows of prompts with completions: which columns say what, and the templates over them.

TRL's formats: prompt and completion, as text or messages; messages; text. GSM8K's question and
answer (Cobbe et al., 2021, https://arxiv.org/abs/2110.14168). Or any columns, by templates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from tutelage.config import UserError, nearest
from tutelage.data.dialogues import split_turns
from tutelage.data.drafts import Draft, Renderer, plain
from tutelage.data.messages import Message, not_text, refuse_half_characters, text_or_messages
from tutelage.data.row_templates import RowTemplate

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

EXAMPLE = '{"prompt": "Say hello.", "completion": " Hello!"}'
PROMPT = "QUESTION: {{ question }}\n\nSOLUTION:"
COMPLETION = " {{ answer }}"
FORMATS = (
    "A row has prompt and completion (text or messages), messages, question and answer, or text; "
    "for other columns give prompt_template ('' for no prompt) and completion_template."
)


class Layout(NamedTuple):
    """How rows become examples, where their columns do not say it."""

    prompt: RowTemplate | None = None
    completion: RowTemplate | None = None
    answer_column: str | None = None

    @classmethod
    def of(cls, prompt: str | None, completion: str | None, answer_column: str | None) -> Layout:
        """The layout with these templates."""
        return cls(
            None if prompt is None else RowTemplate(prompt, "prompt_template"),
            None if completion is None else RowTemplate(completion, "completion_template"),
            answer_column,
        )


def drafts(
    rows: Iterable[tuple[str, Mapping[str, Any]]],
    layout: Layout,
    tokenizer: PreTrainedTokenizerBase | None,
    *,
    has_answers: bool = True,
) -> Iterator[Draft]:
    """An example of each row; the rows come with the place where they stand.

    Args:
        rows: Of any format.
        layout: Templates, if there are any.
        tokenizer: Writes messages by its chat template; without one they are written with the marks
            of hh-rlhf.
        has_answers: Whether responses are checked.
    """
    for where, row in rows:
        try:
            draft = _draft(row, where, layout, tokenizer)
            for text in (draft.prompt, draft.completion, draft.answer):
                refuse_half_characters(text)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        yield draft if has_answers else draft._replace(answer=None)


def _draft(
    row: Mapping[str, Any], where: str, layout: Layout, tokenizer: PreTrainedTokenizerBase | None
) -> Draft:
    answer = _answer(row, layout.answer_column)
    prompt, completion = _sides(row, layout)
    if isinstance(completion, str):
        if isinstance(prompt, str):
            return plain(prompt, completion, answer, where)
        if isinstance(prompt, RowTemplate):
            fields = {n: row[n] for n in sorted(prompt.names) if isinstance(row.get(n), str)}
            render: Renderer = lambda name, text: prompt.render({**row, name: text})  # noqa: E731
            return Draft(prompt.render(row), completion, answer, where, fields, render)
    elif isinstance(prompt, list):
        return _dialogue(prompt, completion, answer, where, tokenizer)
    raise UserError("of prompt and completion, one is text and one holds messages.")


def _sides(
    row: Mapping[str, Any], layout: Layout
) -> tuple[RowTemplate | str | list[Message], str | list[Message]]:
    """The prompt, or what writes it, and the completion."""
    has_template = layout.prompt is not None or layout.completion is not None
    has_both = "prompt" in row and "completion" in row
    if "messages" in row and not has_template and not has_both:
        return _last_turn(row["messages"])
    is_text = "text" in row and not {"prompt", "completion"} & row.keys() and not has_template
    return _prompt(row, layout, is_text=is_text), _completion(row, layout, is_text=is_text)


def _prompt(
    row: Mapping[str, Any], layout: Layout, *, is_text: bool
) -> RowTemplate | str | list[Message]:
    if layout.prompt is not None:
        return layout.prompt
    if "prompt" in row:
        return text_or_messages(row["prompt"], "prompt")
    if "question" in row and ("answer" in row or layout.completion is not None):
        return asked()[0]
    if is_text:
        return ""
    raise _no_format(row)


def _completion(row: Mapping[str, Any], layout: Layout, *, is_text: bool) -> str | list[Message]:
    if layout.completion is not None:
        return layout.completion.render(row)
    if "completion" in row:
        return text_or_messages(row["completion"], "completion")
    if "question" in row and "answer" in row:
        return asked()[1].render(row)
    if is_text and isinstance(row["text"], str):
        return row["text"]
    raise not_text("text", row["text"]) if is_text else _no_format(row)


@cache
def asked() -> tuple[RowTemplate, RowTemplate]:
    """GSM8K's templates, of prompt and completion."""
    return RowTemplate(PROMPT, "the prompt"), RowTemplate(COMPLETION, "the completion")


def _last_turn(value: Any) -> tuple[list[Message], list[Message]]:
    """The messages before the assistant's last turn, and this turn; what follows is left aside."""
    messages = text_or_messages(value, "messages")
    if isinstance(messages, str):
        raise UserError("column 'messages' holds text, not a list of messages.")
    turns = [number for number, each in enumerate(messages) if each.role == "assistant"]
    if not turns:
        roles = ", ".join(each.role for each in messages)
        raise UserError(
            f"none of the messages is by assistant; they are by {roles}. Take the row out, or name "
            "the role assistant."
        )
    return messages[: turns[-1]], messages[turns[-1] : turns[-1] + 1]


def _dialogue(
    before: list[Message],
    after: list[Message],
    answer: str | None,
    where: str,
    tokenizer: PreTrainedTokenizerBase | None,
) -> Draft:
    """A draft whose one field is the longest message of the prompt, by users if there are any."""
    if not before:
        raise UserError("there is no message before the assistant's. Take the row out.")
    if after[0].role != "assistant":
        raise UserError(
            f"the completion begins with a message by {after[0].role}, but it must be by assistant."
        )
    users = [n for n, each in enumerate(before) if each.role == "user"] or range(len(before))
    place = max(users, key=lambda number: len(before[number].content))

    def render(name: str, text: str) -> str:
        cut = before[place]._replace(content=text)
        return split_turns([*before[:place], cut, *before[place + 1 :]], after, tokenizer)[0]

    prompt, completion = split_turns(before, after, tokenizer)
    return Draft(prompt, completion, answer, where, {"prompt": before[place].content}, render)


def _answer(row: Mapping[str, Any], column: str | None) -> str | None:
    if column is not None and column not in row:
        raise UserError(
            f"answer_column is {column!r}, but the columns are {_names(row)}.{nearest(column, row)}"
        )
    value = row.get(column or "answer")
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    if column is not None and value is not None:
        raise UserError(
            f"column {column!r} holds {type(value).__name__}, neither text nor a number, so no "
            "response can be checked by it. Set answer_column to another one."
        )
    return None


def _no_format(row: Mapping[str, Any]) -> UserError:
    return UserError(f"the columns {_names(row)} are of no known format. {FORMATS}")


def _names(row: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, row)) or "none"
