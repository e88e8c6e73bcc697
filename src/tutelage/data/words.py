"""Word sets: words with the contexts in which their surprisal is followed over training.

A context is the text before the word; the word is read as its continuation, after one blank where
the context does not end in one. On disk a word set is JSON lines, one word a line:
`{"word": "ball", "category": "toy", "contexts": ["*MOT: Where is the", ...]}`. Files of other
shapes are read by `word_files`.
"""

import hashlib
import heapq
import json
import os
import re
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tutelage.data import nursery_lexicon
from tutelage.data.grammar import document
from tutelage.data.lexicon import features, lexicon

CONVERSATIONS = 1_000  # searched for contexts; later ones are about the words still wanting
MAX_CONVERSATIONS = 10_000  # after so many a word keeps the contexts it has
WORD = re.compile(r"(?<!\S)[^\W\d_]+(?:['’-][^\W\d_]+)*(?![\w'’-]*\w)")
"""A word of letters after a blank; one with an apostrophe or a hyphen inside is one word."""


class Word(NamedTuple):
    """A word, what kind of word it is, and the texts it is to be read after."""

    word: str
    category: str
    contexts: tuple[str, ...]

    def in_context(self, index: int) -> tuple[str, int, int]:
        """A context with the word after it, and the word's first and last character + 1."""
        context = self.contexts[index]
        text = context if not context or context[-1].isspace() else context + " "
        return text + self.word, len(text), len(text) + len(self.word)


class WordSet(NamedTuple):
    """A named list of words; a word may have no contexts, as in some published sets."""

    name: str
    words: tuple[Word, ...]


class Search(NamedTuple):
    """What a search for words found."""

    words: WordSet
    too_few: dict[str, int]
    """Words that are left out, with the number of their different contexts."""


def save_words(words: WordSet, path: Path) -> None:
    """Write a word set as JSON lines; its name is the file's."""
    rows = (json.dumps(word._asdict(), ensure_ascii=False) for word in words.words)
    part = path.with_name(path.name + ".part")
    part.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    os.replace(part, path)


def nursery_words(*, num_contexts: int = 16, seed: int = 0) -> WordSet:
    """The words of the nursery that vocabulary lists hold, each with as many different contexts.

    A context is the turn before and the turn up to the word, from conversations that no
    `NurseryCorpus` holds. Only turns of the mother count, and no word that begins a
    sentence, as it is printed with a capital.

    Args:
        num_contexts: Contexts of each word.
        seed: Seed of the conversations.
    """
    categories = content_words()
    contexts: dict[str, dict[str, None]] = {word: {} for word in categories}
    wanting = set(categories)
    for index in range(MAX_CONVERSATIONS):
        topic = sorted(wanting) if index >= CONVERSATIONS else ()
        text = document(seed, index, purpose="words", topic=topic)
        for word, context in _occurrences(text):
            if word in wanting:
                contexts[word][context] = None
                if len(contexts[word]) == num_contexts:
                    wanting.remove(word)
        if not wanting:
            break
    words = (Word(word, categories[word], tuple(found)) for word, found in contexts.items())
    return WordSet("nursery", tuple(words))


def text_before(text: str, start: int) -> str:
    """The context whose continuation by a word at a character of a text is that text."""
    context = text[:start].removesuffix(" ")
    return text[:start] if not context or context[-1].isspace() else context


