"""Ages of acquisition of words, from the surprisals stored for a run's milestones (EV-4)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tutelage.config import Config, UserError
from tutelage.evals.checkpoint_list import UNITS, is_list, read_list, results_of


class Ages(Config):
    """When each word is acquired, by three definitions, from a run's stored word surprisals."""

    human: tuple[Path, ...] = ()
    """CSV files with ages at which people acquire words (Wordbank's shares by month, or ratings
    in years), to correlate with."""

    def check(self) -> None:
        """Refuse a file of human ages that can't be read."""
        for path in self.human:
            if not path.is_file():
                raise UserError(f"--human {path} is no file. Give a CSV file of words and ages.")

    def without_student(self, target: Path) -> dict[str, Any]:
        """The result over all milestones of a run, or of a list, whose surprisals are stored."""
        from tutelage.evals.acquisition import acquisition
        from tutelage.evals.human_ages import read_ages

        if is_list(target):
            results = _of_list(target)
        elif (target / "checkpoints").is_dir():
            files = (target / "evals" / "surprisal").glob("[!.]*.json")
            stored = [json.loads(file.read_text()) for file in files]
            results = [result for result in stored if "step" in result]
        else:
            raise UserError(
                f"{target} is not a run, but ages are those of all milestones of one. Give the "
                "folder that a recipe wrote, or a .csv list of checkpoints."
            )
        unit = "steps" if all("step" in result for result in results) else "words"
        at = "step" if unit == "steps" else "words"
        human = {path.stem: read_ages(path) for path in self.human}
        found = acquisition([(result[at], result) for result in results], human=human, unit=unit)
        return found.result()


def _of_list(path: Path) -> list[dict[str, Any]]:
    """The stored surprisals of a list's checkpoints, with the positions that the list gives."""
    results = []
    for listed in read_list(path):
        file = results_of(path) / "surprisal" / f"{listed.milestone}.json"
        stored = json.loads(file.read_text()) if file.is_file() else {}
        if stored.get("checkpoint") != listed.checkpoint:
            raise UserError(
                f"{listed.place}: no word surprisals of {listed.checkpoint} are stored yet. "
                f"Run tutelage eval {path} --suite surprisal first."
            )
        measured = {name: value for name, value in stored.items() if name not in UNITS}
        results.append({**measured, **listed.position})
    return results
