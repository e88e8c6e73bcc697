"""A prompt is written again with less of one field, and as little as possible is taken off."""

from hypothesis import given
from hypothesis import strategies as st

from data.tokenizers_of_prompts import byte_level
from tutelage.data.drafts import plain, shortened

TOKENIZER = byte_level()


def naive(text: str, room: int, *, lines: bool) -> str | None:
    """The longest beginning that fits, tried one by one."""
    ends = [n for n in range(1, len(text)) if not lines or text[n] == "\n"]
    kept = [text[:end].rstrip() if lines else text[:end] for end in ends]
    fits = [each for each in kept if each and not each.isspace() and len(each.encode()) <= room]
    return max(fits, key=len, default=None)


@given(st.text(alphabet="ab é\n", max_size=30), st.integers(1, 20), st.booleans())
def test_the_longest_beginning_that_fits_is_kept(text, room, lines):
    """IRL-1: as if every beginning were tried; characters stay whole."""
    found = shortened(
        plain(text, "yes", None, "row 1"),
        None,
        "cut_paragraphs" if lines else "cut_tokens",
        tokenizer=TOKENIZER,
        fits=lambda prompt: len(prompt.encode()) <= room,
    )
    assert found == naive(text, room, lines=lines)


def test_a_long_prompt_is_written_few_times():
    """IRL-1: halving, not one try for each token."""
    tries = []
    found = shortened(
        plain("word " * 2000, "yes", None, "row 1"),
        None,
        "cut_tokens",
        tokenizer=TOKENIZER,
        fits=lambda prompt: tries.append(prompt) or len(prompt) <= 777,
    )
    assert (len(found or ""), len(tries) <= 14) == (777, True)


def test_a_prompt_without_fields_cannot_be_shortened():
    """IRL-1: such as a template of words alone."""
    how = {"tokenizer": TOKENIZER, "fits": lambda prompt: True}
    assert shortened(plain("", "yes", None, "row 1"), None, "cut_tokens", **how) is None
