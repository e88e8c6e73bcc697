"""Two dialogues that begin alike: the shared prompt and the two responses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.tokenizers_of_prompts import byte_level
from tutelage.config import UserError
from tutelage.data.dialogues import (
    Message,
    Sides,
    marked,
    opening,
    split_marked,
    split_messages,
    split_plain,
)

H, A = "\n\nHuman:", "\n\nAssistant:"


@pytest.mark.parametrize(
    ("chosen", "rejected", "sides"),
    [
        (f"{H} hi{A} yes", f"{H} hi{A} no", (f"{H} hi{A}", " yes", " no")),
        # the last turn of the assistant, not the first
        (
            f"{H} hi{A} so{H} and{A} yes",
            f"{H} hi{A} so{H} and{A} no",
            (f"{H} hi{A} so{H} and{A}", " yes", " no"),
        ),
        # they part before their last turns: the responses begin where they part
        (
            f"{H} hi{A} so{H} and{A} yes",
            f"{H} hi{A} no{H} but{A} no",
            (f"{H} hi{A}", f" so{H} and{A} yes", f" no{H} but{A} no"),
        ),
        (f"{H} hi{A} so", f"{H} hi{A} so{H} and{A} no", (f"{H} hi{A}", " so", f" so{H} and{A} no")),
        (f"{H} hi{A} same", f"{H} hi{A} same", (f"{H} hi{A}", " same", " same")),
        (f"{H} hi{A}", f"{H} hi{A} no", (f"{H} hi{A}", "", " no")),
        (f"{H} hi{A} yes", f"{H} hello{A} no", None),
        ("no marks at all", "no marks here", None),
    ],
)
def test_dialogues_of_hh_rlhf_are_split_at_the_last_shared_turn(chosen, rejected, sides):
    """RM-3, R13."""
    assert split_marked(chosen, rejected) == sides


@pytest.mark.parametrize(
    ("chosen", "rejected", "sides"),
    [
        ("The sky is blue.", "The sky is green.", ("The sky is", " blue.", " green.")),
        ("It was late", "It was lame", ("It was", " late", " lame")),
        ("the cat sat", "the catfish", ("the", " cat sat", " catfish")),
        ("so far", "so far away", ("so", " far", " far away")),
        ("one  two", "one  three", ("one", "  two", "  three")),
        ("yes", "no", ("", "yes", "no")),
    ],
)
def test_plain_texts_are_split_where_they_part_between_words(chosen, rejected, sides):
    """RM-3: TRL's implicit prompt."""
    assert split_plain(chosen, rejected) == sides


@given(st.text("ab \n", max_size=15), st.text("ab \n", max_size=15))
def test_splitting_loses_nothing(chosen, rejected):
    """RM-3."""
    sides = split_plain(chosen, rejected)
    assert (sides.prompt + sides.chosen, sides.prompt + sides.rejected) == (chosen, rejected)


def turns(*contents: str) -> list[Message]:
    """User and assistant in turn."""
    return [Message(("user", "assistant")[n % 2], text) for n, text in enumerate(contents)]


def test_messages_without_a_template_have_hh_rlhfs_marks():
    """RM-3."""
    sides = split_messages(turns("hi", "yes"), turns("hi", "no"), None)
    assert sides == Sides(f"{H} hi{A}", " yes", " no")
    system = [Message("system", "Be kind.")]
    assert split_messages([*system, *turns("hi", "yes")], [*system, *turns("hi", "no")], None) == (
        f"\n\nSystem: Be kind.{H} hi{A}", " yes", " no",
    )  # fmt: skip
    assert marked(turns("hi", "yes")) == f"{H} hi{A} yes"


def test_messages_are_split_as_marked_text_is():
    """RM-3, R13: wherever they part."""
    histories = (["hi", "so", "and", "yes"], ["hi", "so", "and", "no"], ["hi", "no", "but", "no"],
                 ["hi", "so"], ["hello", "no"])  # fmt: skip
    for one in histories:
        for other in histories:
            sides = split_messages(turns(*one), turns(*other), byte_level())
            assert sides == split_marked(marked(turns(*one)), marked(turns(*other))), (one, other)


def test_the_chat_template_writes_messages():
    """RM-3: with the opening of the assistant's turn in the prompt, and its end in the response."""
    tokenizer = byte_level()
    tokenizer.chat_template = (
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}</>\n{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    sides = split_messages(turns("hi", "yes"), turns("hi", "no"), tokenizer)
    assert sides == Sides("<user>hi</>\n<assistant>", "yes</>\n", "no</>\n")


def test_a_template_that_takes_no_such_messages_says_why():
    """RM-3."""
    tokenizer = byte_level()
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m.role == 'system' %}"
        "{{ raise_exception('no system here') }}{% endif %}{{ m.content }}{% endfor %}"
    )
    rows = [[Message("system", "x"), *turns("hi", reply)] for reply in ("yes", "no")]
    with pytest.raises(UserError, match="does not take messages by system, user: no system here"):
        split_messages(*rows, tokenizer)


def test_continuations_of_a_dialogue_have_one_opening():
    """RM-3: they must not be in two parts."""
    assert opening(f"{H} hi{A}") == opening(f"{H} hi{A} so{H} and{A}") == f"{H} hi"
    assert opening("Say hello.") == "Say hello."
