"""Made problems of addition and subtraction, each of which can be worked out in several orders."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from itertools import accumulate, permutations
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, PositiveInt

from tutelage.config import Config
from tutelage.data.completions import ExampleData, read_examples
from tutelage.data.drafts import Draft, plain
from tutelage.data.grammar import generator
from tutelage.data.lengths import Lengths

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

VERSION = 1
"""Raised when the same options would give other problems."""


class ArithmeticExamples(Config):
    """Sums such as 7 + 12 - 4, worked out step by step in a drawn order of their terms."""

    kind: Literal["arithmetic"] = "arithmetic"
    """Made problems of addition and subtraction, in GSM8K's form; need no files."""

    num_examples: PositiveInt = 20_000
    """Examples to make."""

    num_solutions: PositiveInt = 1
    """Demonstrations of each problem, in orders drawn apart; they count as examples."""

    num_terms: Annotated[int, Field(ge=3, le=8)] = 3
    """Numbers in each problem."""

    largest: Annotated[int, Field(ge=3, le=10_000)] = 20
    """Largest number in a problem."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of the problems; another seed gives other ones."""

    def check(self) -> None:
        """Nothing can be missing: the problems are made."""

    def texts(self) -> Iterator[str]:
        """Prompts and completions, for training a tokenizer."""
        for draft in self._drafts(self.num_examples):
            yield draft.prompt
            yield draft.completion

    def fingerprint(self) -> str:
        """Hash of all that decides the examples."""
        first = [draft[:3] for draft in self._drafts(min(self.num_examples, 40))]
        content = [VERSION, self.model_dump(mode="json"), first]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def read(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        lengths: Lengths,
        val_fraction: float,
        seed: int,
    ) -> ExampleData:
        """The examples as tokens, in two parts; no problem is in both, in whatever order."""
        data = read_examples(
            "the arithmetic",
            self._drafts(self.num_examples),
            None,
            tokenizer,
            lengths=lengths,
            val_fraction=val_fraction,
            seed=seed,
        )
        return data._replace(answers="gsm8k")

    def _drafts(self, number: int) -> Iterator[Draft]:
        rng = generator(self.seed, "arithmetic", self.num_terms, self.largest)
        terms: list[int] = []
        for index in range(number):
            if index % self.num_solutions == 0:
                terms = problem(rng, self.num_terms, self.largest)
            yield plain(
                f"QUESTION: {_sum(terms)} = ?\n\nSOLUTION:",
                solution(draw_order(rng, terms)),
                str(sum(terms)),
                f"arithmetic, example {index + 1}",
                group=" ".join(map(str, sorted(terms))),
            )


def problem(rng: random.Random, num_terms: int, largest: int) -> list[int]:
    """Signed numbers, the first of them positive, that have several solutions."""
    while True:
        terms = [rng.randint(1, largest) * rng.choice((1, -1)) for _ in range(num_terms)]
        terms[0] = abs(terms[0])
        if sum(terms) >= 0 and _has_several(terms):
            return terms


def draw_order(rng: random.Random, terms: Sequence[int]) -> list[int]:
    """The terms in a random order that a solution can have."""
    while True:
        order = rng.sample(terms, len(terms))
        if is_solvable(order):
            return order


def is_solvable(order: Sequence[int]) -> bool:
    """Whether no step of a solution in this order has a number below 0."""
    return min(accumulate(order)) >= 0


def solution(order: Sequence[int]) -> str:
    """The steps in this order: ` 12 - 4 = 8; 8 + 7 = 15 #### 15`."""
    totals = list(accumulate(order))
    steps = [
        f"{_sum((before, term))} = {after}"
        for before, term, after in zip(totals, order[1:], totals[1:], strict=False)
    ]
    return f" {'; '.join(steps)} #### {totals[-1]}"


def _has_several(terms: Sequence[int]) -> bool:
    """Whether there are solutions that differ."""
    found = set()
    for order in permutations(terms):
        if is_solvable(order):
            found.add(order)
            if len(found) > 1:
                return True
    return False


def _sum(terms: Sequence[int]) -> str:
    first, *rest = terms
    return f"{first}" + "".join(f" {'-' if term < 0 else '+'} {abs(term)}" for term in rest)
