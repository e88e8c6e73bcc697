"""The run folder: a format that training writes and reports, evaluations and people read.

Files are written to a temporary name in the same folder and renamed, so that a reader never sees
half a file; JSON lines are appended with one write each. See docs/run-folder.md.
"""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tutelage.config import UserError
from tutelage.environment import environment


@dataclass
class Ledger:
    """What a student was exposed to: words (split at white space) and tokens (its own)."""

    read_words: int = 0
    read_tokens: int = 0
    prompt_words: int = 0
    prompt_tokens: int = 0
    demonstrated_words: int = 0
    demonstrated_tokens: int = 0
    generated_words: int = 0
    generated_tokens: int = 0
    judged_words: int = 0
    judged_tokens: int = 0

    def add(self, exposure: Mapping[str, int]) -> None:
        """Count further words and tokens, by the names of the fields."""
        for name, number in exposure.items():
            setattr(self, name, getattr(self, name) + number)

    def metrics(self) -> dict[str, int]:
        """The counts that are not zero, as metric keys `budget/…`."""
        return {f"budget/{name}": number for name, number in asdict(self).items() if number}


class RunFolder:
    """One run on disk. Holds a lock while a process writes to it."""

    def __init__(self, path: Path):
        self.path = path
        self.metrics_path = path / "metrics.jsonl"
        self.samples_path = path / "samples.jsonl"
        self.ledger_path = path / "ledger.json"
        self.config_path = path / "config.yaml"
        self.environment_path = path / "environment.json"
        self.checkpoints = path / "checkpoints"
        self.resume = path / "resume"
        self.evals = path / "evals"
        self.report = path / "report.html"

    @classmethod
    def create(cls, path: Path, *, config: str, seed: int) -> RunFolder:
        """A new run; the folder must not exist, or be empty."""
        refuse_used(path)
        folder = cls(path)
        path.mkdir(parents=True, exist_ok=True)
        folder.checkpoints.mkdir()
        write_json(folder.environment_path, environment(seed))
        write_text(folder.ledger_path, json.dumps(asdict(Ledger())))
        write_text(folder.config_path, config)
        return folder

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """An existing run."""
        if not (path / "config.yaml").is_file():
            why = "it has no config.yaml" if path.is_dir() else "there is no such folder"
            raise UserError(f"{path} is not a run: {why}. Give a folder that a recipe wrote.")
        return cls(path)

    def append_metrics(self, row: Mapping[str, Any]) -> None:
        """Add one row to metrics.jsonl."""
        append_line(self.metrics_path, row)

    def append_sample(self, row: Mapping[str, Any]) -> None:
        """Add one row to samples.jsonl."""
        append_line(self.samples_path, row)

    def write_ledger(self, ledger: Ledger) -> None:
        """Replace ledger.json."""
        write_json(self.ledger_path, asdict(ledger))

    def write_eval(self, name: str, milestone: str, result: Mapping[str, Any]) -> Path:
        """Store an evaluation's result as evals/<name>/<milestone>.json."""
        path = self.evals / name / f"{milestone}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"eval": name, "milestone": milestone, **result})
        return path

    def add_session(
        self, *, resumed_from: str | None, num_processes: int, steps: int | None
    ) -> None:
        """Note in environment.json that training began or went on, and to which step it goes."""
        facts = json.loads(self.environment_path.read_text())
        facts["sessions"].append(
            {
                "started": _now(),
                "resumed_from": resumed_from,
                "processes": num_processes,
                "steps": steps,
            }
        )
        write_json(self.environment_path, facts)

    def newest_checkpoint(self) -> Path | None:
        """The checkpoint with the most steps, if there is one."""
        found = [
            (json.loads(mark.read_text())["step"], mark.parent)
            for mark in self.checkpoints.glob("[!.]*/milestone.json")
        ]
        return max(found)[1] if found else None

    def clear_leftovers(self) -> None:
        """Remove the temporary folders of a process that was killed while it wrote."""
        for parent in (self.checkpoints, self.resume):
            for leftover in parent.glob(".*"):
                shutil.rmtree(leftover)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Refuse a second process that would write to this run at the same time."""
        with open(self.path / ".lock", "w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"{self.path} is being written by another process. "
                    "Wait until it ends, or choose another --out."
                ) from None
            yield


def refuse_used(path: Path) -> None:
    """Raise unless a new run can be made at this path."""
    if path.is_file():
        raise UserError(f"--out {path} is a file. Choose a folder that does not exist yet.")
    if path.is_dir() and any(path.iterdir()):
        continues = " To continue that run: --resume " + str(path) + "."
        raise UserError(
            f"--out {path} exists and is not empty; a run is never overwritten. Choose another."
            + (continues if (path / "config.yaml").is_file() else "")
        )


def default_path(recipe: str) -> Path:
    """`runs/<recipe>-<date>-<time>`, with a number behind it if that is taken."""
    return unused(Path("runs") / f"{recipe}-{datetime.now():%Y%m%d-%H%M%S}")


def unused(stem: Path) -> Path:
    """The path, with a number behind it if that is taken."""
    path, number = stem, 2
    while path.exists():
        path, number = stem.with_name(f"{stem.name}-{number}"), number + 1
    return path


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON-lines file; an unterminated last line (a run in progress) is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1]]


def write_text(path: Path, text: str) -> None:
    """Write a file under a temporary name, then rename it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file under a temporary name, then rename it; NaN and infinity become null."""
    text = json.dumps(_finite(value), indent=1, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def write_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Let `fill` write a folder under a temporary name, then rename it, replacing an old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir()
        fill(temporary)
        if path.exists():
            # A folder can't be swapped in one step: the old one goes first.
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _now() -> str:
    return datetime.fromtimestamp(time.time()).astimezone().isoformat(timespec="seconds")


def disk_is_full(error: BaseException | None) -> bool:
    """Whether an error, or one behind it, says that nothing more can be written."""
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    while error is not None:
        if isinstance(error, OSError) and error.errno in full:
            return True
        # Libraries written in Rust (safetensors, tokenizers) put the number into their text.
        if any(f"os error {number}" in str(error) for number in full):
            return True
        error = error.__cause__ or error.__context__
    return False


def append_line(path: Path, row: Mapping[str, Any]) -> None:
    """Add one row to a JSON-lines file; a full disk leaves no half of it."""
    line = json.dumps(_finite(row), ensure_ascii=False, allow_nan=False) + "\n"
    with open(path, "ab", buffering=0) as handle:
        end = handle.tell()
        written = handle.write(line.encode())
        if written < len(line.encode()):  # a full disk leaves no half line
            handle.truncate(end)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def _finite(value: Any) -> Any:
    """The same value with NaN and infinity, which JSON lacks, as null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
