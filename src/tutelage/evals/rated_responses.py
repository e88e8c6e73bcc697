"""Responses with what somebody measured of them: JSON lines, or the samples of a run."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tutelage.config import UserError, nearest

EXAMPLE = '{"prompt": "2 + 2 =", "response": " 4", "correct": true}'
TEXTS = ("prompt", "response", "completion")
BOOKKEEPING = ("step", "round", "num_tokens")
"""Numbers of a run's samples that say nothing of how good they are."""


class Rated(NamedTuple):
    """A response to a prompt, and its metrics: of each a number, or None where there is none."""

    prompt: str
    response: str
    metrics: dict[str, float | None]
    place: str
    """Where it is from, for messages: a file and line."""


def read_rated(path: Path, wanted: Sequence[str] = ()) -> list[Rated]:
    """The rows of a JSON-lines file.

    Without a wish, the metrics are those in `scores`, if any row has that; else all columns that
    hold nothing but numbers, true or false, and null, other than those by which runs keep books.

    Args:
        path: The file; an unfinished last line of a run's samples.jsonl is left out.
        wanted: Metrics: names in `scores`, or of columns.
    """
    rows = _objects(path)
    if not rows:
        raise UserError(f"{path} has no rows. Each line must be an object such as {EXAMPLE}.")
    texts = [_texts(row, place) for place, row in rows]
    values = [_values(row) for _, row in rows]
    names = list(dict.fromkeys(name for each in values for name in each))
    for name in wanted:
        if name not in names:
            raise UserError(
                f"--metrics {name}: {path} has no such column.{nearest(name, names)} "
                + (f"It has {', '.join(names)}." if names else "It has texts only.")
            )
        for (place, _), each in zip(rows, values, strict=True):
            if not _is_number(each.get(name)):
                raise UserError(
                    f"--metrics {name}: {place} has {json.dumps(each[name])[:60]} there, which is "
                    "no number. Give a column of numbers, true or false, or null."
                )
    kept = list(dict.fromkeys(wanted)) or _usual(rows, values, names)
    return [
        Rated(*text, {name: _number(each.get(name)) for name in kept}, place)
        for text, each, (place, _) in zip(texts, values, rows, strict=True)
    ]


def _objects(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Place and object of each line that is not blank."""
    from tutelage.data.readers import readable

    if not path.is_file():
        why = "is a folder" if path.is_dir() else "does not exist"
        raise UserError(f"{path} {why}. Give a file of JSON lines such as {EXAMPLE}.")
    with readable(path, UnicodeDecodeError):
        lines = path.read_text(encoding="utf-8").split("\n")
    if path.name == "samples.jsonl":
        lines = lines[:-1]
    found = []
    for number, line in enumerate(lines, start=1):
        if not line or line.isspace():
            continue
        place = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"{place} is not JSON ({error}). Give lines such as {EXAMPLE}."
            ) from None
        if not isinstance(row, dict):
            raise UserError(f"{place} is JSON, but not an object. Give lines such as {EXAMPLE}.")
        found.append((place, row))
    return found


def _texts(row: dict[str, Any], place: str) -> tuple[str, str]:
    """Prompt and response of a row."""
    response = "completion" if "response" not in row and "completion" in row else "response"
    for name in ("prompt", response):
        if name not in row:
            has = f"It has {', '.join(row)}." if row else "It is empty."
            raise UserError(
                f"{place} has no {name}.{nearest(name, row)} {has} "
                f"Each line must be an object such as {EXAMPLE}."
            )
        try:
            row[name].encode()
        except (AttributeError, UnicodeEncodeError):
            shown = json.dumps(row[name])[:60]
            raise UserError(f"{place}: {name} is {shown}, but must be a text.") from None
    return row["prompt"], row[response]


def _values(row: dict[str, Any]) -> dict[str, Any]:
    """Everything in a row that might be a metric."""
    columns = {name: value for name, value in row.items() if name not in (*TEXTS, "scores")}
    scores = row.get("scores")
    return columns | (scores if isinstance(scores, dict) else {})


def _usual(
    rows: Sequence[tuple[str, dict[str, Any]]], values: Sequence[dict[str, Any]], names: list[str]
) -> list[str]:
    """The metrics that are meant if none are named."""
    scores = [row["scores"] for _, row in rows if isinstance(row.get("scores"), dict)]
    if scores:
        names = list(dict.fromkeys(name for each in scores for name in each))
    return [
        name
        for name in names
        if name not in BOOKKEEPING
        and all(_is_number(each.get(name)) for each in values)
        and any(each.get(name) is not None for each in values)
    ]


def _is_number(value: Any) -> bool:
    """Whether a value is a number, true, false or absent."""
    return value is None or isinstance(value, (bool, int, float))


def _number(value: Any) -> float | None:
    """The number; none for what is absent or not finite."""
    try:
        number = math.nan if value is None else float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
