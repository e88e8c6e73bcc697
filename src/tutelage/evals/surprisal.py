"""Surprisal of words in context, in bits (EV-3, TND-6).

A word's surprisal is the sum of −log2 p over its tokens, each given the text before it, which
begins with the student's beginning-of-text token. What follows the word is not read, not even by
the tokenizer. The blank before a word belongs to it, whether the tokenizer fuses it with the word
(as GPT-2's does) or makes a token of it: that token says that a new word begins.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import PositiveInt

from tutelage.config import Config, UserError

if TYPE_CHECKING:
    from tutelage.data.words import Word, WordSet
    from tutelage.evals.scoring import Row, Scorer

VERSION = 1
WORDS_AT_ONCE = 64
NURSERY_CONTEXTS = 16
NURSERY_SEED = 0


class Unaligned(NamedTuple):
    """Why a word in a context can't be scored, in one sentence."""

    reason: str


class Surprisal(Config):
    """Mean surprisal, in bits, of each word of a word set in its contexts."""

    data: Path | None = None
    """Word set: JSON lines, JSON or CSV, or the folder of cdi_childes.json; the words of the
    nursery if not given."""
    max_contexts: PositiveInt | None = None
    """Read at most so many contexts of each word, the first ones, to save time; default: all."""
    max_words: PositiveInt | None = None
    """Read at most so many words, evenly spread over the set, to save time; default: all."""

    def check(self) -> None:
        """Refuse a missing file or malformed row."""
        if self.data is not None:
            self._words()

    def refuse_unreadable(self, scorer: Scorer) -> None:
        """Raise if no word can be scored: better before training than at its first milestone."""
        found = None
        for word in self._words().words:
            found = word_rows([word.in_context(0)], scorer)[0] if word.contexts else None
            if found is not None and not isinstance(found, Unaligned):
                return
        name = self.data or "the nursery's words"
        reason = "They have no contexts." if found is None else found.reason
        raise UserError(
            f"No word of {name} can be scored with this tokenizer. The last one: {reason} Give "
            "words of the language that the student learns, or another tokenizer."
        )

    def tasks(self) -> list[str]:
        """Parts of 64 words, in the order of the word set."""
        count = len(self._words().words)
        return [
            f"words {first + 1} to {min(first + WORDS_AT_ONCE, count)}"
            for first in range(0, count, WORDS_AT_ONCE)
        ]

    def run_task(self, task: str, scorer: Scorer) -> dict[str, Any]:
        """Surprisal of each word of a part: in every context, their mean and standard error."""
        part = self.tasks().index(task) * WORDS_AT_ONCE
        words = self._words().words[part : part + WORDS_AT_ONCE]
        return {
            "vocab_size": len(scorer.tokenizer),
            "word_surprisals": word_surprisals(words, scorer),
        }

    def combine(self, parts: dict[str, dict[str, Any]]) -> dict[str, Any]:
        """All words, and the mean over those that have a surprisal; words weigh alike."""
        words = [word for part in parts.values() for word in part["word_surprisals"]]
        found = [word["surprisal"] for word in words if word["surprisal"] is not None]
        if not found:
            raise UserError(f"No word has a surprisal: {words[0]['reason']}")
        return {
            "version": VERSION,
            "measures": {
                "surprisal": math.fsum(found) / len(found),
                "words": len(found),
                "words_without_surprisal": len(words) - len(found),
                "contexts": sum(word["contexts"] for word in words),
                "unaligned_contexts": sum(word["unaligned"] for word in words),
            },
            "counts": {},
            "seeds": {"contexts": NURSERY_SEED} if self.data is None else {},
            "vocab_size": next(iter(parts.values()))["vocab_size"],
            "word_surprisals": words,
        }

    def fingerprint(self) -> str:
        """Hash of the words and contexts, and of how surprisal is computed."""
        content = repr((VERSION, self._words().words))
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()

    def _words(self) -> WordSet:
        known = self._all_words()
        words = known.words
        if self.max_words is not None and len(words) > self.max_words:
            step = len(words) / self.max_words
            words = tuple(words[int(number * step)] for number in range(self.max_words))
        kept = tuple(word._replace(contexts=word.contexts[: self.max_contexts]) for word in words)
        return known._replace(words=kept)

    def _all_words(self) -> WordSet:
        if self.data is None:
            return _nursery()
        from tutelage.data.word_files import load_words

        return load_words(self.data / "cdi_childes.json" if self.data.is_dir() else self.data)


