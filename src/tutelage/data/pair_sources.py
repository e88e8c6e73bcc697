"""Where preference pairs come from: files in any usual format, hh-rlhf, or the nursery."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, PositiveInt

from tutelage.config import Config, UserError, nearest
from tutelage.data.dialogues import split_marked
from tutelage.data.files import hub_files
from tutelage.data.nursery_preferences import VERSION, Error, nursery_preferences
from tutelage.data.preference_rows import EXAMPLE, pair_rows
from tutelage.data.preferences import OverLong, Pair, PairData, Reading, read_pairs, texts_of
from tutelage.data.table_files import TableFiles, find_tables, is_hub_name

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Seed = Annotated[int, Field(ge=0, lt=2**63)]
HH_HUB = "Anthropic/hh-rlhf"
HH_SUBSETS = (
    "helpful-base",
    "helpful-online",
    "helpful-rejection-sampled",
    "harmless-base",
)
FIRST_ROWS = 100


class FilePairs(Config):
    """Preference pairs of your own, in the formats of TRL, LLaMA-Factory or SHP."""

    kind: Literal["file"] = "file"
    """Pairs in files, or in a data set on the hub."""

    path: str
    """File (.jsonl, .jsonl.gz, .csv, .parquet, .arrow), a folder of them, in which files named
    test… are the test set, or name on the hub, owner/name or owner/name@revision."""

    test_path: str | None = None
    """File or folder of the test set; without one, test_fraction of the pairs is kept for it."""

    split: str = "train"
    """Split on the hub."""

    test_split: str | None = None
    """Split on the hub that is the test set."""

    def check(self) -> None:
        """Refuse a missing or unreadable file, wrong columns or cells, from the first rows."""
        if self.test_split and self.test_path:
            raise UserError("There are both test_path and test_split. Give one of them.")
        if is_hub_name(self.path):
            return  # fetched when it is needed
        for files in self._files():
            for row in islice(pair_rows(files.rows()), FIRST_ROWS) if files else ():
                if isinstance(row.chosen, str):
                    row.sides(None)

    def texts(self) -> Iterator[str]:
        """The texts of the pairs, without the test set, for training a tokenizer."""
        return texts_of(_pairs(self._files()[0], None))

    def fingerprint(self) -> str:
        """Hash of the files' content."""
        return _hash([files and files.fingerprint() for files in self._files()])

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
    ) -> PairData:
        """The pairs as tokens, in three parts, and the number of those left out by reason."""
        reading = Reading(max_tokens, over_long, val_fraction, test_fraction, seed, add_eos)
        train, test = self._files()
        tests = test and _pairs(test, tokenizer)
        return read_pairs(self.path, _pairs(train, tokenizer), tests, tokenizer, reading)

    def _files(self) -> tuple[TableFiles, TableFiles | None]:
        train, tests = find_tables(self.path, self.split)
        if self.test_path is not None:
            tests = sum(find_tables(self.test_path, "test"), ())
        elif self.test_split is not None:
            tests = find_tables(self.path, self.test_split)[0]
        return TableFiles(train, EXAMPLE), TableFiles(tests, EXAMPLE) if tests else None


