"""What `tutelage eval` measures: the milestones of a run, a list of checkpoints, or one of them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from tutelage.commands.generate import resolve
from tutelage.config import UserError
from tutelage.evals.checkpoint_list import Listed, is_list, read_list, results_of
from tutelage.run_folder import RunFolder


class Subject(NamedTuple):
    """A checkpoint to measure, and where its results go."""

    name: str
    milestone: str
    results: Path
    position: dict[str, int]

    def facts(self) -> dict[str, Any]:
        """What is stored of it."""
        return {"milestone": self.milestone, "checkpoint": self.name, **self.position}

    def fingerprint(self) -> str:
        """Hash of its weights, or its name if it is on the hub."""
        return content_hash(Path(self.name), "*.safetensors")


def content_hash(path: Path, pattern: str = "*") -> str:
    """Hash of the names and contents of a file, or of the files in a folder."""
    digest = hashlib.sha256(path.name.encode())
    files = [path] if path.is_file() else sorted(path.rglob(pattern))
    for file in filter(Path.is_file, files):
        with open(file, "rb") as handle:
            digest.update(file.name.encode() + hashlib.file_digest(handle, "sha256").digest())
    return digest.hexdigest()


def subjects(target: str) -> list[Subject]:
    """All milestones of a run or all of a list, in order, or the one checkpoint that is named."""
    path = Path(target).expanduser()
    if is_list(path):
        return [_of_list(listed, results_of(path)) for listed in read_list(path)]
    if (path / "checkpoints").is_dir():
        marks = [
            (json.loads(mark.read_text()), mark.parent)
            for mark in (path / "checkpoints").glob("[!.]*/milestone.json")
        ]
        if not marks:
            raise UserError(f"The run {target} has no milestone yet.")
        marks.sort(key=lambda mark: mark[0]["step"])
        return [_subject(folder, facts, RunFolder(path).evals) for facts, folder in marks]
    folder = Path(resolve(target))
    mark = folder / "milestone.json"
    if mark.is_file() and folder.resolve().parent.name == "checkpoints":
        evals = RunFolder(folder.resolve().parent.parent).evals
        return [_subject(folder, json.loads(mark.read_text()), evals)]
    return [Subject(str(folder), folder.name, Path("evals"), {})]


def _of_list(listed: Listed, results: Path) -> Subject:
    try:
        checkpoint = resolve(listed.checkpoint)
    except UserError as error:
        raise UserError(f"{listed.place}: {error}") from None
    return Subject(checkpoint, listed.milestone, results, listed.position)


def _subject(folder: Path, facts: dict[str, Any], evals: Path) -> Subject:
    position = {name: facts[name] for name in ("step", "tokens", "words")}
    return Subject(str(folder), facts["milestone"], evals, position)
