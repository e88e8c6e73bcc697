"""Where prompts with completions come from: files in any usual format, or GSM8K."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tutelage.config import Config, UserError
from tutelage.data.answers import Answers, how_checked
from tutelage.data.completion_rows import EXAMPLE, Layout, asked, drafts
from tutelage.data.completions import ExampleData, read_examples
from tutelage.data.files import hub_files
from tutelage.data.lengths import Lengths
from tutelage.data.table_files import TEST_NAME, TableFiles, find_tables, is_hub_name

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

GSM8K_HUB, GSM8K_CONFIG = "openai/gsm8k", "main"
GSM8K_EXAMPLE = '{"question": "What is 2 + 2?", "answer": "It is 4.\\n#### 4"}'
VALIDATION_NAME = re.compile(r"(val|valid|validation|dev)\b|(val|valid|validation|dev)[-_.]", re.I)
HELD_OUT_NAME = re.compile(f"{VALIDATION_NAME.pattern}|{TEST_NAME.pattern}", re.I)
FIRST_ROWS = 100


Parts = tuple[TableFiles, TableFiles | None]
"""Files to train on, and those of the validation set."""


class FileExamples(Config):
    """Prompts with completions of your own: TRL's formats, GSM8K's, or any by templates."""

    kind: Literal["file"] = "file"
    """Examples in files, or in a data set on the hub."""

    path: str
    """File (.jsonl, .jsonl.gz, .csv, .parquet, .arrow), a folder of them, in which files named
    validation… or else test… are the validation set, or name on the hub, owner/name or
    owner/name@revision."""

    validation_path: str | None = None
    """File or folder of the validation set; without one, val_fraction of the examples is held out.
    """

    split: str = "train"
    """Split on the hub."""

    validation_split: str | None = None
    """Split on the hub that is the validation set."""

    prompt_template: str | None = None
    r"""Jinja template of prompts over a row's fields, such as 'Q: {{ question }}\nA:'; none: as the
    columns say."""

    completion_template: str | None = None
    """Jinja template of completions over a row's fields, such as ' {{ answer }}'; none: as the
    columns say."""

    answer_column: str | None = None
    """Column with what responses are checked by; none: the column answer, if there is one."""

    answers: Literal["auto"] | Answers = "auto"
    """How responses are checked. gsm8k: the number after #### is the answer's. exact: the whole
    response is the answer. none: they are not. auto: gsm8k if all answers are numbers and come
    after ####, exact if there are other answers."""

    def check(self) -> None:
        """Refuse a missing file, wrong columns, cells or templates, from the first rows."""
        if self.validation_split and self.validation_path:
            raise UserError(
                "There are both validation_path and validation_split. Give one of them."
            )
        layout = self._layout()
        if is_hub_name(self.path):
            return  # fetched when it is needed
        _look(self._files(), layout)

    def texts(self) -> Iterator[str]:
        """Prompts and completions, without the validation set, for training a tokenizer."""
        return _texts(self._files()[0], self._layout())

    def fingerprint(self) -> str:
        """Hash of the files' content and of the templates."""
        templates = [self.prompt_template, self.completion_template, self.answer_column]
        return _hash([templates, [files and files.fingerprint() for files in self._files()]])

    def read(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        lengths: Lengths,
        val_fraction: float,
        seed: int,
    ) -> ExampleData:
        """The examples as tokens, in two parts."""
        return _read(
            self.path,
            self._files(),
            self._layout(),
            self.answers,
            tokenizer,
            lengths=lengths,
            val_fraction=val_fraction,
            seed=seed,
        )

    def _layout(self) -> Layout:
        return Layout.of(self.prompt_template, self.completion_template, self.answer_column)

    def _files(self) -> Parts:
        train, held_out = _tables(self.path, self.split)
        if self.validation_path is not None:
            held_out = sum(find_tables(self.validation_path, "validation"), ())
        elif self.validation_split is not None:
            held_out = find_tables(self.path, self.validation_split)[0]
        return TableFiles(train, EXAMPLE), TableFiles(held_out, EXAMPLE) if held_out else None


class Gsm8kExamples(Config):
    """Word problems worked out (Cobbe et al., 2021, https://arxiv.org/abs/2110.14168)."""

    kind: Literal["gsm8k"] = "gsm8k"
    """GSM8K: rows with question and answer."""

    path: Path | None = None
    """Folder with train.jsonl and test.jsonl, of which the latter is the validation set, or a file;
    without it, both are fetched from the hub."""

    def check(self) -> None:
        """Refuse a missing file, wrong columns or cells, from the first rows."""
        if self.path is not None:
            _look(self._files(), Layout(*asked()))

    def texts(self) -> Iterator[str]:
        """Prompts and completions, without the test set, for training a tokenizer."""
        return _texts(self._files()[0], Layout(*asked()))

    def fingerprint(self) -> str:
        """Hash of the files' content."""
        return _hash([files and files.fingerprint() for files in self._files()])

    def read(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        lengths: Lengths,
        val_fraction: float,
        seed: int,
    ) -> ExampleData:
        """The examples as tokens, in two parts; the test set is the second one if it is there."""
        return _read(
            str(self.path or GSM8K_HUB),
            self._files(),
            Layout(*asked()),
            "gsm8k",
            tokenizer,
            lengths=lengths,
            val_fraction=val_fraction,
            seed=seed,
        )

    def _files(self) -> Parts:
        if self.path is None:
            train, test = (
                hub_files(GSM8K_HUB, part, config=GSM8K_CONFIG) for part in ("train", "test")
            )
        else:
            train, test = _tables(str(self.path), "train")
        return TableFiles(train, GSM8K_EXAMPLE), TableFiles(test, GSM8K_EXAMPLE) if test else None


def _look(parts: Parts, layout: Layout) -> None:
    """Raise for what the first rows tell."""
    for files in parts:
        for _ in islice(drafts(files.rows(), layout, None), FIRST_ROWS) if files else ():
            pass


def _read(
    name: str,
    parts: Parts,
    layout: Layout,
    answers: Literal["auto"] | Answers,
    tokenizer: PreTrainedTokenizerBase,
    **how: Any,
) -> ExampleData:
    has_answers = answers != "none"
    train, held_out = (
        files and drafts(files.rows(), layout, tokenizer, has_answers=has_answers)
        for files in parts
    )
    assert train is not None
    data = read_examples(name, train, held_out, tokenizer, **how)
    examples = [each.example for each in chain(data.train, data.validation)]
    return data._replace(answers=how_checked(examples, answers, name))


def _texts(files: TableFiles, layout: Layout) -> Iterator[str]:
    for draft in drafts(files.rows(), layout, None):
        yield draft.prompt
        yield draft.completion


def _tables(path: str, split: str) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Files to train on and, in a folder, the validation set: without one, the test set."""
    train, held_out = find_tables(path, split, held_out=HELD_OUT_NAME)
    validation = tuple(file for file in held_out if VALIDATION_NAME.match(file.name))
    return train, validation or held_out


def _hash(parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
