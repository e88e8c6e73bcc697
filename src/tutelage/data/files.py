"""A corpus in files: which files a path means, their documents in order, their content's hash."""

import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path

from tutelage.config import UserError
from tutelage.data.readers import (
    Document,
    check_table,
    read_json,
    read_table,
    read_text,
    readable,
)

FORMATS = {
    **dict.fromkeys((".jsonl", ".json"), "json"),
    **dict.fromkeys((".txt", ".text", ".train", ".dev", ".test"), "text"),
    **dict.fromkeys((".parquet",), "parquet"),
    **dict.fromkeys((".arrow",), "arrow"),
}
READ_VERSION = 1
"""Raised when the same files would give other documents, so that no old cache is used."""


@dataclass(frozen=True)
class Files:
    """Files of one format, and how their documents are read."""

    files: tuple[Path, ...]
    column: str
    document: Document
    fraction: float
    seed: int

    def check(self) -> None:
        """Refuse, from the first rows and the schemas alone, what cannot be read."""
        if format_of(self.files[0]) in ("parquet", "arrow"):
            for file in self.files:
                check_table(file, self.column)
        first = list(islice(self._all_documents(), 1 if self.document == "file" else 100))
        if not first:
            raise UserError(f"{self.files[0]} holds no text: every document in it is blank.")

    def documents(self) -> Iterator[str]:
        """Every document in order, or a seeded sample of them in the same order."""
        if self.fraction == 1:
            return self._all_documents()
        draw = random.Random(self.seed).random
        return (text for text in self._all_documents() if draw() < self.fraction)

    def fingerprint(self) -> str:
        """Hash of the files' content, in order, and of all that changes what is read."""
        digests = []
        for file in self.files:
            with readable(file), file.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            digests.append([format_of(file), file.suffix == ".gz", digest])
        parts = [READ_VERSION, digests, self.column, self.document, self.fraction, self.seed]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def _all_documents(self) -> Iterator[str]:
        for file in self.files:
            match format_of(file):
                case "text":
                    yield from read_text(file, self.document)
                case "json":
                    yield from read_json(file, self.column)
                case _:
                    yield from read_table(file, self.column)


def find_files(path: Path) -> tuple[Path, ...]:
    """The file itself, or the folder's files of a known type, sorted by their names."""
    path = path.expanduser()
    if not path.exists():
        raise UserError(f"{path} does not exist. Give the path of a file or of a folder of files.")
    files = _folder(path) if path.is_dir() else (path,)
    known = ", ".join(FORMATS)
    if path.is_dir() and not files:
        raise UserError(f"{path} holds no file of a known type ({known}, or .gz of text or JSON).")
    if format_of(files[0]) is None:
        raise UserError(f"{path} is of no known type: its name must end in {known}, or add .gz.")
    formats = {format_of(file): file for file in files}
    if len(formats) > 1:
        one, other, *_ = formats.values()
        raise UserError(
            f"{path} holds files of several formats ({one.name}, {other.name}). "
            "Give one file, or a folder whose files have one format."
        )
    if not any(file.stat().st_size for file in files):
        raise UserError(f"{path} is empty: it holds no text.")
    return tuple(file for file in files if file.stat().st_size)


def format_of(file: Path) -> str | None:
    """Format that the file's name says, or None; text and JSON may be compressed as .gz."""
    if file.suffix == ".gz":
        inner = FORMATS.get(Path(file.stem).suffix)
        return inner if inner in ("text", "json") else None
    return FORMATS.get(file.suffix)


@cache
def hub_files(
    name: str, split: str, folder: str | None = None, config: str | None = None
) -> tuple[Path, ...]:
    """Local Arrow files of a hub data set's split, fetched when they are not there yet.

    Args:
        name: `owner/name`, or `owner/name@revision`.
        split: Name of a whole split.
        folder: Folder of the data set that holds it, where there are several.
        config: Configuration of the data set, where there are several.
    """
    import datasets
    from datasets.exceptions import DatasetsError

    repository, _, revision = name.partition("@")
    try:
        loaded = datasets.load_dataset(
            repository, config, data_dir=folder, split=split, revision=revision or None
        )
    except (OSError, ValueError, RuntimeError, DatasetsError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise UserError(
            f"{name} (split {split}) cannot be loaded from the hub: {reason}. "
            "Check the name, split and network, or give path."
        ) from error
    assert isinstance(loaded, datasets.Dataset)
    return tuple(Path(file["filename"]) for file in loaded.cache_files)


def _folder(path: Path) -> tuple[Path, ...]:
    """Files of a saved data set in its own order, else those of a known type by name."""
    if (path / "dataset_dict.json").exists():
        splits = json.loads((path / "dataset_dict.json").read_text())["splits"]
        raise UserError(
            f"{path} is a saved data set with the splits {', '.join(splits)}. "
            f"Give the folder of one, such as {path / splits[0]}."
        )
    if (path / "state.json").exists() and (path / "dataset_info.json").exists():
        state = json.loads((path / "state.json").read_text())
        return tuple(path / part["filename"] for part in state["_data_files"])
    files = (file for file in path.rglob("*") if file.is_file() and format_of(file))
    parts = ((file.relative_to(path).parts, file) for file in files)
    return tuple(f for names, f in sorted(parts) if not any(n.startswith(".") for n in names))
