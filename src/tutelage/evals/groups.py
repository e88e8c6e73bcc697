"""Groups of runs: which run is which arm with which seed, and how the arms compare."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from tutelage.config import UserError
from tutelage.evals.arms import compare_ages
from tutelage.evals.finals import compare_finals
from tutelage.evals.run_results import write_of_group

AGED = ("tnd",)
"""Recipes whose arms are compared by the ages at which words are acquired."""


class Group(NamedTuple):
    """The content of group.json."""

    recipe: str
    rows: list[dict[str, Any]]
    """Arm, seed and run, in the order in which arms are to be shown."""


def write_arms(group: Path) -> dict[str, Any]:
    """Compare the arms of a group folder, store and return the result as its arms.json.

    Arms are compared by ages of words if the group's recipe is about them, and else by their last
    measures. Runs that are missing, unfinished or without results are named and left out.
    """
    recipe, rows = read_group(group)
    result = (compare_ages if recipe in AGED else compare_finals)(group, rows)
    write_of_group(group / "arms.json", result)
    return result


def read_group(group: Path) -> Group:
    """What a group's group.json says; without a recipe, it is of tnd."""
    path = group / "group.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows = [
            {"arm": str(row["arm"]), "seed": int(row["seed"]), "run": str(row["run"])}
            for row in content["arms"]
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} can't be read ({type(error).__name__}: {error}). It must hold "
            '{"recipe": …, "arms": [{"arm": …, "seed": …, "run": …}, …]}.'
        ) from error
    outside = [row["run"] for row in rows if Path(row["run"]).name != row["run"]]
    if outside:
        raise UserError(f"{path} names the run {outside[0]!r}, but runs lie in the group's folder.")
    if not rows:
        raise UserError(f"{path} names no runs.")
    return Group(str(content.get("recipe", "tnd")), rows)
