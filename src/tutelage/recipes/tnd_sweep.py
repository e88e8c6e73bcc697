"""The runs of a sweep of `tutelage tnd`: arms × seeds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tutelage.recipes.sweep import Planned, compare, run_sweep
from tutelage.recipes.tnd_arms import configs_of
from tutelage.recipes.tnd_tokens import refuse_tokens

if TYPE_CHECKING:
    from tutelage.recipes.tnd import Tnd
    from tutelage.train.session import Session


def planned(config: Tnd) -> list[Planned]:
    """All runs of a sweep, a seed's arms after one another."""
    arms = configs_of(config)
    return [
        Planned(name, seed, arm)
        for seed in range(config.seed, config.seed + config.seeds)
        for name, arm in arms.items()
    ]


def train_arms(config: Tnd, resume: Path | None) -> int:
    """Train every run of the sweep that is not complete, then report on all; the exit status."""

    def refuse(first: Session) -> None:
        for arm in configs_of(config).values():
            if arm.has_interaction:
                refuse_interaction(arm, first)

    return run_sweep(
        config, resume, recipe="tnd", runs=planned(config), conclude=compare, refuse=refuse
    )


def refuse_interaction(arm: Tnd, first: Session) -> None:
    """Raise if an arm's step of interaction can't be done; no teacher is loaded for it.

    Args:
        arm: What it trains.
        first: The first run of its sweep: all arms have its text, tokens and student's shape.
    """
    from tutelage.data.openings import Openings
    from tutelage.lessons.updates import refuse_indivisible
    from tutelage.rollout.engine import banned_ids
    from tutelage.train.compute import unwrap

    authors = arm.interaction.authors
    Openings(arm.read(first.console).blocks.stream, first.tokenizer, arm.interaction.prompt_tokens)
    arm.refuse_long_texts(unwrap(first.student))  # pyright: ignore[reportArgumentType]
    if "trials" in authors:
        banned_ids(arm.rollout, first.tokenizer)
    if "demonstrations" in authors:
        refuse_tokens(arm.demonstrator, first.tokenizer)
    if arm.has_ppo:
        size = arm.interaction.batch_size * len(authors)
        refuse_indivisible(size, arm.update, first.compute.num_processes)
