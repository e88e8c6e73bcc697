"""Arms × seeds, one run after another in one folder; what is done is not done again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, Self

from tutelage.config import UserError
from tutelage.recipes.conduct import Recipe, conduct
from tutelage.run_folder import RunFolder, default_path, refuse_used, write_json, write_text
from tutelage.train.checkpoint import Hub
from tutelage.train.series import in_series

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
    refuse: Callable[[Session], None] | None = None,
) -> int:
    """Train every run that is not complete; the exit status.

    Args:
        config: What was asked for: the group's config.yaml.
        resume: Folder of the group to go on with.
        recipe: Whose group it is, and whose command goes on with it.
        runs: All runs of the group, in their order.
        conclude: Called with the group's folder once all runs are complete, on the main process.
        refuse: Called with what trains a new group's first run, before anything is written:
            raises if a later run could not be trained.
    """
    for run in runs:
        run.config.check()
    compute = config.compute.build()
    group = Path(compute.from_main(str(resume or config.out or default_path(recipe))))
    if resume is None:
        refuse_used(group)
    compute.barrier()  # from here on nobody minds what is in the group's folder

    def start(first: Session) -> None:
        if refuse is not None:
            refuse(first)
        if compute.is_main:
            begin(group, config, recipe, runs)

    tasks: list[Callable[[], int | None]] = []
    for n, run in enumerate(runs, start=1):
        title = f"Run {n} of {len(runs)}: {run.name}"
        before = start if n == 1 and resume is None else None
        tasks.append(partial(train, run, group / run.name, compute, title, before=before))
    tasks.append(partial(conclude, group) if compute.is_main else lambda: None)
    status = in_series(tasks, agree=lambda own: max(compute.collect([own])))
    if compute.is_main and status != 0 and (group / GROUP).is_file():
        print(f"Go on with: tutelage {recipe} --resume {group}", flush=True)
    return status


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
    arms = [{"arm": run.arm, "seed": run.seed, "run": run.name} for run in runs]
    write_json(group / GROUP, {"recipe": recipe, "arms": arms})
    write_text(group / "config.yaml", config.to_yaml())


def train(
    run: Planned,
    folder: Path,
    compute: Compute,
    title: str,
    *,
    before: Callable[[Session], None] | None = None,
) -> int:
    """Train a run of a group, or go on with it where it was; the exit status.

    Args:
        run: Which one.
        folder: Its folder.
        compute: The processes.
        title: What to call it.
        before: Called with all that trains, before anything is written.
    """
    state = compute.from_main(state_of(folder))
    if state == "complete":
        return 0
    if compute.is_main:
        print(title, flush=True)
    own = run.config.model_copy(update={"seed": run.seed, "out": folder})

    def make(compute: Compute, folder: RunFolder, console: Console) -> Session:
        session = own.session(compute, folder, console)
        if before is not None:
            before(session)
        return session

    resume = folder if state == "begun" else None
    status = conduct(own, resume, default=lambda: folder, make=make)
    if compute.is_main and status == 0:
        write_json(folder / COMPLETE, {"arm": run.arm, "seed": run.seed})
    return status


def state_of(folder: Path) -> Literal["new", "begun", "complete"]:
    """How far a run of a group is."""
    if (folder / COMPLETE).is_file():
        return "complete"
    return "begun" if (folder / "config.yaml").is_file() else "new"


def sentences(compared: Mapping[str, Any]) -> list[str]:
    """What a comparison of arms found, in words: of each arm's ages, or of last measures."""
    of_ages = [
        axis["sentence"]
        for arm in compared.get("arms", {}).values()
        for axis in arm.get("axes", {}).values()
        if "sentence" in axis
    ]
    return [*of_ages, *compared.get("sentences", [])]


def compare(group: Path) -> None:
    """Compare the arms, say what came out, and write the group's report."""
    from tutelage.evals.groups import write_arms
    from tutelage.reports.html import write_report

    for sentence in sentences(write_arms(group)):
        print(sentence)
    write_report([group], group / "report.html")
    print(f"Report: {group / 'report.html'}")
