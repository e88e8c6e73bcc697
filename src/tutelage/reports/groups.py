"""Groups of runs as the reports read them: arms, each run with several seeds.

A group folder holds group.json (which run is which arm with which seed), its runs, and arms.json,
in which `tutelage.evals.arms` stores how the arms compare.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from tutelage.config import UserError
from tutelage.reports.json_lines import unreadable
from tutelage.reports.runs import Run, read_run

Item = TypeVar("Item")
MEASURES = {"half": "nAoA@.50", "average": "nAoA@[.5:.95]"}
AXES = {"steps": "steps", "words": "words seen", "updates": "optimiser updates"}


class Estimate(NamedTuple):
    """A mean over seeds, its 95 % interval (none of one seed), and each seed's value, if stored."""

    mean: float
    low: float | None
    high: float | None
    n: int
    values: tuple[float, ...] = ()


class Band(NamedTuple):
    """A curve of means over seeds between the ends of their 95 % intervals."""

    at: list[float]
    mean: list[float]
    low: list[float | None]
    high: list[float | None]


class Comparison(NamedTuple):
    """An arm on one axis: ages by measure, the baseline's over the same words, the difference."""

    num_words: int
    ages: dict[str, Estimate]
    baseline: dict[str, Estimate]
    difference: dict[str, Estimate]
    reason: str
    sentence: str


class Arm(NamedTuple):
    """One way to train."""

    name: str
    seeds: list[int]
    words: dict[str, int]
    """How many were measured, and how many are acquired in every run, and in none."""
    comparisons: dict[str, Comparison]
    vocabulary: dict[str, Band]
    surprisal: dict[str, Band]
    finals: dict[str, Estimate]


class Group(NamedTuple):
    """What a page shows of a group."""

    name: str
    baseline: str
    arms: list[Arm]
    """Empty until they have been compared."""
    rows: list[dict[str, Any]]
    """Arm, seed and run of each run."""
    left_out: dict[str, str]
    """Why runs do not count, by their names."""
    runs: list[Run]
    """Of each arm that has one, its first run; named as the arm, in the order of colours."""

    def colour(self, arm: str) -> int:
        """The number of an arm's colour: that of the run that stands for it."""
        return [run.name for run in self.runs].index(arm)


def group_in(paths: list[Path]) -> Path | None:
    """The group among these folders, if one is; it must be alone."""
    groups = [path for path in paths if (path / "group.json").is_file()]
    if groups and len({path.resolve() for path in paths}) > 1:
        raise UserError(
            f"{groups[0]} is a group of runs, and a page shows one group alone. Give only it, or "
            "runs."
        )
    return groups[0] if groups else None


def read_group(path: Path) -> Group:
    """A group folder; runs that are missing are no fault."""
    content = _read(path / "group.json", _rows)
    compared = _read(path / "arms.json", lambda found: found) if _has(path, "arms.json") else {}
    arms = _read(path / "arms.json", _arms) if compared else []
    first: dict[str, str] = {}
    for row in sorted(content, key=lambda row: row["run"] in _left_out(compared)):
        if _has(path / row["run"], "config.yaml"):
            first.setdefault(row["arm"], row["run"])
    order = [arm for arm in dict.fromkeys(row["arm"] for row in content) if arm in first]
    if not order:
        raise UserError(f"None of the runs of {path} has begun, so there is nothing to report.")
    return Group(
        name=path.resolve().name,
        baseline=str(compared.get("baseline", "")),
        arms=[arm for arm in arms if arm.name in first],
        rows=content,
        left_out=_left_out(compared),
        runs=[read_run(path / first[arm], arm) for arm in order],
    )


def _has(path: Path, name: str) -> bool:
    return (path / name).is_file()


def _left_out(compared: dict[str, Any]) -> dict[str, str]:
    return {row["run"]: row["reason"] for row in compared.get("left_out", ())}


def _rows(content: dict[str, Any]) -> list[dict[str, Any]]:
    rows = content["arms"]
    found = [
        {"arm": str(row["arm"]), "seed": int(row["seed"]), "run": str(row["run"])} for row in rows
    ]
    for row in found:
        if Path(row["run"]).name != row["run"]:
            raise ValueError(f"the run {row['run']!r} is not in the group's folder")
    return found


def _arms(content: dict[str, Any]) -> list[Arm]:
    return [
        Arm(
            name=name,
            seeds=[int(seed) for seed in facts["seeds"]],
            words=facts.get("words", {}),
            comparisons={axis: _comparison(row) for axis, row in facts["axes"].items()},
            vocabulary={axis: Band(**band) for axis, band in facts.get("vocabulary", {}).items()},
            surprisal={axis: Band(**band) for axis, band in facts.get("surprisal", {}).items()},
            finals=_estimates(facts.get("finals", {})),
        )
        for name, facts in content["arms"].items()
    ]


def _comparison(row: dict[str, Any]) -> Comparison:
    return Comparison(
        num_words=int(row.get("words", 0)),
        ages=_estimates(row.get("ages", {})),
        baseline=_estimates(row.get("baseline", {})),
        difference=_estimates(row.get("difference", {})),
        reason=str(row.get("reason", "")),
        sentence=str(row.get("sentence", "")),
    )


def _estimates(rows: dict[str, Any]) -> dict[str, Estimate]:
    return {
        name: Estimate(row["mean"], row["low"], row["high"], row["n"], tuple(row.get("values", ())))
        for name, row in rows.items()
    }


def _read(path: Path, understood: Callable[[dict[str, Any]], Item]) -> Item:
    """What is understood of a JSON file, or one sentence on why it is not."""
    try:
        return understood(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        why = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise unreadable(path, f"it is not as tutelage writes it ({why})") from error
