"""Templates over a row's fields: strict, in a sandbox, and clear about what is wrong."""

import re

import pytest

from tutelage.config import UserError
from tutelage.data.row_templates import RowTemplate

ROW = {"question": "Why?", "hint": None, "notes": {"author": "A"}, "number": 3}


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("QUESTION: {{ question }}\n\nSOLUTION:", "QUESTION: Why?\n\nSOLUTION:"),
        (r"QUESTION: {{ question }}\n\nSOLUTION:", "QUESTION: Why?\n\nSOLUTION:"),
        ("{{ question }}\n", "Why?\n"),
        (" {{ number }} {{ notes.author }}", " 3 A"),
        ("{{ hint or '' }}{{ question }}", "Why?"),
        ("{% if context is defined %}{{ context }}{% endif %}{{ question }}", "Why?"),
        ("{{ question }} <b>&", "Why? <b>&"),
        ("", ""),
    ],
)
def test_a_template_writes_the_fields_of_a_row(text, written):
    """IRL-1: line ends stay, and nothing is escaped."""
    assert RowTemplate(text, "prompt_template").render(ROW) == written


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ quest }}", "prompt_template names 'quest', but the row's fields are 'question', "
         "'hint', 'notes', 'number'. Did you mean question?"),
        ("{{ notes.year }}", "prompt_template can't be filled in with this row: 'dict object' has "
         "no attribute 'year'."),
        ("{{ hint }}", "prompt_template writes nothing, as 'hint' is null in this row. Mend the "
         "row, or write such as {{ name or '' }}."),
        ("{{ number / 0 }}", "can't be filled in with this row: division by zero."),
        ("{{ number + question }}", "can't be filled in with this row: unsupported operand"),
        ("{{ question.__class__.__mro__ }}", "can't be filled in with this row: access to "
         "attribute '__class__' of 'str' object is unsafe"),
    ],
)  # fmt: skip
def test_what_a_row_cannot_fill_in_is_told(text, message):
    """X-1, IRL-1: an unknown field lists the fields."""
    with pytest.raises(UserError, match=re.escape(message)):
        RowTemplate(text, "prompt_template").render(ROW)


@pytest.mark.parametrize("text", ["{{ question", "{% if %}", "{{ question | no_such_filter }}"])
def test_bad_syntax_is_refused_at_once(text):
    """X-1: before any row is read."""
    with pytest.raises(UserError, match=r"completion_template is not a Jinja template: .+\(line 1"):
        RowTemplate(text, "completion_template")
