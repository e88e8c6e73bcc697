"""A run's responses and statistics as CSV files (RFC 4180), for spreadsheets (PPO-4).

Both are written anew each time, row by row, from `samples.jsonl` and `metrics.jsonl`: so they
never disagree with those, and a resumed run ends with the files of one that was never stopped.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Row = dict[str, Any]
RESPONSE_COLUMNS = (
    "prompt", "response", "reward", "raw_answer", "step", "round", "finish", "num_tokens",
)  # fmt: skip


def write_spreadsheets(run: Path) -> None:
    """Write `meta_data/generated_outputs.csv` and `meta_data/training_stats.csv` of a run.

    The first has a row for each response that a reward scored, with the reward, each of its terms
    and the judge's raw answer, if a judge gave one; the second one for each row of metrics.jsonl.
    A column that a row has no value for is empty.
    """
    folder = run / "meta_data"
    folder.mkdir(exist_ok=True)
    _write(folder / "generated_outputs.csv", lambda: _responses(run), RESPONSE_COLUMNS)
    _write(folder / "training_stats.csv", lambda: _lines(run / "metrics.jsonl"), ("step", "round"))


def _responses(run: Path) -> Iterator[Row]:
    """What samples.jsonl says of responses that a reward scored."""
    for row in _lines(run / "samples.jsonl"):
        if row["kind"] == "rollout":
            scores = dict(row["scores"])
            told = {name: row.get(name) for name in RESPONSE_COLUMNS}
            yield {
                **told,
                "reward": scores.pop("total"),
                **{f"reward/{name}": score for name, score in scores.items()},
            }


def _write(path: Path, rows: Callable[[], Iterator[Row]], first: tuple[str, ...]) -> None:
    """Write rows under a temporary name, then rename the file; reads them twice, keeps none."""
    columns = dict.fromkeys(first)
    for row in rows():
        columns.update(dict.fromkeys(row))
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "w", encoding="utf-8", newline="") as handle:
            writer = csv.DictWriter(handle, list(columns))
            writer.writeheader()
            writer.writerows(rows())
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _lines(path: Path) -> Iterator[Row]:
    """The rows of a JSON-lines file; an unterminated last line is left out."""
    if not path.exists():
        return
    with open(path, encoding="utf-8", newline="\n") as handle:
        for line in handle:
            if line.endswith("\n"):
                yield json.loads(line)