class HhRlhfPairs(Config):
    """Dialogues about help and harm (Bai et al., 2022, https://arxiv.org/abs/2204.05862)."""

    kind: Literal["hh_rlhf"] = "hh_rlhf"
    """Anthropic's hh-rlhf."""

    path: Path | None = None
    """Folder with a folder for each subset, which holds train.jsonl and test.jsonl, or .jsonl.gz;
    without it, they are fetched from the hub."""

    subsets: Annotated[tuple[str, ...], Field(min_length=1)] = HH_SUBSETS
    """Subsets to use: helpful-base, helpful-online, helpful-rejection-sampled, harmless-base."""

    def check(self) -> None:
        """Refuse an unknown subset, a missing file, wrong columns or cells, from the first rows."""
        if self.path is None:
            for subset in self.subsets:
                self._refuse_unknown(subset, HH_SUBSETS, "hh-rlhf")
            return
        for part in ("train", "test"):
            for subset in self.subsets:
                for _ in islice(pair_rows(self._files(subset, part).rows()), FIRST_ROWS):
                    pass

    def texts(self) -> Iterator[str]:
        """The texts of the pairs, without the test set, for training a tokenizer."""
        return texts_of(self._pairs("train"))

    def fingerprint(self) -> str:
        """Hash of the files' content and of the subsets."""
        prints = [
            [subset, part, self._files(subset, part).fingerprint()]
            for subset in self.subsets
            for part in ("train", "test")
        ]
        return _hash(prints)

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
    ) -> PairData:
        """The pairs as tokens; the test set is the published one, whatever test_fraction says."""
        reading = Reading(max_tokens, over_long, val_fraction, test_fraction, seed, add_eos)
        name = str(self.path or HH_HUB)
        return read_pairs(name, self._pairs("train"), self._pairs("test"), tokenizer, reading)

    def _pairs(self, part: str) -> Iterator[Pair | None]:
        for subset in self.subsets:
            for row in pair_rows(self._files(subset, part).rows()):
                if not isinstance(row.chosen, str) or not isinstance(row.rejected, str):
                    raise UserError(
                        f"{row.where}: chosen and rejected hold messages, but hh-rlhf has text. "
                        "Use kind file."
                    )
                sides = split_marked(row.chosen, row.rejected)
                yield sides and Pair(*sides, subset=subset, margin=row.margin)

    def _files(self, subset: str, part: str) -> TableFiles:
        if self.path is None:
            return TableFiles(hub_files(HH_HUB, part, subset), EXAMPLE)
        folder = self.path.expanduser()
        if not folder.is_dir():
            raise UserError(f"{self.path} is no folder. Give one with a folder for each subset.")
        there = sorted(
            each.name for each in folder.iterdir() if each.is_dir() and any(each.glob("train.*"))
        )
        self._refuse_unknown(subset, there, str(self.path))
        names = [f"{part}.jsonl", f"{part}.jsonl.gz"]
        files = tuple(folder / subset / n for n in names if (folder / subset / n).is_file())[:1]
        if not files:
            raise UserError(f"{folder / subset} has no {' and no '.join(names)}.")
        return TableFiles(files, EXAMPLE)

    def _refuse_unknown(self, subset: str, valid: list[str] | tuple[str, ...], name: str) -> None:
        if subset not in valid:
            there = ", ".join(valid) or "none"
            raise UserError(
                f"{name} has no subset {subset}.{nearest(subset, valid)} Its subsets are {there}. "
                "Set subsets."
            )


class NurseryPairs(Config):
    """What a mother says next in the built-in nursery, and the same with an error of grammar."""

    kind: Literal["nursery"] = "nursery"
    """Grammatical and corrupted turns of the built-in nursery; needs no files."""

    num_pairs: PositiveInt = 4000
    """Pairs to make, equally many of each kind of error."""

    errors: Annotated[tuple[Error, ...], Field(min_length=1)] = (
        "swap",
        "drop",
        "double",
        "contrast",
    )
    """What is wrong with the rejected sides: one word swapped with the next, dropped or said twice;
    one point of grammar, as in a minimal pair; or shuffle, all words of a sentence mixed, which is
    far easier to tell."""

    seed: Seed = 0
    """Seed of the pairs; another seed gives other pairs."""

    def check(self) -> None:
        """Nothing can be missing: the grammar is part of the package."""

    def texts(self) -> Iterator[str]:
        """The texts of the pairs, for training a tokenizer."""
        return texts_of(nursery_preferences(self.num_pairs, self.seed, self.errors))

    def fingerprint(self) -> str:
        """Hash of all that decides the pairs."""
        first = list(nursery_preferences(min(self.num_pairs, 40), self.seed, self.errors))
        return _hash([VERSION, self.num_pairs, self.seed, first])

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
    ) -> PairData:
        """The pairs as tokens, in three parts."""
        reading = Reading(max_tokens, over_long, val_fraction, test_fraction, seed, add_eos)
        pairs = nursery_preferences(self.num_pairs, self.seed, self.errors)
        return read_pairs("the nursery", pairs, None, tokenizer, reading)


def _pairs(files: TableFiles, tokenizer: PreTrainedTokenizerBase | None) -> Iterator[Pair | None]:
    for row in pair_rows(files.rows()):
        sides = row.sides(tokenizer)
        yield sides and Pair(*sides, subset=row.subset, margin=row.margin)


def _hash(parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
