import pytest

from tutelage.data.grammar import document
from tutelage.rewards.grammar import NurseryGrammar, sentences

GOOD = "Where is the ball?"
BAD = "Ball the where is?"


def score(prompt, response):
    return NurseryGrammar().build()([prompt], [response]).scores.item()


@pytest.mark.parametrize(
    ("prompt", "response", "fraction"),
    [
        ("", "", 0),
        ("*MOT:", "", 0),
        ("*MOT: Look.", "", 0),  # the prompt's own sentence does not count
        ("*MOT:", f" {GOOD}", 1),
        ("*MOT: ", GOOD, 1),
        ("", f"*MOT: {GOOD}", 1),
        ("", GOOD, 1),
        ("", BAD, 0),
        ("*MOT: Where is", " the ball?", 1),
        ("*MOT: Where is", " ball the?", 0),
        (f"*MOT: {BAD} Where is", " the ball?", 1),
        (f"*MOT: {BAD}\n", f"*MOT: {GOOD}", 1),
        ("*MOT:", f" {GOOD} {BAD}", 1 / 2),
        ("*MOT:", f" {GOOD} Where is", 1 / 2),  # unfinished
        ("*MOT:", f" {GOOD}\n*CHI: ball ball the.\n*MOT: {GOOD}\n*MOT: {BAD}\n", 2 / 3),
        ("*CHI:", " the the the.", 0),  # nothing to judge
        ("*CHI: ball", f" the.\n*MOT: {GOOD}", 1),
        ("*MOT:", f" {GOOD}!!", 1 / 3),
        ("*MOT:", f" {GOOD} *MOT: {GOOD}", 1 / 2),  # a mark within a line
        ("*MOT:", f" *MOT: {GOOD}", 0),
        ("*MOT:", " where is the ball?", 0),
    ],
)
def test_the_fraction_of_good_sentences(prompt, response, fraction):
    """X-9: by hand."""
    assert score(prompt, response) == pytest.approx(fraction, abs=1e-7)


def test_the_nursery_s_own_conversations_are_all_good():
    """X-9: wherever a conversation is cut into prompt and response."""
    for index in range(20):
        text = document(0, index)
        for cut in (0, len(text) // 3, len(text) // 2):
            assert score(text[:cut], text[cut:]) == 1


def test_prompt_and_response_have_each_sentence_once():
    """X-9."""
    text = document(0, 1)
    end = text.rindex("\n")
    everything = list(sentences("", text[:end]))
    for cut in range(end):
        first, second = list(sentences("", text[:cut])), list(sentences(text[:cut], text[cut:end]))
        assert everything[len(everything) - len(second) :] == second
        assert len(first) + len(second) - len(everything) in (0, 1)  # the one that was cut
