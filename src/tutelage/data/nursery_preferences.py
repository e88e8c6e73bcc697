"""Preferences of the nursery: a turn of the mother, and the same with one error of grammar."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from functools import cache
from itertools import count
from typing import Literal

from tutelage.data.conversation import MARKS, Conversation
from tutelage.data.grammar import generator, is_grammatical, nursery_grammar
from tutelage.data.lexicon import surface, tokens
from tutelage.data.nursery_contrasts import FIELDS
from tutelage.data.pairs import nursery_pairs
from tutelage.data.preferences import Pair

Error = Literal["shuffle", "swap", "drop", "double", "contrast"]

VERSION = 1
"""Raised when the same number and seed would give other pairs."""
MOST_TURNS = 4  # of a conversation before the turn that is judged
LATEST_TURN = 8  # of a conversation that is taken, or a few later
SENTENCE = re.compile(r"[^.?!]+[.?!]")


@cache
def nursery_preferences(
    num_pairs: int, seed: int, errors: tuple[Error, ...] = ("swap", "drop", "double", "contrast")
) -> tuple[Pair, ...]:
    """Pairs whose subset says the error; kinds of error take turns.

    shuffle mixes all words of a sentence of what is really said next; swap, drop and double do so
    to one word of it. For each word that is dropped there is one that is doubled, so the longer
    side wins about as often as it loses. contrast is a minimal pair of grammar, in a conversation
    where it might be said.
    """
    changes = {"shuffle": _shuffle, "swap": _swap, "drop": _drop, "double": _double}
    contrasts = _contrasts(-(-num_pairs // len(errors)), seed)
    conversations, pairs = count(), []
    while len(pairs) < num_pairs:
        kind = errors[len(pairs) % len(errors)]
        rng = generator(seed, "preferences", next(conversations))
        prompt, reply = _beginning(rng)
        if kind == "contrast":
            pairs.append(Pair(prompt, *next(contrasts), subset=kind))
        elif bad := _corrupted(reply, changes[kind], rng):
            pairs.append(Pair(prompt, f" {reply}", f" {bad}", subset=kind))
    return tuple(pairs)


def _beginning(rng: random.Random) -> tuple[str, str]:
    """A few turns of a conversation up to the mother's mark, and what she says then."""
    mark, turns = MARKS["MOT"], []
    most, earliest = rng.randint(1, MOST_TURNS), rng.randint(1, LATEST_TURN)
    for number, line in enumerate(Conversation(nursery_grammar(), rng).lines()):
        if number >= earliest and line.startswith(mark):
            return "\n".join([*turns[-most:], mark.rstrip()]), line.removeprefix(mark)
        turns.append(line)
    return _beginning(rng)


def _corrupted(
    reply: str, change: Callable[[list[str], random.Random], None], rng: random.Random
) -> str | None:
    """The reply with a change to one of its sentences, if that is an error."""
    sentences = [sentence.strip() for sentence in SENTENCE.findall(reply)]
    place = rng.randrange(len(sentences))
    words = tokens(sentences[place])
    change(words, rng)
    if not words[0][0].isalpha() or is_grammatical(bad := surface(words)):
        return None
    sentences[place] = bad
    return " ".join(sentences)


def _words(words: list[str]) -> list[int]:
    """Where the words are, marks left aside."""
    return [n for n, word in enumerate(words) if word[0].isalpha()]


def _shuffle(words: list[str], rng: random.Random) -> None:
    """All words change places; marks stay."""
    places = _words(words)
    mixed = rng.sample([words[n] for n in places], len(places))
    for n, word in zip(places, mixed, strict=True):
        words[n] = word


def _swap(words: list[str], rng: random.Random) -> None:
    """Two neighbours change places."""
    pairs = [n for n in _words(words) if words[n + 1][0].isalpha()]
    if pairs:
        n = rng.choice(pairs)
        words[n], words[n + 1] = words[n + 1], words[n]


def _drop(words: list[str], rng: random.Random) -> None:
    """A word goes."""
    words.pop(rng.choice(_words(words)))


def _double(words: list[str], rng: random.Random) -> None:
    """A word is said twice."""
    n = rng.choice(_words(words))
    words.insert(n, words[n])


def _contrasts(number: int, seed: int) -> Iterator[tuple[str, str]]:
    """Minimal pairs in a random order, as replies."""
    rng = generator(seed, "preferences", "contrast")
    pairs = nursery_pairs(num_per_phenomenon=-(-number // len(FIELDS)), seed=rng.getrandbits(48))
    rng.shuffle(pairs)
    mark = MARKS["MOT"].rstrip()
    for pair in pairs:
        yield pair.good.removeprefix(mark), pair.bad.removeprefix(mark)
