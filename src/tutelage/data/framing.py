"""How a prompt and a response become the tokens that a reward model reads, whenever it reads them.

Training and scoring share this, so that a reward model never meets a row of another form.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tutelage.config import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Framed(NamedTuple):
    """The tokens of a prompt and its response."""

    token_ids: list[int]
    num_response_tokens: int
    """Tokens from the first one that holds a character of the response to the row's end."""
    was_cut: bool
    """Whether tokens were taken away on the left."""


def frame(
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    responses: Sequence[str],
    *,
    max_tokens: int,
    add_eos: bool,
) -> list[Framed]:
    """Each prompt and response as one text, with the special tokens that the tokenizer adds itself.

    A begin or end token that the text spells out and the tokenizer adds too is there once.

    Args:
        tokenizer: The reward model's; a fast one.
        prompts: What was given.
        responses: What was answered, each right behind its prompt: blanks between are its own.
        max_tokens: Longer rows lose tokens on the left, but not those put before every text.
        add_eos: Put an end token behind rows without one.
    """
    refuse_unfit(tokenizer, add_eos=add_eos)
    if not prompts:
        return []
    texts = [prompt + response for prompt, response in zip(prompts, responses, strict=True)]
    encoded = tokenizer(
        texts,
        padding=False,
        truncation=False,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
        return_attention_mask=False,
        verbose=False,  # no warning about long rows: they are cut here
    )
    eos: Any = tokenizer.eos_token_id if add_eos else None
    rows: list[Framed] = []
    for number, prompt in enumerate(prompts):
        ids, offsets, added = (
            encoded[name][number]  # pyright: ignore[reportIndexIssue, reportArgumentType]
            for name in ("input_ids", "offset_mapping", "special_tokens_mask")
        )
        begin, end = _added(added)
        place = next((i for i in range(begin, end) if offsets[i][1] > len(prompt)), end)
        ids, begin, place = _once(ids, begin, place, end, tokenizer)
        if eos is not None and ids[-1:] != [eos]:
            ids.append(eos)
        rows.append(_within(ids, begin, place, max_tokens))
    return rows


def num_begin_tokens(tokenizer: PreTrainedTokenizerBase) -> int:
    """How many tokens the tokenizer puts before every text."""
    mask: Any = tokenizer("a", return_special_tokens_mask=True)["special_tokens_mask"]
    return _added(mask)[0]


def refuse_unfit(tokenizer: PreTrainedTokenizerBase, *, add_eos: bool) -> None:
    """Raise if the tokenizer can't tell where tokens stand, or has no end token to add."""
    name = tokenizer.name_or_path or "of the reward model"
    if not tokenizer.is_fast:
        raise UserError(
            f"The tokenizer {name} is a slow one, which does not say where in a text its tokens "
            "stand. Convert it with transformers to a fast one (tokenizer.json)."
        )
    if add_eos and tokenizer.eos_token_id is None:
        raise UserError(
            f"The tokenizer {name} has no end token that could be put behind responses. Switch "
            "add_eos off, or give the tokenizer an eos_token."
        )


def _added(mask: list[int]) -> tuple[int, int]:
    """Where the text begins and ends between the special tokens that the tokenizer has added."""
    begin = next((i for i, is_added in enumerate(mask) if not is_added), len(mask))
    end = next((i for i in range(len(mask), begin, -1) if not mask[i - 1]), begin)
    return begin, end


def _once(
    ids: list[int], begin: int, place: int, end: int, tokenizer: PreTrainedTokenizerBase
) -> tuple[list[int], int, int]:
    """The row without a begin or end token of the text's own that the tokenizer adds as well."""
    if end > begin and end < len(ids) and ids[end - 1] == ids[end] == tokenizer.eos_token_id:
        ids = ids[: end - 1] + ids[end:]
        place = min(place, end - 1)
    if end > begin > 0 and ids[begin - 1] == ids[begin] == tokenizer.bos_token_id:
        ids = ids[:begin] + ids[begin + 1 :]
        place = max(place - 1, begin)
    return ids, begin, place


def _within(ids: list[int], begin: int, place: int, max_tokens: int) -> Framed:
    """The row with at most so many tokens, and how many of them are the response's."""
    too_many = len(ids) - max_tokens
    if too_many <= 0:
        return Framed(ids, len(ids) - place, False)
    begin = min(begin, max_tokens)
    kept = ids[:begin] + ids[begin + too_many :]
    return Framed(kept, min(len(ids) - place, len(kept) - begin), True)
