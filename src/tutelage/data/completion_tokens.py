"""Prompts and completions as tokens, apart from each other, as when a student writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tutelage.config import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def prompt_tokens(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str]) -> list[list[int]]:
    """Each prompt's tokens: begun as the tokenizer begins a text, never ended.

    Special tokens that a prompt spells out are special, and a begin token is there once. A prompt
    without text is the token that begins one.
    """
    if not prompts:
        return []
    encoded: Any = tokenizer(
        list(prompts),
        padding=False,
        truncation=False,
        return_special_tokens_mask=True,
        return_attention_mask=False,
        verbose=False,  # no warning about long rows: they are dropped or cut later
    )
    rows = zip(encoded["input_ids"], encoded["special_tokens_mask"], strict=True)
    return [_begun(ids, added, tokenizer) for ids, added in rows]


def completion_tokens(
    tokenizer: PreTrainedTokenizerBase, completions: Sequence[str]
) -> list[list[int]]:
    """Each completion's tokens, with one end token after them."""
    if not completions:
        return []
    encoded: Any = tokenizer(
        [without_end(text, tokenizer) for text in completions],
        add_special_tokens=False,
        padding=False,
        truncation=False,
        return_attention_mask=False,
        verbose=False,
    )
    eos: Any = tokenizer.eos_token_id
    return [[*ids, eos] for ids in encoded["input_ids"]]


def without_end(text: str, tokenizer: PreTrainedTokenizerBase) -> str:
    """The text without an end token that it spells out itself, and blanks behind that."""
    end, stripped = str(tokenizer.eos_token), text.rstrip()
    return stripped.removesuffix(end) if stripped.endswith(end) else text


def refuse_unfit(tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise if the tokenizer can't tell where tokens stand, or has no end token."""
    name = tokenizer.name_or_path or "of the student"
    if not tokenizer.is_fast:
        raise UserError(
            f"The tokenizer {name} is a slow one, which does not say where in a text its tokens "
            "stand. Convert it with transformers to a fast one (tokenizer.json)."
        )
    if tokenizer.eos_token_id is None:
        raise UserError(
            f"The tokenizer {name} has no end token to put behind completions. Give it an "
            "eos_token."
        )


def _begun(ids: list[int], added: list[int], tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """A row without what the tokenizer adds behind it, or the begin token of an empty one."""
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    own = [place for place, is_added in enumerate(added) if not is_added]
    if not own:
        begins = [token for token in ids if token != eos] + [t for t in (bos, eos) if t is not None]
        return begins[:1]  # pyright: ignore[reportReturnType]
    start, stop = own[0], own[-1] + 1
    is_doubled = start > 0 and ids[start - 1] == ids[start] == bos
    return [*ids[: start - is_doubled], *ids[start:stop]]
