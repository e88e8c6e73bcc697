"""The runs of a sweep of `tutelage tnd`: arms × seeds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tutelage.recipes.sweep import Planned, compare, run_sweep
from tutelage.recipes.tnd_arms import ARMS, arms_of

if TYPE_CHECKING:
    from tutelage.recipes.tnd import Tnd


def planned(config: Tnd) -> list[Planned]:
    """All runs of a sweep, a seed's arms after one another."""
    base = config.model_copy(update={"sweep": (), "seeds": 1})
    return [
        Planned(arm, seed, ARMS[arm](base))
        for seed in range(config.seed, config.seed + config.seeds)
        for arm in arms_of(config.sweep)
    ]


def train_arms(config: Tnd, resume: Path | None) -> int:
    """Train every run of the sweep that is not complete, then report on all; the exit status."""
    return run_sweep(config, resume, recipe="tnd", runs=planned(config), conclude=compare)
