"""Rows of prompt files, with all their columns and the place where each stands."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from tutelage.config import UserError
from tutelage.data.files import Files, find_files, format_of, hub_files
from tutelage.data.grammar import NurseryCorpus
from tutelage.data.readers import Document, json_rows, table_rows, text_rows

RESERVED = ("prompts", "responses")
"""Names that a reward's other arguments have."""
TAGS = re.compile(r"\s*(\[[^\]]*\]\s*)*")


class Row(NamedTuple):
    """A document or prompt, its further columns, and where it is: `source` counts from 0."""

    text: str
    columns: dict[str, Any]
    source: int = 0
    place: int = 1


class Texts(Protocol):
    """Documents or prompts in order."""

    def rows(self) -> Iterator[Row]:
        """Every one, in the same order each time."""
        ...

    def sources(self) -> list[str]:
        """How each source and its places are called in messages: `questions.jsonl, line`."""
        ...

    def fingerprint(self) -> str:
        """Hash of the content: equal only when the rows are equal."""
        ...


@dataclass(frozen=True)
class PromptFiles:
    """Files of one format with a text column, or plain text."""

    files: tuple[Path, ...]
    column: str
    document: Document = "line"

    @classmethod
    def find(
        cls, path: Path | None, hub: str, split: str, column: str, document: Document
    ) -> PromptFiles:
        """Those at a path, or else a hub data set's."""
        files = find_files(path) if path is not None else hub_files(hub, split)
        return cls(files, column, document)

    def check(self, *, is_whole: bool) -> None:
        """Refuse, from the first rows alone, what cannot be read."""
        self._corpus().check()
        for row in islice(self.rows(), 100):
            refuse_reserved(row, self.sources())
            if is_whole:
                refuse_blank(row, self.sources())

    def rows(self) -> Iterator[Row]:
        """Every row, in the files' order; blank ones too, but for blank lines of plain text."""
        for source, file in enumerate(self.files):
            for place, text, columns in self._rows_of(file):
                yield Row(text, columns, source, place)

    def sources(self) -> list[str]:
        """How each file and its places are called in messages: `questions.jsonl, line`."""
        place = {"text": "line" if self.document == "line" else "document", "json": "line"}
        return [f"{file}, {place.get(format_of(file) or '', 'row')}" for file in self.files]

    def fingerprint(self) -> str:
        """Hash of the files' content and of how they are read."""
        return self._corpus().fingerprint()

    def _corpus(self) -> Files:
        return Files(self.files, self.column, self.document, 1.0, 0)

    def _rows_of(self, file: Path) -> Iterator[tuple[int, str, dict[str, Any]]]:
        if format_of(file) == "text":
            yield from ((place, text, {}) for place, text in text_rows(file, self.document))
            return
        read: Callable[..., Any] = json_rows if format_of(file) == "json" else table_rows
        for place, row in read(file, self.column):
            columns = {name: value for name, value in row.items() if name != self.column}
            yield place, row[self.column], columns


@dataclass(frozen=True)
class StoryIdeas:
    """Ideas of WritingPrompts, asked for as `Story idea: … Story:`."""

    files: PromptFiles

    def rows(self) -> Iterator[Row]:
        """Every idea as a prompt; a blank one stays blank."""
        for row in self.files.rows():
            blank = not row.text or row.text.isspace()
            yield row if blank else row._replace(text=story_idea(row.text))

    def sources(self) -> list[str]:
        """How each file and its places are called in messages."""
        return self.files.sources()

    def fingerprint(self) -> str:
        """Hash of the ideas and of what is made of them."""
        made = [self.files.fingerprint(), story_idea("[WP] An idea.")]
        return hashlib.sha256(repr(made).encode()).hexdigest()


@dataclass(frozen=True)
class Conversations:
    """Conversations of the nursery."""

    corpus: NurseryCorpus

    def rows(self) -> Iterator[Row]:
        """Every conversation."""
        for number, text in enumerate(self.corpus.documents(), 1):
            yield Row(text, {}, 0, number)

    def sources(self) -> list[str]:
        """How conversations are called in messages."""
        return ["the nursery, conversation"]

    def fingerprint(self) -> str:
        """Hash of all that decides the conversations."""
        return self.corpus.fingerprint()


def story_idea(text: str) -> str:
    """`[WP] A cat wakes up.` as `Story idea: A cat wakes up. Story:`."""
    idea = TAGS.sub("", text, count=1).strip()
    idea = idea.removeprefix("Story idea:").removesuffix("Story:").strip()
    return f"Story idea: {idea} Story:"


def refuse_blank(row: Row, sources: list[str]) -> None:
    """Raise if a prompt that is used whole says nothing."""
    if not row.text or row.text.isspace():
        raise UserError(
            f"{sources[row.source]} {row.place}: the prompt is empty. Take the row out, or give "
            "it a prompt."
        )


def refuse_reserved(row: Row, sources: list[str]) -> None:
    """Raise if a column has the name of something else that rewards are given."""
    for name in RESERVED:
        if name in row.columns:
            raise UserError(
                f"{sources[row.source]} {row.place}: a further column cannot be called {name!r}, "
                "as rewards are given the run's own under that name. Rename the column."
            )
