"""Texts that cards show: a few, and not too long."""

MAX_WORST = 10
MAX_CHARACTERS = 600


def cut(text: str, *, keep_end: bool = False) -> str:
    """A text of at most 600 characters: its beginning, or its end."""
    if len(text) <= MAX_CHARACTERS:
        return text
    size = MAX_CHARACTERS - 1
    return "…" + text[-size:] if keep_end else text[:size] + "…"
