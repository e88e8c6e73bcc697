"""How responses can be checked is told from the answers."""

import pytest

from tutelage.config import UserError
from tutelage.data.answers import how_checked
from tutelage.data.completions import Example


def examples(*pairs: tuple[str, str | None]) -> list[Example]:
    return [Example("p", text, answer, f"row {n}") for n, (text, answer) in enumerate(pairs, 1)]


@pytest.mark.parametrize(
    ("pairs", "how"),
    [
        ([(" so\n#### 3", "so\n#### 3"), (" #### 4", "4")], "gsm8k"),
        ([(" #### 1,200", "$1,200"), (" no", None)], "gsm8k"),
        ([(" 4", "4")], "exact"),  # no ####: the response is the answer
        ([(" #### x", "x")], "exact"),
        ([(" #### 4", "4"), (" Paris", "Paris")], "exact"),
        ([(" yes", None)], "none"),
    ],
)
def test_answers_say_how_responses_are_checked(pairs, how):
    """IRL-1."""
    assert how_checked(examples(*pairs), "auto", "the file") == how
    assert how_checked(examples(*pairs), "none", "the file") == "none"


def test_what_is_asked_for_must_be_possible():
    """X-1: a row is named."""
    numbers = examples((" 4", "4"), (" 5", "5"))
    assert how_checked(numbers, "gsm8k", "the file") == "gsm8k"
    assert how_checked(numbers, "exact", "the file") == "exact"
    with pytest.raises(UserError, match="row 2: answers is gsm8k, but the answer 'Paris' is neith"):
        how_checked(examples((" 4", "4"), (" P", "Paris")), "gsm8k", "the file")
    with pytest.raises(UserError, match="the file: answers is exact, but no row has an answer"):
        how_checked(examples((" 4", None)), "exact", "the file")
