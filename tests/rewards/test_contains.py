import pytest
from pydantic import ValidationError

from tutelage.rewards.contains import Contains


def score(response, *words, prompt="", **options):
    found = Contains(words=words, **options).build()([prompt], [response])
    assert found.scores.tolist() == found.terms["contains"].tolist()
    return found.scores.item()


@pytest.mark.parametrize(
    ("response", "words", "any_", "all_", "fraction"),
    [
        ("", ["dog", "cat"], 0, 0, 0),
        ("a cow", ["dog", "cat"], 0, 0, 0),
        ("a dog", ["dog", "cat"], 1, 0, 0.5),
        ("a dog and a dog", ["dog", "cat"], 1, 0, 0.5),
        ("a cat, a dog", ["dog", "cat"], 1, 1, 1),
        ("a dog, a fox", ["dog", "cat", "fox", "cow"], 1, 0, 0.5),
    ],
)
def test_words_are_counted(response, words, any_, all_, fraction):
    """PPO-2: by hand."""
    assert score(response, *words) == any_
    assert score(response, *words, count="any") == any_
    assert score(response, *words, count="all") == all_
    assert score(response, *words, count="fraction") == fraction


@pytest.mark.parametrize(
    ("response", "word", "is_there"),
    [
        ("hotdogs", "dog", False),
        ("a dog.", "dog", True),
        ("dog", "dog", True),
        ("the dog's", "dog", True),
        ("the dog ran home", "dog ran", True),
        ("the dog rang", "dog ran", False),
        ("Oh! Yes", "oh!", True),
        ("hi!you", "!", True),
        ("a.b", "a?b", False),
        ("DOG", "dog", True),
    ],
)
def test_a_word_stands_by_itself(response, word, is_there):
    """PPO-2: between characters that are neither letters nor digits."""
    assert score(response, word) == is_there


def test_parts_of_words_count_if_asked():
    """PPO-2."""
    assert score("hotdogs", "dog", whole_words=False) == 1


def test_capitals_count_if_asked():
    """PPO-2."""
    assert score("a Dog", "dog", ignore_case=False) == 0
    assert score("a Dog", "Dog", ignore_case=False) == 1


def test_the_prompt_does_not_count():
    """PPO-2."""
    assert score(" ran", "dog", prompt="The dog") == 0


@pytest.mark.parametrize("words", [(), ("",), ("dog", " ")])
def test_a_blank_word_is_refused(words):
    """X-1."""
    with pytest.raises(ValidationError):
        Contains(words=words)