@cache
def _nursery() -> WordSet:
    from tutelage.data.words import nursery_words

    return nursery_words(num_contexts=NURSERY_CONTEXTS, seed=NURSERY_SEED)


def word_surprisals(words: Sequence[Word], scorer: Scorer) -> list[dict[str, Any]]:
    """Of each word: `surprisals` in its contexts, their mean, standard error and number.

    A context in which the word has no tokens of its own is left out and counted; a word without
    any other gets the reason, and None in place of its surprisal.
    """
    rows = [
        word_rows([word.in_context(index) for index in range(len(word.contexts))], scorer)
        for word in words
    ]
    known = [row for group in rows for row in group if not isinstance(row, Unaligned)]
    bits = (-float(line.double().sum()) / math.log(2) for line in scorer.logprobs(known))
    results = []
    for word, group in zip(words, rows, strict=True):
        found = [next(bits) for row in group if not isinstance(row, Unaligned)]
        reasons = [row.reason for row in group if isinstance(row, Unaligned)]
        result = {"word": word.word, "category": word.category, **_summary(found)}
        result |= {"unaligned": len(reasons), "surprisals": [round(value, 6) for value in found]}
        if not found:
            result["reason"] = reasons[0] if reasons else f"{word.word!r} has no contexts."
        results.append(result)
    return results


def word_rows(texts: Sequence[tuple[str, int, int]], scorer: Scorer) -> list[Row | Unaligned]:
    """The tokens of each text up to a word's end, of which the word's own are to be scored.

    What is more than the student reads at once is dropped from the text's beginning.

    Args:
        texts: Text that holds a word, the word's first character and its last + 1.
        scorer: Whose tokenizer and beginning-of-text token are used.
    """
    if not texts:
        return []
    encoded = scorer.tokenizer(
        [text[:end] for text, _, end in texts],
        add_special_tokens=False,
        return_offsets_mapping=True,
        verbose=False,
    )
    parts = zip(texts, encoded["input_ids"], encoded["offset_mapping"], strict=True)
    return [_word_row(*part, scorer=scorer) for part in parts]


def _word_row(
    place: tuple[str, int, int],
    token_ids: list[int],
    offsets: list[tuple[int, int]],
    *,
    scorer: Scorer,
) -> Row | Unaligned:
    from tutelage.evals.scoring import Row

    text, start, end = place
    word, shown = text[start:end], text[max(0, end - 60) : end]
    first = start - 1 if text[:start].endswith(" ") else start
    own = [index for index, (_, stop) in enumerate(offsets) if stop > first]
    if not own:
        return Unaligned(f"The tokenizer makes no token out of {word!r} in {shown!r}.")
    if offsets[own[0]][0] < first:
        token = scorer.tokenizer.convert_ids_to_tokens(token_ids[own[0]])
        return Unaligned(
            f"The tokenizer can't align {word!r} in {shown!r}: the token {token!r} holds also "
            "what stands before it."
        )
    own_ids = token_ids[own[0] :]
    if scorer.tokenizer.unk_token_id in own_ids:
        return Unaligned(f"The tokenizer doesn't know {word!r}: it becomes the unknown token.")
    if len(own_ids) >= scorer.context:
        return Unaligned(f"{word!r} is longer than the student's context.")
    kept = token_ids[max(0, len(token_ids) + 1 - scorer.context) :]
    return Row([scorer.begin, *kept], 1 + len(kept) - len(own_ids))


def _summary(bits: list[float]) -> dict[str, Any]:
    """Mean, standard error (sample deviation over the root of the number) and number."""
    count = len(bits)
    mean = math.fsum(bits) / count if count else None
    error = None
    if mean is not None and count > 1:
        variance = math.fsum((value - mean) ** 2 for value in bits) / (count - 1)
        error = math.sqrt(variance / count)
    return {"surprisal": mean, "standard_error": error, "contexts": count}