def find_words(
    documents: Iterable[str],
    words: Mapping[str, str] | None = None,
    *,
    min_contexts: int = 100,
    max_contexts: int = 512,
    seed: int = 0,
) -> Search:
    """Words that occur in enough different contexts, with a seeded sample of these.

    A context is the sentence up to the word, so a word that begins its sentence has none there. A
    word is found as it is spelled, capitals included, after a blank. Which contexts are kept
    depends on the seed and the contexts alone, not on their order or number.

    Args:
        documents: What is searched, to the end.
        words: Words to find, in the order that they shall have, and their categories; all words
            of letters if not given.
        min_contexts: Words with fewer different contexts are left out.
        max_contexts: Most contexts of a word that are kept.
        seed: Seed of the sample.
    """
    phrases = [word for word in words or () if not WORD.fullmatch(word)]
    samples: defaultdict[str, _Sample] = defaultdict(
        lambda: _Sample(max(min_contexts, max_contexts))
    )
    for text in documents:
        for word, context in _in_sentences(text, words, phrases):
            samples[word].add(_draw(seed, word, context), context)
    found, too_few = [], {}
    for word in sorted(samples) if words is None else words:
        contexts = samples[word].contexts() if word in samples else []
        if len(contexts) < min_contexts:
            too_few[word] = len(contexts)
        else:
            category = words[word] if words else ""
            found.append(Word(word, category, tuple(contexts[:max_contexts])))
    return Search(WordSet("words", tuple(found)), too_few)


class _Sample:
    """The different contexts with the smallest numbers drawn for them, at most `size`."""

    def __init__(self, size: int):
        self.size = size
        self.heap: list[tuple[int, str]] = []
        self.kept: set[int] = set()

    def add(self, number: int, context: str) -> None:
        """Keep a context if its number is among the smallest; one that is kept already is not."""
        if number in self.kept:
            return
        if len(self.heap) == self.size:
            if -number <= self.heap[0][0]:
                return
            self.kept.remove(-heapq.heappop(self.heap)[0])
        heapq.heappush(self.heap, (-number, context))
        self.kept.add(number)

    def contexts(self) -> list[str]:
        """What is kept, smallest number first."""
        return [context for _, context in sorted(self.heap, reverse=True)]


def _draw(seed: int, word: str, context: str) -> int:
    text = f"{seed}\0{word}\0{context}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest())


def _in_sentences(
    text: str, wanted: Container[str] | None, phrases: list[str]
) -> Iterator[tuple[str, str]]:
    """Each wanted word that does not begin a sentence, and its sentence up to it."""
    phrases = [phrase for phrase in phrases if phrase in text]
    for sentence in re.split(r"(?<=[.!?])[\"'”’)]*\s+|\n", text):
        for match in WORD.finditer(sentence):
            if match.start() and (wanted is None or match[0] in wanted):
                yield match[0], text_before(sentence, match.start())
        for phrase in phrases:
            for match in re.finditer(rf"(?<=\s){re.escape(phrase)}(?!\w)", sentence):
                yield phrase, text_before(sentence, match.start())


def content_words() -> dict[str, str]:
    """Words that children's vocabulary lists hold, with their categories: no inflected forms."""
    categories: dict[str, str] = {}
    for entry in lexicon():
        its = features(entry.symbol)
        if entry.word != entry.lemma:
            continue
        if entry.symbol.startswith("N["):
            categories.setdefault(entry.word, its["s"])
        elif entry.symbol.startswith("V["):
            categories.setdefault(entry.word, "action")
        elif entry.symbol.startswith(("ADJ", "COLOR")):
            categories.setdefault(entry.word, "description")
        elif entry.symbol.startswith("NAME"):
            categories.setdefault(entry.word, "name")
    return categories | _function_words()


def _function_words() -> dict[str, str]:
    kinds = {"PRO": "pronoun", "POSS": "pronoun", "REFL": "pronoun", "DET": "determiner"}
    found = dict.fromkeys(nursery_lexicon.PREPOSITIONS, "preposition")
    for symbol, words in nursery_lexicon.CLOSED.items():
        kind = kinds.get(symbol.partition("[")[0].rstrip("3"), "")
        if kind:
            found |= {item.partition("*")[0]: kind for item in words.split()}
    return found


def _occurrences(text: str) -> Iterator[tuple[str, str]]:
    """Each word of the mother's turns that does not begin a sentence, and the text before it."""
    lines = text.split("\n")
    for previous, line in zip(["", *lines], lines, strict=False):
        if line.startswith("*MOT: "):
            before = f"{previous}\n" if previous else ""
            for match in re.finditer(r"(?<=[\w,]) ([A-Za-z'-]+)", line):
                yield match[1], before + line[: match.start()]
