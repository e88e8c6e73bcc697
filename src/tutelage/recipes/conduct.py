"""From a recipe's configuration to a finished run: what all recipes that train have in common."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tutelage.environment import refuse_dirty
from tutelage.run_folder import RunFolder, refuse_used
from tutelage.train.compute import Compute, ComputeConfig

if TYPE_CHECKING:
    from rich.console import Console

    from tutelage.train.session import Session


class Recipe(Protocol):
    """What a recipe's configuration brings along."""

    out: Path | None
    seed: int
    strict: bool
    compute: ComputeConfig

    def check(self) -> None:
        """Refuse what can be refused before anything heavy loads."""
        ...

    def to_yaml(self) -> str:
        """All fields."""
        ...

    def model_dump(self, *, mode: str) -> dict:
        """All fields."""
        ...


Make = Callable[[Compute, RunFolder, "Console"], "Session"]


def conduct(recipe: Recipe, resume: Path | None, *, default: Callable[[], Path], make: Make) -> int:
    """Train a new run, or go on with one; returns the exit status.

    Args:
        recipe: The configuration.
        resume: Folder of the run to go on with.
        default: Where a new run goes if the configuration does not say.
        make: Builds everything that trains; refuses what it can't build. Nothing is written before.
    """
    from rich.console import Console

    from tutelage.reports.html import write_report

    recipe.check()
    if recipe.strict:
        refuse_dirty()
    if resume is None and recipe.out is not None:
        refuse_used(recipe.out)
    compute = recipe.compute.build()
    console = Console(quiet=not compute.is_main)
    path = resume or Path(compute.from_main(str(recipe.out or default())))
    session = make(compute, RunFolder(path), console)
    if compute.is_main and resume is None:
        RunFolder.create(path, config=recipe.to_yaml(), seed=recipe.seed)
    compute.barrier()
    with session.folder.lock() if compute.is_main else nullcontext():
        status = session.train(resume=resume is not None, config=recipe.model_dump(mode="json"))
        if status == 0 and session.conclude is not None:
            session.conclude()
    if compute.is_main and status == 0:
        write_report([path], session.folder.report)
        session.say(f"Report: {session.folder.report}")
    return status
