"""Lists of checkpoints: CSV files that say how much training each one has behind it."""

import csv
from pathlib import Path
from typing import NamedTuple

from tutelage.config import UserError, nearest
from tutelage.data.readers import readable

UNITS = ("step", "words")


class Listed(NamedTuple):
    """One checkpoint of a list."""

    checkpoint: str
    """Its folder, or its name on the hub."""
    milestone: str
    """`step_1000`, or `words_7000000` in a list without steps."""
    position: dict[str, int]
    """Its `step`, or the `words` read by then, or both."""
    place: str
    """File and line."""


def is_list(target: str | Path) -> bool:
    """Whether what is to be measured is a list of checkpoints, by its name."""
    return str(target).lower().endswith(".csv")


def results_of(path: Path) -> Path:
    """The folder for results of a list's checkpoints: evals/<name of the list>, beside it."""
    return path.parent / "evals" / path.stem


def read_list(path: Path) -> list[Listed]:
    """The checkpoints of a CSV file, in the order of training.

    Its columns are `checkpoint` (a folder, from where the list is, or a name on the hub), and
    `step` or `words` (read so far) or both.
    """
    if not path.is_file():
        raise UserError(f"There is no list of checkpoints {path}.")
    found: dict[int, Listed] = {}
    with (
        readable(path, UnicodeDecodeError, csv.Error),
        path.open(encoding="utf-8-sig", newline="") as stream,
    ):
        reader = csv.DictReader(stream, strict=True)
        units = _units(path, list(reader.fieldnames or ()))
        for row in reader:
            place = f"{path}, line {reader.line_num}"
            position = {unit: _count(row[unit], unit, place) for unit in units}
            amount = position[units[0]]
            if amount in found:
                raise UserError(f"{place}: {units[0]} {amount} is in the list a second time.")
            checkpoint = _checkpoint(path, row["checkpoint"], place)
            found[amount] = Listed(checkpoint, f"{units[0]}_{amount}", position, place)
    if not found:
        raise UserError(f"{path} lists no checkpoint. Add a line for each, with its {units[0]}.")
    return [found[amount] for amount in sorted(found)]


def _units(path: Path, columns: list[str]) -> list[str]:
    """Which of `step` and `words` a list has."""
    missing = "step" if "checkpoint" in columns else "checkpoint"
    units = [unit for unit in UNITS if unit in columns]
    if missing == "checkpoint" or not units:
        raise UserError(
            f"{path} has no column {missing}.{nearest(missing, columns)} A list of checkpoints "
            "has the columns checkpoint, and step or words or both."
        )
    return units


def _count(cell: str | None, unit: str, place: str) -> int:
    if cell is None or not (cell.isascii() and cell.isdigit()):
        raise UserError(f"{place}: {unit} is {cell or 'missing'}, but it must be a whole number.")
    return int(cell)


def _checkpoint(path: Path, name: str, place: str) -> str:
    if not name:
        raise UserError(f"{place}: checkpoint is missing. Give a folder or a name on the hub.")
    beside = path.parent / Path(name).expanduser()
    if (beside / "checkpoints").is_dir():
        raise UserError(f"{place}: {name} is a run. Name one of its checkpoints.")
    return str(beside) if beside.exists() else name
