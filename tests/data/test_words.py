"""Word sets: the nursery's, and those of a corpus."""

import re
from collections import Counter
from functools import cache

import pytest

from tutelage.data.grammar import document, is_grammatical
from tutelage.data.word_files import load_words
from tutelage.data.words import (
    Word,
    WordSet,
    content_words,
    find_words,
    nursery_words,
    save_words,
)


@cache
def small() -> WordSet:
    return nursery_words()


def test_every_word_has_its_contexts():
    """TND-6, X-9."""
    assert len(small().words) >= 600
    assert {word.word for word in small().words} == set(content_words())
    for word in small().words:
        assert len(set(word.contexts)) == 16, word


def test_words_have_categories():
    """X-9."""
    kinds = {word.word: word.category for word in small().words}
    assert kinds["dog"] == "animal"
    assert kinds["eat"] == "action"
    assert kinds["red"] == "description"
    assert kinds["himself"] == "pronoun"
    assert kinds["the"] == "determiner"
    assert kinds["Mommy"] == "name"
    assert "dogs" not in kinds
    assert "ate" not in kinds
    assert all(kinds.values())


def test_contexts_end_where_the_word_begins():
    """EV-3: each context is a beginning of a mother's sentence of the grammar's own stream."""
    for word in small().words[::25]:
        for context in word.contexts:
            *before, line = context.split("\n")
            assert len(before) <= 1
            assert line.startswith("*MOT: ")
            assert re.search(r"[\w,]$", context), context


def test_a_context_and_its_word_go_on_to_a_grammatical_line():
    """X-9."""
    text = document(0, 0, purpose="words")
    lines = [line for line in text.split("\n") if line.startswith("*MOT: ")]
    found = {
        (word.word, context.split("\n")[-1]) for word in small().words for context in word.contexts
    }
    begun = [
        line
        for line in lines
        if any(f"{line} ".startswith((f"{c} {w} ", f"{c} {w}.", f"{c} {w}?")) for w, c in found)
    ]
    assert begun
    assert all(is_grammatical(line) for line in begun)


def test_contexts_are_not_those_of_the_corpus():
    """TND-6: long contexts, which cannot be the same by chance, are in no training document."""
    corpus = "\n\n".join(document(0, index) for index in range(1500))
    contexts = [c for word in small().words for c in word.contexts if len(c.split()) >= 14]
    assert len(contexts) > 100
    assert sum(context in corpus for context in contexts) == 0


def test_word_set_depends_on_its_seed():
    """X-9."""
    few = nursery_words(num_contexts=2)
    assert nursery_words(num_contexts=2) == few
    assert nursery_words(num_contexts=2, seed=6) != few


@pytest.mark.parametrize(
    ("context", "text"),
    [("Where is the", "Where is the ball"), ("", "ball"), ("Look:\n", "Look:\nball")],
)
def test_a_word_is_placed_after_its_context(context, text):
    """EV-3."""
    found, start, end = Word("ball", "toy", (context,)).in_context(0)
    assert found == text
    assert found[start:end] == "ball"


def contexts(texts: list[str], words: list[str] | None = None, **options) -> dict[str, list[str]]:
    wanted = None if words is None else dict.fromkeys(words, "")
    found = find_words(texts, wanted, **{"min_contexts": 1, **options})
    return {word.word: sorted(word.contexts) for word in found.words.words}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("the dog ran", {"dog": ["the"]}),
        ("dog ran", {}),
        ("It ran. dog", {}),
        ('"Stop!" the dog', {"dog": ["the"]}),
        ("It ran.\nThe dog", {"dog": ["The"]}),
        ("a dog, the dog.", {"dog": ["a", "a dog, the"]}),
        ("hot-dog a dog's hotdog dogs dog2 a \"dog Dog", {}),
        ("see 3 dogs, 1 dog", {"dog": ["see 3 dogs, 1"]}),
        ("one  dog", {"dog": ["one  "]}),
        ("an ice cream for ice creams, an ice", {"ice cream": ["an"]}),
        ("I don't", {"don't": ["I"]}),
        ("no ice cream. no\nice cream", {"ice cream": ["no"]}),
    ],
)
def test_words_are_found_whole_after_a_blank_with_their_sentence(text, found):
    """EV-3."""
    assert contexts([text], ["dog", "ice cream", "don't"]) == found


def test_without_a_list_every_word_of_letters_is_found():
    """EV-3: in alphabetical order, by its spelling."""
    corpus = ["The cat saw 7 Élan cats.", "so the cat x2"]
    assert contexts(corpus) == {
        "cat": ["The", "so the"],
        "cats": ["The cat saw 7 Élan"],
        "saw": ["The cat"],
        "the": ["so"],
        "Élan": ["The cat saw 7"],
    }
    assert list(contexts(corpus)) == ["cat", "cats", "saw", "the", "Élan"]
    assert list(contexts(corpus, ["the", "cat"])) == ["the", "cat"]


def test_words_with_too_few_different_contexts_are_left_out():
    """EV-3: a context that comes twice is one."""
    corpus = ["a dog", "a dog", "the dog", "a cat", "the cat", "one cat"]
    assert contexts(corpus, min_contexts=2) == {"cat": ["a", "one", "the"], "dog": ["a", "the"]}
    assert contexts(corpus, min_contexts=3) == {"cat": ["a", "one", "the"]}
    assert contexts(corpus, min_contexts=4) == {}
    assert contexts(corpus, min_contexts=3, max_contexts=1)["cat"] in (["a"], ["one"], ["the"])


def test_words_that_are_left_out_are_told_with_their_contexts():
    """EV-3: without a list these are all rarer words of the corpus."""
    corpus = ["a dog", "a dog", "the dog", "a cat", "the cat", "one cat"]
    wanted = {"cow": "", "cat": "pet", "dog": ""}
    found = find_words(corpus, wanted, min_contexts=3)
    assert [(word.word, word.category) for word in found.words.words] == [("cat", "pet")]
    assert found.too_few == {"cow": 0, "dog": 2}
    assert find_words(corpus, min_contexts=4).too_few == {"cat": 3, "dog": 2}


def test_sample_of_contexts_depends_on_the_seed_alone():
    """EV-3: not on the order of documents, and each context has the same chance."""
    texts = [f"number{'x' * index} dog" for index in range(40)]
    corpus, other = texts, [*reversed(texts), texts[0]]
    sample = contexts(corpus, ["dog"], max_contexts=10)
    assert len(set(sample["dog"])) == 10
    assert contexts(other, ["dog"], max_contexts=10) == sample
    assert contexts(corpus, ["dog"], max_contexts=10, seed=1) != sample
    drawn = Counter(
        context
        for seed in range(100)
        for context in contexts(corpus, ["dog"], max_contexts=10, seed=seed)["dog"]
    )
    assert len(drawn) == 40
    assert max(drawn.values()) < 45  # 25 expected, standard deviation 4.3


def test_found_words_can_be_read_again(tmp_path):
    """EV-3: every context, with the word after it, is the beginning of its sentence."""
    texts = ["Look at  the dog there.", "x \t dog"]
    words = find_words(texts, {"dog": "pet"}, min_contexts=1).words
    save_words(words, tmp_path / "words.jsonl")
    assert load_words(tmp_path / "words.jsonl") == words
    (word,) = words.words
    placed = {word.in_context(index)[0] for index in range(2)}
    assert all(any(text.startswith(place) for text in texts) for place in placed)
