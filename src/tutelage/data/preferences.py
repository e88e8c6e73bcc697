"""Preference pairs as tokens: what is dropped, what is cut, and what is kept for which part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Literal, NamedTuple

from tutelage.config import UserError
from tutelage.data.dialogues import opening
from tutelage.data.framing import Framed, frame, num_begin_tokens, refuse_unfit
from tutelage.data.held_out import hold_out, refuse_fractions

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

OverLong = Literal["filter", "truncate_prompt_left"]
PAIRS_AT_ONCE = 500
DROPS = {
    "dropped_no_shared_prompt": "without a shared prompt",
    "dropped_empty": "with an empty response",
    "dropped_identical": "with identical responses",
    "dropped_long": "longer than max_tokens",
    "dropped_in_test": "with a prompt of the test set",
}
"""Why pairs are left out, in the order in which they are looked at."""


class Pair(NamedTuple):
    """A prompt and two responses, the first of which somebody preferred."""

    prompt: str
    chosen: str
    rejected: str
    subset: str = ""
    margin: float | None = None
    """How much better the chosen one is, where the data say it."""


class EncodedPair(NamedTuple):
    """A pair, and what a reward model reads of it."""

    pair: Pair
    chosen_ids: list[int]
    rejected_ids: list[int]


class PairData(NamedTuple):
    """Pairs in three parts; no prompt is in two of them."""

    train: list[EncodedPair]
    validation: list[EncodedPair]
    test: list[EncodedPair]
    counts: dict[str, int]
    """`read`, every reason of `DROPS`, `cut`, and the size of each part."""


class Reading(NamedTuple):
    """How pairs become tokens and parts."""

    max_tokens: int
    """Most tokens of a prompt with one response, special tokens included."""
    over_long: OverLong
    """Leave longer pairs out, or take tokens off the beginning of their prompts."""
    val_fraction: float
    test_fraction: float
    """Part of the pairs that is kept for the test, unless there is a test set."""
    seed: int
    add_eos: bool


def read_pairs(
    name: str,
    train: Iterable[Pair | None],
    test: Iterable[Pair | None] | None,
    tokenizer: PreTrainedTokenizerBase,
    reading: Reading,
) -> PairData:
    """Encoded pairs in their parts.

    Args:
        name: How the data are called in messages.
        train: Pairs to train on; None where the two sides share no prompt.
        test: Pairs of a test set of its own, or None.
        tokenizer: The reward model's.
        reading: How.
    """
    refuse_unfit(tokenizer, add_eos=reading.add_eos)
    refuse_fractions(reading.val_fraction, 0 if test is not None else reading.test_fraction)
    counts = Counter(dict.fromkeys(("read", *DROPS, "cut"), 0))
    tested = list(_encoded(test or (), tokenizer, reading, counts))
    if test is not None:
        _refuse_none(f"the test set of {name}", tested, counts, reading)
    prompts = {each.pair.prompt for each in tested if each.pair.prompt}
    found = []
    for each in _encoded(train, tokenizer, reading, counts):
        if each.pair.prompt in prompts:
            counts["dropped_in_test"] += 1
        else:
            found.append(each)
    _refuse_none(name, found, counts, reading)
    test_fraction = reading.test_fraction if test is None else 0
    parts = hold_out(
        [_key(each.pair) for each in found],
        val_fraction=reading.val_fraction,
        test_fraction=test_fraction,
        seed=reading.seed,
    )
    split = {part: [e for e, its in zip(found, parts, strict=True) if its == part]
             for part in ("train", "validation", "test")}  # fmt: skip
    if not split["train"]:
        raise UserError(
            f"{name}: its {len(found):,} pairs have so few different prompts that none is left to "
            "train on. Lower val_fraction and test_fraction, or add pairs with other prompts."
        )
    split["test"] = split["test"] if test is None else tested
    sizes = {part: len(pairs) for part, pairs in split.items()}
    return PairData(**split, counts=dict(counts) | sizes)


def texts_of(pairs: Iterable[Pair | None]) -> Iterator[str]:
    """The texts of pairs, for training a tokenizer: each prompt once."""
    for pair in pairs:
        if pair is not None:
            yield pair.prompt + pair.chosen
            yield pair.rejected


def _key(pair: Pair) -> str:
    """What pairs in two parts may not share: the beginning of a dialogue, or else the prompt."""
    return opening(pair.prompt).strip() or f"{pair.chosen}\0{pair.rejected}"


def _encoded(
    pairs: Iterable[Pair | None],
    tokenizer: PreTrainedTokenizerBase,
    reading: Reading,
    counts: Counter[str],
) -> Iterator[EncodedPair]:
    """The pairs that can be used; the others are counted."""
    num_begin = num_begin_tokens(tokenizer)
    shared: dict[int, int] = {}  # one object for each token saves memory
    sound = _sound(pairs, counts)
    while chunk := list(islice(sound, PAIRS_AT_ONCE)):
        prompts = [pair.prompt for pair in chunk]
        sides = [
            frame(
                tokenizer,
                prompts,
                responses,
                max_tokens=reading.max_tokens,
                add_eos=reading.add_eos,
            )
            for responses in ([pair.chosen for pair in chunk], [pair.rejected for pair in chunk])
        ]
        for pair, chosen, rejected in zip(chunk, *sides, strict=True):
            both = (chosen, rejected)
            if _is_too_long(both, reading, num_begin):
                counts["dropped_long"] += 1
            elif chosen.token_ids == rejected.token_ids:
                counts["dropped_identical"] += 1
            else:
                counts["cut"] += any(side.was_cut for side in both)
                ids = ([shared.setdefault(i, i) for i in side.token_ids] for side in both)
                yield EncodedPair(pair, *ids)


def _sound(pairs: Iterable[Pair | None], counts: Counter[str]) -> Iterator[Pair]:
    """The pairs with two different responses that say something."""
    for pair in pairs:
        counts["read"] += 1
        if pair is None:
            counts["dropped_no_shared_prompt"] += 1
        elif not pair.chosen.strip() or not pair.rejected.strip():
            counts["dropped_empty"] += 1
        elif pair.chosen.strip() == pair.rejected.strip():
            counts["dropped_identical"] += 1
        else:
            yield pair


def _is_too_long(sides: tuple[Framed, Framed], reading: Reading, num_begin: int) -> bool:
    """Whether a side has too many tokens, or nothing of its prompt would be left."""
    if reading.over_long == "filter":
        return any(side.was_cut for side in sides)
    return any(
        side.was_cut and num_begin + side.num_response_tokens >= len(side.token_ids)
        for side in sides
    )


def _refuse_none(
    name: str, found: Sequence[EncodedPair], counts: Counter[str], reading: Reading
) -> None:
    if found:
        return
    reasons = [f"{counts[drop]:,} {why}" for drop, why in DROPS.items() if counts[drop]]
    told = " and ".join(reasons).replace("max_tokens", f"max_tokens {reading.max_tokens:,}")
    advice = "raise max_tokens" if counts["dropped_long"] else "give other pairs"
    raise UserError(
        f"{name}: none of its {counts['read']:,} pairs can be used: {told}. Look at the data, or "
        f"{advice}."
    )
