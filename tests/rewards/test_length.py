import hypothesis.strategies as st
import pytest
from hypothesis import given

from tutelage.rewards.length import Length


def scores(responses, **options):
    return Length(**options).build()([""] * len(responses), responses).scores.tolist()


@pytest.mark.parametrize(
    ("response", "unit", "score"),
    [
        ("", "words", 0.0),
        (" \n", "words", 0.0),
        ("a cat", "words", 0.5),  # 2 of 4 words
        ("a  cat\nran up", "words", 1.0),
        ("a cat ran up the tree", "words", 1.0),
        ("a", "characters", 0.25),
        ("a b", "characters", 0.75),
        ("abcdefg", "characters", 1.0),
    ],
)
def test_length_counts_up_to_the_target(response, unit, score):
    """PPO-2: min(length, target) / target."""
    assert scores([response], unit=unit, target=4) == [score]


@given(st.lists(st.sampled_from(["a", "cat", "ran"]), max_size=30), st.integers(1, 20))
def test_a_further_word_is_never_worse(words, target):
    """PPO-2."""
    shorter, longer = scores([" ".join(words), " ".join([*words, "up"])], target=target)
    assert 0 <= shorter <= longer <= 1


def test_the_prompt_does_not_count():
    """PPO-2."""
    found = Length(target=4).build()(["a long long prompt"], ["cat"])
    assert found.scores.tolist() == found.terms["length"].tolist() == [0.25]
