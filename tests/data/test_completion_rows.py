"""Rows in every common format become a prompt and a completion."""

import re

import pytest

from data.tokenizers_of_prompts import END, byte_level
from tutelage.config import UserError
from tutelage.data.completion_rows import Layout, drafts

H, A = "\n\nHuman:", "\n\nAssistant:"
USER, YES = ({"role": r, "content": c} for r, c in (("user", "hi"), ("assistant", "yes")))
SYSTEM = {"role": "system", "content": "Be brief, whatever they ask."}
CHAT = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}" + END + "\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
ASKED = "QUESTION: What is 2 + 2?\n\nSOLUTION:"
QUESTION = {"question": "What is 2 + 2?", "answer": "It is 2 + 2 = 4.\n#### 4"}


def draft(row, *, prompt=None, completion=None, answer_column=None, tokenizer=None, **more):
    layout = Layout.of(prompt, completion, answer_column)
    (found,) = drafts([("file, line 1", row)], layout, tokenizer, **more)
    return found


def chatting():
    tokenizer = byte_level()
    tokenizer.chat_template = CHAT
    return tokenizer


FORMATS = {
    "prompt and completion": ({"prompt": "2 + 2 =", "completion": " 4"}, ("2 + 2 =", " 4")),
    "messages in both": ({"prompt": [USER], "completion": [YES]}, (f"{H} hi{A}", " yes")),
    "one message each": ({"prompt": USER, "completion": YES}, (f"{H} hi{A}", " yes")),
    "messages": ({"messages": [USER, YES]}, (f"{H} hi{A}", " yes")),
    "the last turn": (
        {"messages": [USER, YES, USER, YES | {"content": "no"}, USER]},
        (f"{H} hi{A} yes{H} hi{A}", " no"),
    ),
    "text": ({"text": "Once upon a time."}, ("", "Once upon a time.")),
    "question and answer": (
        QUESTION,
        (ASKED, " It is 2 + 2 = 4.\n#### 4"),
    ),
    "both and more": (
        {"text": "x", "messages": 3, "prompt": "p", "completion": " c", "answer": "c"},
        ("p", " c"),
    ),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_understood(name):
    """IRL-1: TRL's columns and GSM8K's."""
    row, sides = FORMATS[name]
    found = draft(row)
    assert (found.prompt, found.completion, found.where) == (*sides, "file, line 1")


def test_the_chat_template_writes_messages():
    """IRL-1: the assistant's opening belongs to the prompt."""
    found = draft({"messages": [SYSTEM, USER, YES]}, tokenizer=chatting())
    opening = f"<system>{SYSTEM['content']}{END}\n<user>hi{END}\n<assistant>"
    assert (found.prompt, found.completion) == (opening, f"yes{END}\n")


@pytest.mark.parametrize(
    ("row", "templates", "sides"),
    [
        ({"a": "one", "b": 2}, ("A {{ a }}:", " {{ b }}"), ("A one:", " 2")),
        (QUESTION, (None, " {{ answer.split()[-1] }}"), (ASKED, " 4")),
        (QUESTION, ("{{ question }}", None), ("What is 2 + 2?", " It is 2 + 2 = 4.\n#### 4")),
        ({"prompt": "p", "completion": " c"}, ("{{ prompt }}!", None), ("p!", " c")),
        ({"prompt": "p", "x": "c"}, (None, " {{ x }}"), ("p", " c")),
        ({"text": "t", "x": "c"}, ("", "{{ text }}"), ("", "t")),
        ({"messages": [USER, YES]}, ("{{ messages[0].content }}", " {{ messages[1].content }}"),
         ("hi", " yes")),
    ],
)  # fmt: skip
def test_templates_take_the_place_of_what_columns_say(row, templates, sides):
    """IRL-1: either one or both."""
    found = draft(row, prompt=templates[0], completion=templates[1])
    assert (found.prompt, found.completion) == sides


def test_a_template_tells_its_fields_and_is_filled_in_again():
    """IRL-1: texts that the prompt holds, of which one may be cut."""
    row = {"story": "s" * 9, "question": "q", "number": 3, "unused": "u"}
    found = draft(row, prompt="{{ story }}{{ number }}{{ question }}", completion="c")
    assert found.fields == {"question": "q", "story": "s" * 9}
    assert found.render("story", "s") == "s3q"


def test_of_a_dialogue_the_longest_message_by_a_user_can_be_cut():
    """IRL-1: the chat template is written anew."""
    long = USER | {"content": "hello there"}
    found = draft({"messages": [SYSTEM, USER, YES, long, YES]}, tokenizer=chatting())
    assert found.fields == {"prompt": "hello there"}
    assert found.render("prompt", "he") == found.prompt.replace("hello there", "he")


@pytest.mark.parametrize(
    ("row", "column", "answer"),
    [
        (QUESTION, None, QUESTION["answer"]),
        ({"prompt": "p", "completion": "c", "answer": 4}, None, "4"),
        ({"prompt": "p", "completion": "c", "answer": ["a"]}, None, None),
        ({"prompt": "p", "completion": "c", "answer": True}, None, None),
        ({"prompt": "p", "completion": "c", "key": 0.5, "answer": "x"}, "key", "0.5"),
        ({"prompt": "p", "completion": "c", "key": None}, "key", None),
        ({"text": "t"}, None, None),
    ],
)
def test_the_answer_is_text_or_a_number_of_a_column(row, column, answer):
    """IRL-1, IRL-4."""
    assert draft(row, answer_column=column).answer == answer
    assert draft(row, answer_column=column, has_answers=False).answer is None


BAD_ROWS = [
    ({"promt": "p", "compl": "c"}, {}, "the columns 'promt', 'compl' are of no known format. A row "
     "has prompt and completion (text or messages), messages, question and answer, or text; for "
     "other columns give prompt_template"),
    ({}, {}, "the columns none are of no known format."),
    ({"prompt": "p"}, {}, "the columns 'prompt' are of no known format."),
    ({"question": "q"}, {}, "of no known format."),
    ({"a": "x"}, {"completion": "{{ a }}"}, "of no known format."),
    ({"text": "x"}, {"prompt": "{{ text }}"}, "of no known format."),
    ({"prompt": "p", "completion": 3}, {}, "column 'completion' holds int, neither text nor mess"),
    ({"prompt": None, "completion": "c"}, {}, "column 'prompt' holds null, neither text nor mess"),
    ({"text": 3}, {}, "column 'text' holds int, neither text nor messages."),
    ({"prompt": "p", "completion": [YES]}, {}, "of prompt and completion, one is text and one ho"),
    ({"prompt": [USER], "completion": "c"}, {}, "of prompt and completion, one is text and one h"),
    ({"prompt": "p", "completion": [YES]}, {"prompt": "x"}, "one is text and one holds messages."),
    ({"prompt": [USER], "completion": [USER]}, {}, "the completion begins with a message by user, "
     "but it must be by assistant."),
    ({"messages": [USER, SYSTEM]}, {}, "none of the messages is by assistant; they are by user, "
     "system."),
    ({"messages": [YES]}, {}, "there is no message before the assistant's."),
    ({"messages": "hi"}, {}, "column 'messages' holds text, not a list of messages."),
    ({"messages": [USER | {"content": None}, YES]}, {}, "in a message of messages, content"),
    ({"question": None, "answer": "4"}, {}, "the prompt writes nothing, as 'question' is null in "
     "this row."),
    ({"text": "\ud800"}, {}, "a text holds half a character (\\ud800)"),
    ({"a": "x"}, {"prompt": "{{ b }}", "completion": "c"}, "prompt_template names 'b', but the "
     "row's fields are 'a'."),
    (QUESTION, {"answer_column": "answr"}, "answer_column is 'answr', but the columns are "
     "'question', 'answer'. Did you mean answer?"),
    ({"text": "t", "key": []}, {"answer_column": "key"}, "column 'key' holds list, neither text "
     "nor a number, so no response can be checked by it."),
]  # fmt: skip


@pytest.mark.parametrize(("row", "options", "message"), BAD_ROWS)
def test_a_bad_row_is_named_by_its_place(row, options, message):
    """X-1, IRL-1."""
    with pytest.raises(UserError, match=re.escape(message)) as error:
        draft(row, **options)
    assert str(error.value).startswith("file, line 1: ")


def test_a_dialogue_that_the_chat_template_refuses_is_told():
    """X-1."""
    tokenizer = byte_level()
    tokenizer.chat_template = "{{ raise_exception('no system message') }}"
    with pytest.raises(UserError, match="line 1: the tokenizer's chat template does not take mess"):
        draft({"messages": [SYSTEM, USER, YES]}, tokenizer=tokenizer)
