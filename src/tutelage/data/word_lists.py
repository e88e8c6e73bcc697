"""Lists of words without contexts, such as children's vocabulary lists (CDI) and norms.

A list names words; `find_words` finds contexts for them in a corpus.
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tutelage.config import UserError
from tutelage.data.readers import readable
from tutelage.data.word_files import load_words

TABLES = {".csv": ",", ".tsv": "\t"}
COLUMNS = ("word", "definition")


def load_list(path: Path) -> dict[str, str]:
    """The words of a file in its order, each with its category if the file has one.

    - Plain text: a word a line.
    - CSV, or TSV with tabs: a column `word` or `definition` (Wordbank's), perhaps `category`.
    - JSON lines or JSON: a word set, whose contexts are left aside.

    In text and tables, a remark in brackets and a star are no part of a word, and `/` stands
    between two words: `inside/in`, `chicken (animal)`. Of a word in several rows, the first counts.
    """
    if path.suffix in (".jsonl", ".json"):
        return {word.word: word.category for word in load_words(path).words}
    if path.suffix not in (".txt", *TABLES):
        raise UserError(
            f"{path} is no list of words: its name must end in .txt, .csv, .tsv, .json or .jsonl."
        )
    if not path.is_file():
        raise UserError(f"{path} does not exist. Give a file that lists words.")
    words: dict[str, str] = {}
    with readable(path, UnicodeDecodeError, csv.Error):
        for entry, category in _text(path) if path.suffix == ".txt" else _table(path):
            for word in spellings(entry):
                words.setdefault(word, category)
    if not words:
        raise UserError(f"{path} holds no words. In plain text, give one a line.")
    return words


def spellings(entry: str) -> list[str]:
    """The words that an entry of a vocabulary list stands for."""
    words = re.sub(r"\([^)]*\)|\*", "", entry).split("/")
    return [" ".join(word.split()) for word in words if word.strip()]


def _text(path: Path) -> Iterator[tuple[str, str]]:
    for line in path.read_text("utf-8-sig").splitlines():
        yield line, ""


def _table(path: Path) -> Iterator[tuple[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader: Any = csv.DictReader(stream, delimiter=TABLES[path.suffix], strict=True)
        columns = list(reader.fieldnames or ())
        name = next((name for name in COLUMNS if name in columns), None)
        if name is None:
            raise UserError(
                f"{path} has no column word or definition; it has {', '.join(columns) or 'none'}."
            )
        for row in reader:
            yield row[name] or "", row.get("category") or ""
