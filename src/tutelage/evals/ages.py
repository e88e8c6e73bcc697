"""Ages of acquisition of a run's words, from the surprisals stored at its milestones (EV-4)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tutelage.config import Config, UserError


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
        """The result over all milestones of a run, whose surprisals are stored."""
        from tutelage.evals.acquisition import acquisition
        from tutelage.evals.human_ages import read_ages

        if not (target / "checkpoints").is_dir():
            raise UserError(
                f"{target} is not a run, but ages are those of all milestones of one. "
                "Give the folder that a recipe wrote."
            )
        files = (target / "evals" / "surprisal").glob("[!.]*.json")
        stored = [json.loads(file.read_text()) for file in files]
        results = [(result["step"], result) for result in stored if "step" in result]
        human = {path.stem: read_ages(path) for path in self.human}
        return acquisition(results, human=human).result()
