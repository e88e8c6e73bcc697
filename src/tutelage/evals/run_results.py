"""What a run of a group stored, how far it came, and what is stored of the group itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from tutelage.config import UserError
from tutelage.run_folder import write_json


class Unusable(NamedTuple):
    """Why a run can't be compared."""

    reason: str


def has_begun(folder: Path) -> bool:
    """Whether there is a run at all."""
    return (folder / "config.yaml").is_file()


def unfinished(folder: Path, step: int) -> Unusable | None:
    """Why a run whose last milestone is at an update has not come to its end; None if it has."""
    import yaml

    path = folder / "environment.json"
    sessions = read_object(path).get("sessions") if path.exists() else None
    planned = sessions[-1].get("steps") if sessions else None
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    # Nobody knows beforehand how far a run with a budget goes.
    has_budget = any((config.get("budget") or {}).values())
    if planned is None or step >= planned or has_budget:
        return None
    return Unusable(f"it is not finished: its last milestone is at update {step:,} of {planned:,}")


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}). Remove or restore it.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} does not hold a JSON object. Remove or restore it.")
    return content


def write_of_group(path: Path, content: Any) -> None:
    """Store something in a group's folder."""
    try:
        write_json(path, content)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written: {error.strerror or error}. "
            "Copy the group to a folder that you may write to."
        ) from error
