"""Arms × seeds, one run after another in one folder; what is done is not done again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

from tutelage.config import UserError
from tutelage.recipes.conduct import Recipe, conduct
from tutelage.run_folder import RunFolder, default_path, refuse_used, write_json, write_text
from tutelage.train.checkpoint import Hub

if TYPE_CHECKING:
    from rich.console import Console

    from tutelage.train.compute import Compute
    from tutelage.train.session import Session

GROUP = "group.json"
COMPLETE = "complete.json"


class Swept(Recipe, Protocol):
    """What the configuration of a run in a group brings along; it may be of any recipe."""

    def model_copy(self, *, update: Mapping[str, Any]) -> Self:
        """The same with other values of some fields."""
        ...

    def session(self, compute: Compute, folder: RunFolder, console: Console) -> Session:
        """Everything that trains, ready to start."""
        ...


class Planned(NamedTuple):
    """One run of a group."""

    arm: str
    """The first arm is what the others are compared with; for tnd, clm is if there is one."""
    seed: int
    config: Swept
    """Without a sweep of its own; seed and folder are set once it is trained."""

    @property
    def name(self) -> str:
        """Its folder in the group's."""
        return f"{self.arm.replace(' ', '_')}-seed{self.seed}"


def run_sweep(
    config: Recipe,
    resume: Path | None,
    *,
    recipe: str,
    runs: Sequence[Planned],
    conclude: Callable[[Path], None],
) -> int:
    """Train every run that is not complete; the exit status.

    Args:
        config: What was asked for: the group's config.yaml.
        resume: Folder of the group to go on with.
        recipe: Whose group it is, and whose command goes on with it.
        runs: All runs of the group, in their order.
        conclude: Called with the group's folder once all runs are complete, on the main process.
    """
    for run in runs:
        run.config.check()
    compute = config.compute.build()
    group = Path(compute.from_main(str(resume or config.out or default_path(recipe))))
    if resume is None:
        refuse_used(group)
        if compute.is_main:
            begin(group, config, recipe, runs)
    compute.barrier()
    for number, run in enumerate(runs, start=1):
        if is_complete(group / run.name):
            continue
        if compute.is_main:
            print(f"Run {number} of {len(runs)}: {run.name}", flush=True)
        status = train(run, group / run.name)
        if compute.is_main and status != 0:
            print(f"Go on with: tutelage {recipe} --resume {group}", flush=True)
        if status != 0:
            return status
        if compute.is_main:
            write_json(group / run.name / COMPLETE, {"arm": run.arm, "seed": run.seed})
    if compute.is_main:
        conclude(group)
    return 0


def refuse_shared_hub(hub: Hub) -> None:
    """Raise if all runs of a group would be pushed to the same branches."""
    if hub.repo is not None:
        raise UserError(
            f"--hub.repo {hub.repo} has one branch for each milestone, and all runs of a sweep "
            "have the same milestones. Leave it out, and push the run that you choose."
        )


def begin(group: Path, config: Recipe, recipe: str, runs: Sequence[Planned]) -> None:
    """Write what a group is to hold."""
    group.mkdir(parents=True, exist_ok=True)
    write_text(group / "config.yaml", config.to_yaml())
    arms = [{"arm": run.arm, "seed": run.seed, "run": run.name} for run in runs]
    write_json(group / GROUP, {"recipe": recipe, "arms": arms})


def train(run: Planned, folder: Path) -> int:
    """Train a run of a group, or go on with it where it was; the exit status."""
    own = run.config.model_copy(update={"seed": run.seed, "out": folder})
    goes_on = (folder / "config.yaml").is_file()
    return conduct(own, folder if goes_on else None, default=lambda: folder, make=own.session)


def is_complete(folder: Path) -> bool:
    """Whether a run of a group needs no more training."""
    return (folder / COMPLETE).is_file()


def compare(group: Path) -> None:
    """Compare the arms, say what came out, and write the group's report."""
    from tutelage.evals.groups import write_arms
    from tutelage.reports.html import write_report

    for sentence in write_arms(group).get("sentences", []):
        print(sentence)
    write_report([group], group / "report.html")
    print(f"Report: {group / 'report.html'}")
