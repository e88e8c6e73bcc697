"""Responses of trials beside their scores: of a few rounds, the best, the median and the worst.

Where a demonstrator answered the same prompts, a trial is shown beside its demonstration.

A long run has millions of responses. Its samples.jsonl is passed over line by line; where each
round lies is kept, and only the rounds that are shown are read, one at a time.
"""

import itertools
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tutelage.reports.json_lines import is_count, is_number, parsed, whole_lines
from tutelage.reports.thinning import spread

MAX_ROUNDS = 9
# How tutelage begins a row of a rollout. Within a JSON string, quotes have a backslash before them.
_HEAD = re.compile(rb'\{"step": (\d+), "round": (\d+), "kind": "rollout"')

Row = dict[str, Any]


class Ranked(NamedTuple):
    """A response and its place among those of its round: best, median, worst, or only.

    The place is empty where nobody scored the round's responses.
    """

    rank: str
    row: Row


class Pair(NamedTuple):
    """A trial beside the demonstration for the same prompt; the rank is the trial's."""

    rank: str
    trial: Row
    demonstration: Row


class Round(NamedTuple):
    """Some of the responses of one round."""

    number: int
    step: int
    num_responses: int
    mean: float | None
    """Mean total score (of trials, if demonstrations stand beside them); None without scores."""
    shown: list[Ranked]
    pairs: Sequence[Pair] = ()
    """Some trials beside their demonstrations, if there are any; they are not in `shown`."""


class Samples(NamedTuple):
    """What samples.jsonl holds."""

    others: list[Row]
    """Rows that are no responses of a trial."""
    rounds: list[Round]
    """A few rounds from the first to the last."""
    num_rounds: int


class _Span(NamedTuple):
    step: int
    line: int
    start: int
    end: int


def read_samples(path: Path) -> Samples:
    """A run's samples: every ordinary one, and a few rounds of its trials."""
    if not path.exists():
        return Samples([], [], 0)
    others: list[Row] = []
    spans: dict[int, _Span] = {}
    for number, start, line in whole_lines(path):
        head = _HEAD.match(line)
        row = None if head else parsed(path, number, line)
        place = (int(head[1]), int(head[2])) if head else _place(row or {})
        if place:
            step, of = place
            begun = spans.get(of, _Span(step, number, start, start))
            spans[of] = begun._replace(end=start + len(line))
        elif row is not None and is_count(row.get("step")) and row.get("kind") != "rollout":
            others.append(row)
    shown = [_round(path, of, spans[of]) for of in spread(sorted(spans), MAX_ROUNDS)]
    return Samples(others, shown, len(spans))


def ranked(rows: list[Row]) -> list[Ranked]:
    """The best, the median (of two, the worse) and the worst row by total score.

    Of equal ones the earlier is the better; one without a score is worse than any other. If none
    has a score, the first, the middle and the last row, without a rank.
    """
    if rows and not any(math.isfinite(_total(row)) for row in rows):
        return [Ranked("", row) for row in spread(rows, 3)]
    order = sorted(rows, key=lambda row: -_total(row))
    if len(order) < 2:
        return [Ranked("only", row) for row in order]
    middle = [Ranked("median", order[len(order) // 2])] if len(order) > 2 else []
    return [Ranked("best", order[0]), *middle, Ranked("worst", order[-1])]


def paired(rows: list[Row]) -> list[Pair]:
    """The best, the median and the worst trial that has a demonstration for its prompt.

    Of trials without scores the first, the middle and the last.
    """
    demonstrations: dict[str, list[Row]] = {}
    for row in rows:
        if row.get("author") == "demonstrator":
            demonstrations.setdefault(text_of(row, "prompt"), []).append(row)
    beside = {
        id(row): demonstrations[text_of(row, "prompt")].pop(0)
        for row in rows
        if row.get("author") == "student" and demonstrations.get(text_of(row, "prompt"))
    }
    trials = ranked([row for row in rows if id(row) in beside])
    return [Pair(rank, trial, beside[id(trial)]) for rank, trial in trials]


def terms_of(some: Round) -> list[str]:
    """The names of the terms of the scores that are shown; a single one that is the total, not."""
    rows = [each.row for each in some.shown]
    rows += [row for pair in some.pairs for row in (pair.trial, pair.demonstration)]
    scores = [row.get("scores") for row in rows]
    scores = [of for of in scores if isinstance(of, dict)]
    names = [name for name in dict.fromkeys(itertools.chain(*scores)) if name != "total"]
    if len(names) == 1 and all(of.get(names[0]) == of.get("total") for of in scores):
        return []
    return names


def middle_of(some: Round) -> Row:
    """The response that stands for a round while it is closed."""
    rows = [pair.trial for pair in some.pairs] or [each.row for each in some.shown]
    return rows[len(rows) // 2]


def text_of(row: Row, part: str) -> str:
    """The prompt, response or other text of a row; empty if it has none."""
    text = row.get(part)
    return text if isinstance(text, str) else ""


def _round(path: Path, number: int, span: _Span) -> Round:
    with path.open("rb") as handle:
        handle.seek(span.start)
        lines = handle.read(span.end - span.start).split(b"\n")
    numbered = [(at, line) for at, line in enumerate(lines, start=span.line) if line.strip()]
    found = [parsed(path, at, line) for at, line in numbered]
    rows = [row for row in found if _place(row) == (row.get("step"), number)]
    pairs = paired(rows)
    own = [row for row in rows if row.get("author") == "student"] if pairs else rows
    totals = [total for row in own if math.isfinite(total := _total(row))]
    mean = math.fsum(totals) / len(totals) if totals else None
    return Round(number, span.step, len(rows), mean, [] if pairs else ranked(rows), pairs)


def _place(row: Row) -> tuple[int, int] | None:
    """Step and round of a trial's response, None for any other row."""
    step, of = row.get("step"), row.get("round")
    if row.get("kind") == "rollout" and is_count(step) and is_count(of):
        return step, of
    return None


def _total(row: Row) -> float:
    scores = row.get("scores")
    total = scores.get("total") if isinstance(scores, dict) else None
    return float(total) if is_number(total) and math.isfinite(total) else -math.inf
