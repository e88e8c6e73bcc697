"""Minimal pairs: does a student find the acceptable one of two sentences likelier (EV-2)?

Reads BLiMP (Warstadt et al., 2020, https://arxiv.org/abs/1912.00582) and the BLiMP supplement of
the BabyLM challenge; without data, the pairs of the built-in nursery grammar.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tutelage.config import Config
from tutelage.data.nursery_contrasts import FIELDS
from tutelage.data.pairs import nursery_pairs
from tutelage.evals.choices import Choice, Ties, combine, tally
from tutelage.evals.question_files import fields, question_files, question_rows
from tutelage.evals.scoring import Text

if TYPE_CHECKING:
    from tutelage.evals.scoring import Scorer

VERSION = 2
NURSERY_SEED = 0


class MinimalPairs(Config):
    """Accuracy on minimal pairs, per phenomenon and field: BLiMP and its supplement."""

    data: Path | None = None
    """A .jsonl file of pairs, or a folder of such files; default: the pairs of the nursery."""
    ties: Ties = "half"
    """What a tie counts: half a point, or as in the official BabyLM 2025 pipeline (with its other
    conventions) a whole one."""

    def check(self) -> None:
        """Refuse what is no minimal pair."""
        for task in self.tasks() if self.data else ():
            for _ in self.pairs(task):
                pass

    def tasks(self) -> list[str]:
        """Names of the files without .jsonl, or of the nursery's phenomena."""
        return list(question_files(self.data)) if self.data else list(FIELDS)

    def pairs(self, task: str) -> Iterator[Choice]:
        """The pairs of a task, the acceptable sentence first."""
        if self.data is None:
            for pair in nursery_pairs(seed=NURSERY_SEED):
                if pair.phenomenon == task:
                    groups = {"phenomenon": task, "field": pair.field}
                    yield Choice((Text(pair.good), Text(pair.bad)), groups)
            return
        for row, place in question_rows(question_files(self.data)[task]):
            names = {"sentence_good": str, "sentence_bad": str}
            texts = tuple(Text(text, place=place) for text in fields(row, names, place))
            yield Choice(texts, _groups(row, task, place))

    def run_task(self, task: str, scorer: Scorer) -> dict[str, Any]:
        """Points of one task."""
        return tally(self.pairs(task), scorer, ties=self.ties, scored="the whole sentence")

    def combine(self, parts: dict[str, dict[str, Any]]) -> dict[str, Any]:
        """Accuracies from all tasks; `accuracy` is the mean over phenomena."""
        seeds = {"pairs": NURSERY_SEED} if self.data is None else {}
        return {**combine(parts, version=VERSION), "seeds": seeds}


def _groups(row: Mapping[str, Any], task: str, place: str) -> dict[str, str]:
    """A row without a field is of the supplement, whose phenomena are its files."""
    if "field" not in row:
        return {"phenomenon": task, "field": "supplement", "linguistics_term": "supplement"}
    names = {"UID": str, "field": str, "linguistics_term": str}
    phenomenon, field, term = fields(row, names, place)
    return {"phenomenon": phenomenon, "field": field, "linguistics_term": term}
