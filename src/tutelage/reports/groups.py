"""Groups of runs as the reports read them: arms, each run with several seeds.

A group folder holds group.json (which run is which arm with which seed), its runs, and arms.json,
in which `tutelage.evals.groups` stores how the arms compare: by ages of words, or by their last
measures alone.
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
    differences: dict[str, Estimate]
    """Last measures less the baseline's, where arms are compared by these."""


class Point(NamedTuple):
    """Where an arm lies, over the seeds that have both measures."""

    score: Estimate
    diversity: Estimate


class TradeOff(NamedTuple):
    """What a score costs in diversity."""

    score: str | None
    """The measure; none if there is no score."""
    diversity: str
    points: dict[str, Point]
    front: list[str]
    """Arms that no other beats, the most diverse first."""
    sentences: list[str]


class Compared(NamedTuple):
    """The content of arms.json."""

    baseline: str
    arms: list[Arm]
    left_out: dict[str, str]
    trade_off: TradeOff | None = None
    """None where arms are compared by ages of words."""


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
    trade_off: TradeOff | None
    """None where arms are compared by ages of words, or not yet."""

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
    rows = _read(path / "group.json", _rows)
    stored = path / "arms.json"
    found = _read(stored, _compared) if stored.is_file() else Compared("", [], {})
    first: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: row["run"] in found.left_out):
        if (path / row["run"] / "config.yaml").is_file():
            first.setdefault(row["arm"], row["run"])
    order = [arm for arm in dict.fromkeys(row["arm"] for row in rows) if arm in first]
    if not order:
        raise UserError(f"None of the runs of {path} has begun, so there is nothing to report.")
    return Group(
        name=path.resolve().name,
        baseline=found.baseline,
        arms=[arm for arm in found.arms if arm.name in first],
        rows=rows,
        left_out=found.left_out,
        runs=[read_run(path / first[arm], arm) for arm in order],
        trade_off=found.trade_off,
    )


def _rows(content: dict[str, Any]) -> list[dict[str, Any]]:
    rows = content["arms"]
    found = [
        {"arm": str(row["arm"]), "seed": int(row["seed"]), "run": str(row["run"])} for row in rows
    ]
    for row in found:
        if Path(row["run"]).name != row["run"]:
            raise ValueError(f"the run {row['run']!r} is not in the group's folder")
    return found


def _compared(content: dict[str, Any]) -> Compared:
    left_out = {str(row["run"]): str(row["reason"]) for row in content["left_out"]}
    traded = _trade_off(content) if "trade_off" in content else None
    return Compared(str(content["baseline"]), _arms(content), left_out, traded)


def _arms(content: dict[str, Any]) -> list[Arm]:
    return [
        Arm(
            name=name,
            seeds=[int(seed) for seed in facts["seeds"]],
            words=facts.get("words", {}),
            comparisons={axis: _comparison(row) for axis, row in facts.get("axes", {}).items()},
            vocabulary={axis: Band(**band) for axis, band in facts.get("vocabulary", {}).items()},
            surprisal={axis: Band(**band) for axis, band in facts.get("surprisal", {}).items()},
            finals=_estimates(facts.get("finals", {})),
            differences=_estimates(facts.get("differences", {})),
        )
        for name, facts in content["arms"].items()
    ]


def _trade_off(content: dict[str, Any]) -> TradeOff:
    found = content["trade_off"]
    return TradeOff(
        score=found["score"],
        diversity=found["diversity"],
        points={name: Point(**_estimates(row)) for name, row in found["points"].items()},
        front=[str(name) for name in found["front"]],
        sentences=[str(sentence) for sentence in content["sentences"]],
    )


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
