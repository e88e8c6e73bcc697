"""JSON Lines files as reports read them: one object at a time, with a broken line named."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeGuard

from tutelage.config import UserError


def json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file; an unterminated last line is still being written."""
    if path.exists():
        for number, _, line in whole_lines(path):
            yield parsed(path, number, line)


def whole_lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Each terminated line that is not blank: its number, the byte it begins at, and its bytes."""
    start = 0
    with path.open("rb") as handle:
        for number, line in enumerate(handle, start=1):
            if line.endswith(b"\n") and not line.isspace():
                yield number, start, line
            start += len(line)


def parsed(path: Path, number: int, line: bytes) -> dict[str, Any]:
    """The object of one line."""
    try:
        row = json.loads(line)
    except ValueError as error:
        raise unreadable(path, f"line {number} is not JSON ({error})") from error
    if not isinstance(row, dict):
        raise unreadable(path, f"line {number} is not a JSON object")
    return row


def unreadable(path: Path, why: str) -> UserError:
    """What is said of a file that is not as it was written."""
    return UserError(f"{path} cannot be read: {why}. Mend or restore that file.")


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a JSON value is a number (true and false are not)."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_count(value: object) -> TypeGuard[int]:
    """Whether a JSON value is a whole number that is not negative."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
