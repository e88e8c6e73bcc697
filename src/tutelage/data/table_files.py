"""Rows of files with several columns: JSON lines, CSV, Parquet or Arrow, or a hub data set."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tutelage.config import UserError
from tutelage.data.files import FORMATS, find_files, format_of, hub_files
from tutelage.data.readers import json_objects, readable, table_objects

TEST_NAME = re.compile(r"test\b|test[-_.]", re.IGNORECASE)


class TableFiles(NamedTuple):
    """Files of rows, in order."""

    files: tuple[Path, ...]
    example: str
    """A right line of JSON, for messages."""

    def rows(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every row, and where it stands: `pairs.jsonl, line 3`."""
        num_rows = 0
        for file in self.files:
            for where, row in _rows_of(file, self.example):
                num_rows += 1
                yield where, row
        if not num_rows:
            raise UserError(f"{self.files[0]} holds no row. Give a file with at least one.")

    def fingerprint(self) -> str:
        """Hash of the files' content, in order."""
        digests = []
        for file in self.files:
            with readable(file), file.open("rb") as stream:
                digests.append([file.suffixes, hashlib.file_digest(stream, "sha256").hexdigest()])
        return hashlib.sha256(json.dumps(digests).encode()).hexdigest()


def is_hub_name(path: str) -> bool:
    """Whether a path is rather the name of a data set on the hub."""
    if Path(path).expanduser().exists() or Path(path).suffix in (*FORMATS, ".csv", ".gz"):
        return False
    return re.fullmatch(r"[\w-][\w.-]*/[\w.-]+(@[\w./-]+)?", path) is not None


def find_tables(
    path: str, split: str, *, held_out: re.Pattern[str] = TEST_NAME
) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """The files at a path, or of a hub data set's split; and those of them that are held out.

    In a folder these are the ones whose names begin with `test`, or match another pattern.
    """
    place = Path(path).expanduser()
    if is_hub_name(path):
        return hub_files(path, split), ()
    if place.suffix == ".csv" and place.is_file():
        return (place,), ()
    if place.is_dir() and (tables := sorted(place.glob("*.csv"))):
        files = tuple(tables)
    else:
        files = find_files(place)
    if format_of(files[0]) == "text":
        raise UserError(
            f"{files[0]} is plain text, which has no columns. Give JSON lines, CSV, Parquet or "
            "Arrow."
        )
    tests = tuple(f for f in files if held_out.match(f.name)) if place.is_dir() else ()
    if len(tests) == len(files):
        return files, ()
    return tuple(file for file in files if file not in tests), tests


def _rows_of(file: Path, example: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if file.suffix == ".csv":
        yield from _csv_rows(file)
    elif format_of(file) == "json":
        for number, row, _ in json_objects(file, example):
            yield f"{file}, line {number}", row
    else:
        for number, row in table_objects(file):
            yield f"{file}, row {number}", row


def _csv_rows(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with (
        readable(file, UnicodeDecodeError, csv.Error),
        file.open(encoding="utf-8-sig", newline="") as stream,
    ):
        reader = csv.DictReader(stream, strict=True)
        for row in reader:
            where = f"{file}, line {reader.line_num}"
            if None in row or None in row.values():
                columns = len(reader.fieldnames or ())
                raise UserError(
                    f"{where} has more or fewer cells than the {columns} columns of line 1."
                )
            yield where, row
