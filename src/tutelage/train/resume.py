"""Resume points: everything the rest of a run depends on, saved between two rounds.

A point is a folder `resume/<round>` with the state of student, optimisers, schedules, lessons and
random generators, and a manifest that holds the progress, the length of the JSON-lines files, and
a SHA-256 of every file. It is written under a temporary name and renamed; the last two are kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tutelage.config import UserError
from tutelage.run_folder import Ledger, RunFolder, write_folder, write_json

if TYPE_CHECKING:
    import torch

    from tutelage.train.compute import Compute
    from tutelage.train.loop import Learner, Progress

VERSION = 1
KEEP = 2


class ResumePoints:
    """Saves and restores the state of one run."""

    def __init__(
        self,
        folder: RunFolder,
        student: torch.nn.Module,
        learners: Mapping[str, Learner],
        compute: Compute,
    ):
        self.folder = folder
        self.student = student
        self.learners = learners
        self.compute = compute

    def save(self, progress: Progress) -> None:
        """Write a point, on all processes together; then drop points older than the last two."""
        state = self._training_state()
        points = self.folder.resume
        shares = points / ".random"
        if self.compute.is_main:
            shares.mkdir(parents=True, exist_ok=True)
        self.compute.barrier()
        _save_tensors(shares / f"random_{self.compute.rank}.pt", _random_state())
        self.compute.barrier()
        if self.compute.is_main:
            self.folder.write_ledger(progress.ledger)
            write_folder(
                points / f"{progress.round:08d}", lambda path: self._fill(path, state, progress)
            )
            shares.rmdir()
            for old in point_folders(self.folder)[KEEP:]:
                shutil.rmtree(old)
        self.compute.barrier()

    def _fill(self, path: Path, state: dict[str, Any], progress: Progress) -> None:
        _save_tensors(path / "state.pt", state)
        for share in (path.parent / ".random").iterdir():
            os.replace(share, path / share.name)
        manifest = {
            "version": VERSION,
            "step": progress.step,
            "round": progress.round,
            "ledger": asdict(progress.ledger),
            "num_processes": self.compute.num_processes,
            "metrics_bytes": _synced_size(self.folder.metrics_path),
            "samples_bytes": _synced_size(self.folder.samples_path),
            "sha256": {file.name: _sha256(file) for file in sorted(path.iterdir())},
        }
        write_json(path / "manifest.json", manifest)

    def restore(self, progress: Progress) -> tuple[str | None, list[str]]:
        """Bring everything back to the newest sound point.

        Returns the point's name (none: the run starts anew) and a sentence for every point that
        had to be passed over.
        """
        import torch

        point, complaints = newest_point(self.folder)
        if self.compute.is_main:
            _truncate(self.folder, point)
        self.compute.barrier()
        if point is None:
            return None, complaints
        manifest = json.loads((point / "manifest.json").read_text())
        if manifest["num_processes"] != self.compute.num_processes:
            raise UserError(
                f"{self.folder.path} was trained by {manifest['num_processes']} processes, but "
                f"{self.compute.num_processes} resume it. Launch as many as before."
            )
        state = torch.load(point / "state.pt", map_location="cpu", weights_only=True)
        self._restore_training_state(state)
        _restore_random(torch.load(point / f"random_{self.compute.rank}.pt", weights_only=True))
        progress.step, progress.round = manifest["step"], manifest["round"]
        progress.ledger = Ledger(**manifest["ledger"])
        return point.name, complaints

    def _training_state(self) -> dict[str, Any]:
        from torch.distributed.checkpoint.state_dict import (
            StateDictOptions,
            get_model_state_dict,
            get_optimizer_state_dict,
        )

        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        scaler = self.compute.scaler
        return {
            "student": get_model_state_dict(self.student, options=options),
            "learners": {
                name: {
                    # PyTorch takes a step with an optimiser to ask one that has taken none.
                    "optimizer": get_optimizer_state_dict(
                        self.student, learner.optimizer, options=options
                    )
                    if learner.optimizer.state
                    else None,
                    "scheduler": learner.scheduler.state_dict(),
                    "lesson": learner.lesson.state_dict(),
                }
                for name, learner in self.learners.items()
            },
            "scaler": scaler.state_dict() if scaler is not None else None,
        }

    def _restore_training_state(self, state: dict[str, Any]) -> None:
        from torch.distributed.checkpoint.state_dict import (
            StateDictOptions,
            set_model_state_dict,
            set_optimizer_state_dict,
        )

        options = StateDictOptions(full_state_dict=True)
        for name, learner in self.learners.items():
            learner.lesson.load_state_dict(state["learners"][name]["lesson"])
        set_model_state_dict(self.student, state["student"], options=options)
        for name, learner in self.learners.items():
            saved = state["learners"][name]
            if saved["optimizer"] is not None:
                set_optimizer_state_dict(
                    self.student, learner.optimizer, saved["optimizer"], options=options
                )
            learner.scheduler.load_state_dict(saved["scheduler"])
        if state["scaler"] is not None:
            self.compute.scaler.load_state_dict(state["scaler"])  # pyright: ignore


def point_folders(folder: RunFolder) -> list[Path]:
    """The points of a run, newest first."""
    if not folder.resume.is_dir():
        return []
    return sorted((p for p in folder.resume.iterdir() if p.name.isdigit()), reverse=True)


def newest_point(folder: RunFolder) -> tuple[Path | None, list[str]]:
    """The newest point whose files are whole, and what is wrong with those that are newer."""
    complaints = []
    for point in point_folders(folder):
        problem = _problem(folder, point)
        if problem is None:
            return point, complaints
        complaints.append(f"{point} cannot be used: {problem}.")
    return None, complaints


def _problem(folder: RunFolder, point: Path) -> str | None:
    """What is wrong with a point, in words."""
    try:
        manifest = json.loads((point / "manifest.json").read_text())
        expected = manifest["sha256"]
        sizes = manifest["metrics_bytes"], manifest["samples_bytes"]
    except (OSError, ValueError, KeyError, TypeError):
        return "its manifest.json is missing or damaged"
    if manifest["version"] != VERSION:
        return f"another version of tutelage wrote it (format {manifest['version']})"
    for name, digest in expected.items():
        if not (point / name).is_file():
            return f"{name} is missing"
        if _sha256(point / name) != digest:
            return f"{name} is damaged (its checksum differs)"
    for path, size in zip((folder.metrics_path, folder.samples_path), sizes, strict=True):
        if (path.stat().st_size if path.exists() else 0) < size:
            return f"{path.name} is shorter than when this point was saved"
    return None


def _truncate(folder: RunFolder, point: Path | None) -> None:
    """Cut the JSON-lines files back to the point, so that no row is there twice."""
    manifest = json.loads((point / "manifest.json").read_text()) if point else {}
    sizes = manifest.get("metrics_bytes", 0), manifest.get("samples_bytes", 0)
    for path, size in zip((folder.metrics_path, folder.samples_path), sizes, strict=True):
        if path.exists():
            os.truncate(path, size)


def _random_state() -> dict[str, Any]:
    import torch

    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def _restore_random(state: dict[str, Any]) -> None:
    import torch

    torch.set_rng_state(state["cpu"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])


def _save_tensors(path: Path, value: Any) -> None:
    import torch

    with open(path, "wb") as handle:
        torch.save(value, handle)
        handle.flush()
        os.fsync(handle.fileno())


def _synced_size(path: Path) -> int:
    """The length of a file, once it is on disk."""
    if not path.exists():
        return 0
    with open(path, "rb") as handle:
        os.fsync(handle.fileno())
    return path.stat().st_size


def _sha256(path: Path) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
