"""Texts with the step at which a student wrote them: what an age model learns from.

Ma et al., 2024 (https://arxiv.org/abs/2405.13828): the age of a text is log2 of that step.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tutelage.config import Config, UserError, nearest
from tutelage.data.framing import frame, refuse_unfit
from tutelage.data.held_out import Part, hold_out, refuse_fractions
from tutelage.data.table_files import TableFiles, find_tables, is_hub_name

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from tutelage.data.preferences import OverLong

EXAMPLE = '{"text": "the dog dog ran", "step": 1000}'
TEXTS_AT_ONCE = 1000


class AgeText(NamedTuple):
    """A text, and the step of the checkpoint that wrote it."""

    text: str
    step: int


class EncodedAge(NamedTuple):
    """A text of known age, and what an age model reads of it."""

    text: AgeText
    token_ids: list[int]


class AgeData(NamedTuple):
    """Texts in three parts, each with texts of every step in the same proportions."""

    train: list[EncodedAge]
    validation: list[EncodedAge]
    test: list[EncodedAge]
    counts: dict[str, int]
    """`read`, `dropped_empty`, `dropped_long`, `cut`, and the size of each part."""


class Ages(Config):
    """Texts that checkpoints wrote, with their steps, as `tutelage data age` makes them."""

    kind: Literal["ages"] = "ages"
    """Texts with the step at which they were written."""

    path: str = ""
    """File (.jsonl, .jsonl.gz, .csv, .parquet, .arrow) with the columns text and step, a folder of
    such files, or name on the hub."""

    split: str = "train"
    """Split on the hub."""

    def check(self) -> None:
        """Refuse a missing or unreadable file, wrong columns or cells, and texts of one age."""
        if not self.path:
            raise UserError(
                "There are no texts to learn ages from: give --data.path, a file of "
                "`tutelage data age`."
            )
        if not is_hub_name(self.path):
            self._refuse_one_step({row.step for row in self._rows()})

    def texts(self) -> Iterator[str]:
        """The texts, for training a tokenizer."""
        return (row.text for row in self._rows())

    def fingerprint(self) -> str:
        """Hash of the files' content."""
        return self._files().fingerprint()

    def read(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_tokens: int,
        over_long: OverLong,
        val_fraction: float,
        test_fraction: float,
        seed: int,
        add_eos: bool,
    ) -> AgeData:
        """The texts as tokens, in three parts; too long ones lose their beginning or are left out.

        The same text of the same step is in one part only.
        """
        refuse_unfit(tokenizer, add_eos=add_eos)
        refuse_fractions(val_fraction, test_fraction)
        counts: Counter[str] = Counter(
            dict.fromkeys(("read", "dropped_empty", "dropped_long", "cut"), 0)
        )
        found = list(_encoded(self._rows(), tokenizer, max_tokens, over_long, add_eos, counts))
        if not found:
            raise UserError(
                f"{self.path}: none of its {counts['read']:,} texts can be used: "
                f"{counts['dropped_long']:,} longer than max_tokens {max_tokens:,} and "
                f"{counts['dropped_empty']:,} empty. Raise max_tokens, or give other texts."
            )
        self._refuse_one_step({each.text.step for each in found})
        parts: dict[Part, list[EncodedAge]] = {"train": [], "validation": [], "test": []}
        for texts in _by_step(found).values():
            its = hold_out(
                [each.text.text for each in texts],
                val_fraction=val_fraction,
                test_fraction=test_fraction,
                seed=seed,
            )
            for part, each in zip(its, texts, strict=True):
                parts[part].append(each)
        if not parts["train"]:
            raise UserError(
                f"{self.path} has so few different texts of each step that none is left to train "
                "on. Lower val_fraction and test_fraction, or add texts."
            )
        sizes = {part: len(texts) for part, texts in parts.items()}
        return AgeData(**parts, counts=dict(counts) | sizes)

    def _files(self) -> TableFiles:
        return TableFiles(sum(find_tables(self.path, self.split), ()), EXAMPLE)

    def _rows(self) -> Iterator[AgeText]:
        for where, row in self._files().rows():
            yield _age_text(row, where)

    def _refuse_one_step(self, steps: set[int]) -> None:
        if len(steps) == 1:
            raise UserError(
                f"{self.path}: all its texts are of step {steps.pop():,}, so there is no age to "
                "tell from another. Add texts of other checkpoints."
            )


def _age_text(row: Mapping[str, Any], where: str) -> AgeText:
    for name in ("text", "step"):
        if name not in row:
            columns = ", ".join(map(repr, row)) or "none"
            raise UserError(
                f"{where}: there is no column {name!r}; the columns are {columns}."
                f"{nearest(name, row)} A row is such as {EXAMPLE}."
            )
    text, step = row["text"], row["step"]
    if not isinstance(text, str):
        found = "null" if text is None else type(text).__name__
        raise UserError(f"{where}: column 'text' holds {found}, not text. Take the row out.")
    if isinstance(step, str) and step.isascii() and step.isdigit():  # a cell of a CSV file
        step = int(step)
    if not isinstance(step, int) or isinstance(step, bool) or step < 1:
        raise UserError(
            f"{where}: step is {step!r}, but it must be a whole number from 1: an age is log2 of "
            "it."
        )
    return AgeText(text, step)


def _encoded(
    rows: Iterator[AgeText],
    tokenizer: PreTrainedTokenizerBase,
    max_tokens: int,
    over_long: OverLong,
    add_eos: bool,
    counts: Counter[str],
) -> Iterator[EncodedAge]:
    """The texts that can be used; the others are counted."""
    while chunk := list(islice(rows, TEXTS_AT_ONCE)):
        counts["read"] += len(chunk)
        full = [row for row in chunk if row.text.strip()]
        counts["dropped_empty"] += len(chunk) - len(full)
        texts = [row.text for row in full]
        nothing = [""] * len(texts)
        framed = frame(tokenizer, nothing, texts, max_tokens=max_tokens, add_eos=add_eos)
        for row, its in zip(full, framed, strict=True):
            if its.was_cut and over_long == "filter":
                counts["dropped_long"] += 1
                continue
            counts["cut"] += its.was_cut
            yield EncodedAge(row, its.token_ids)


def _by_step(texts: list[EncodedAge]) -> dict[int, list[EncodedAge]]:
    groups: dict[int, list[EncodedAge]] = defaultdict(list)
    for each in texts:
        groups[each.text.step].append(each)
    return groups
