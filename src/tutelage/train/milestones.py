"""Milestones: the points of training at which a checkpoint and an evaluation are due."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from itertools import count, dropwhile
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import PositiveInt, model_validator

from tutelage.config import Config
from tutelage.run_folder import Ledger

# Upper end of a stretch and the distance of its milestones (TND-6; BabyLM 2025's list of words).
LOG_STEPS = ((20, 2), (100, 5), (500, 10), (1_000, 50), (10_000, 500))
LOG_STEPS_THEN = 10_000
BABYLM_WORDS = ((10_000_000, 1_000_000), (100_000_000, 10_000_000), (1_000_000_000, 100_000_000))
BABYLM_WORDS_THEN = 1_000_000_000

Spacing = Literal["last", "every", "log", "babylm", "list"]
Unit = Literal["steps", "rounds", "tokens", "words", "interaction_tokens", "interaction_words"]
NAMES: dict[Unit, str] = {
    "steps": "step_{}",
    "rounds": "round_{}",
    "tokens": "tokens_{}",
    "words": "chck_{}",
    "interaction_tokens": "checkpoint_{}_tokens",
    "interaction_words": "checkpoint_{}_words",
}


class Due(NamedTuple):
    """A milestone that has just been reached."""

    name: str
    at: int


class Milestones(Config):
    """When checkpoints are saved and evaluated. The end of the run always is a milestone."""

    spacing: Spacing = "last"
    """last: the end only. every: each `every` units. log: steps 2, 4 … 20, 25 … 100, 110 … 500,
    550 … 1,000, 1,500 … 10,000, then each 10,000. babylm: words seen 1M … 10M, 20M … 100M,
    200M … 1B, named chck_1M and so on. list: those of `at`."""
    unit: Unit = "steps"
    """What `every`, `at` and log count: optimiser steps, rounds of the curriculum, tokens or words
    read from a corpus, or tokens or words of interaction (prompts, responses, and what a judge says
    of them)."""
    every: PositiveInt | None = None
    """Distance of milestones with spacing every."""
    at: tuple[PositiveInt, ...] = ()
    """The milestones of spacing list."""

    @model_validator(mode="after")
    def _refuse_half_told(self) -> Milestones:
        if (self.every is not None) != (self.spacing == "every"):
            raise ValueError("every goes with spacing every: give both or neither")
        if bool(self.at) != (self.spacing == "list"):
            raise ValueError("at goes with spacing list: give both or neither")
        return self

    def points(self) -> Iterator[int]:
        """All milestones in rising order, without an end unless they are listed."""
        if self.spacing == "every":
            return count(self.every or 1, self.every or 1)
        if self.spacing == "log":
            return _stretches(LOG_STEPS, LOG_STEPS_THEN)
        if self.spacing == "babylm":
            return _stretches(BABYLM_WORDS, BABYLM_WORDS_THEN)
        return iter(sorted(set(self.at)))

    def counted(self) -> Unit:
        """The unit of `points`; log counts steps or rounds, and babylm words."""
        own: dict[Spacing, Unit] = {
            "log": "rounds" if self.unit == "rounds" else "steps",
            "babylm": "words",
        }
        return own.get(self.spacing, self.unit)

    def upcoming(self, position: Position) -> Upcoming:
        """The milestones that lie ahead of a position."""
        return Upcoming(self, position)


class Position(NamedTuple):
    """Where a run stands, in every unit that milestones know."""

    steps: int
    tokens: int
    words: int
    interaction_tokens: int = 0
    interaction_words: int = 0
    rounds: int = 0
    """Rounds of the curriculum, if milestones count them."""
    seen_words: int = 0
    """All words that the student learned from: read, prompts, demonstrated, its own."""

    def facts(self) -> dict[str, int]:
        """As stored beside checkpoints and in results of evaluations; no interaction, no key."""
        read = {"step": self.steps, "tokens": self.tokens, "words": self.words}
        interaction = {
            "interaction_tokens": self.interaction_tokens,
            "interaction_words": self.interaction_words,
        }
        if self.rounds:
            read |= {"round": self.rounds}
        if self.seen_words != self.words:
            interaction |= {"seen_words": self.seen_words}
        return read | {name: number for name, number in interaction.items() if number}

    @classmethod
    def of(cls, step: int, ledger: Ledger, rounds: int = 0) -> Position:
        """The position after `step` updates with this exposure."""
        return cls(
            step,
            ledger.read_tokens,
            ledger.read_words,
            ledger.prompt_tokens + ledger.generated_tokens + ledger.judged_tokens,
            ledger.prompt_words + ledger.generated_words + ledger.judged_words,
            rounds,
            ledger.read_words
            + ledger.prompt_words
            + ledger.demonstrated_words
            + ledger.generated_words,
        )


class Upcoming:
    """The milestones that lie ahead, taken off one after another."""

    def __init__(self, milestones: Milestones, position: Position):
        self.unit: Unit = milestones.counted()
        start = getattr(position, self.unit)
        self._points = dropwhile(lambda point: point <= start, milestones.points())
        self._next = next(self._points, None)

    def passed(self, position: Position) -> Due | None:
        """The last milestone that this position has reached since the call before."""
        reached = None
        while self._next is not None and self._next <= getattr(position, self.unit):
            reached = self._next
            self._next = next(self._points, None)
        return None if reached is None else Due(milestone_name(self.unit, reached), reached)


def milestone_name(unit: Unit, at: int) -> str:
    """`step_1000`, `tokens_500K`, BabyLM's `chck_7M`, or `checkpoint_100K_tokens`."""
    return NAMES[unit].format(at if unit in ("steps", "rounds") else _short(at))


def run_name(
    model: str, limit: int, unit: Literal["tokens", "words", "steps"], now: datetime
) -> str:
    """Name of an interactive run's folder: `<model>_<300K_tokens>__<2025-07-20__23-15-10>`.

    Args:
        model: Hub name, kept with `_` for `/`, or a folder, of which the last name is kept.
        limit: How long the run may get: the budget that ends it.
        unit: What `limit` counts.
        now: When the run starts.
    """
    is_folder = model.startswith((".", "/", "~")) or model.count("/") > 1 or Path(model).is_dir()
    name = Path(model).expanduser().resolve().name if is_folder else model
    name = re.sub(r"[^\w.-]+", "_", name)
    return f"{name}_{_short(limit)}_{unit}__{now:%Y-%m-%d__%H-%M-%S}"


def _short(number: int) -> str:
    """1_000_000 as 1M and 1_500 as 1500: a suffix only where it is exact."""
    for size, letter in ((1_000_000, "M"), (1_000, "K")):
        if number >= size and number % size == 0:
            return f"{number // size}{letter}"
    return str(number)


def _stretches(table: tuple[tuple[int, int], ...], then: int) -> Iterator[int]:
    at = 0
    for end, distance in table:
        while at < end:
            at += distance
            yield at
    yield from count(at - at % then + then, then)
