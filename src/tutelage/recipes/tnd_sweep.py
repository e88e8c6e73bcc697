"""Arms × seeds, one run after another in one folder; what is done is not done again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tutelage.recipes.conduct import conduct
from tutelage.recipes.tnd_arms import ARMS, arms_of
from tutelage.run_folder import default_path, refuse_used, write_json, write_text

if TYPE_CHECKING:
    from tutelage.recipes.tnd import Tnd

GROUP = "group.json"


class Planned(NamedTuple):
    """One run of a group."""

    arm: str
    seed: int
    config: Tnd

    @property
    def name(self) -> str:
        """Its folder in the group's."""
        return f"{self.arm}-seed{self.seed}"


def planned(config: Tnd) -> list[Planned]:
    """All runs of a sweep, a seed's arms after one another."""
    base = config.model_copy(update={"sweep": (), "seeds": 1})
    runs = []
    for seed in range(config.seed, config.seed + config.seeds):
        for arm in arms_of(config.sweep):
            own = ARMS[arm](base).model_copy(update={"seed": seed, "out": None})
            runs.append(Planned(arm, seed, own))
    return runs


def run_sweep(config: Tnd, resume: Path | None) -> int:
    """Train every run that is not complete, then report on all; the exit status."""
    from tutelage.train.compute import ComputeConfig

    runs = planned(config)
    for run in runs:
        run.config.check()
    compute = ComputeConfig.build(config.compute)
    group = resume or config.out or default_path("tnd")
    group = Path(compute.from_main(str(group)))
    if resume is None:
        refuse_used(group)
        if compute.is_main:
            group.mkdir(parents=True, exist_ok=True)
            write_text(group / "config.yaml", config.to_yaml())
            arms = [{"arm": run.arm, "seed": run.seed, "run": run.name} for run in runs]
            write_json(group / GROUP, {"recipe": "tnd", "arms": arms})
    compute.barrier()
    for number, run in enumerate(runs, start=1):
        folder = group / run.name
        if is_complete(folder):
            continue
        if compute.is_main:
            print(f"Run {number} of {len(runs)}: {run.name}", flush=True)
        goes_on = (folder / "config.yaml").is_file()
        own = run.config.model_copy(update={"out": folder})
        status = conduct(
            own, folder if goes_on else None, default=own.default_out, make=own.session
        )
        if status != 0:
            if compute.is_main:
                print(f"Go on with: tutelage tnd --resume {group}", flush=True)
            return status
        if compute.is_main:
            write_json(folder / "complete.json", {"arm": run.arm, "seed": run.seed})
    if compute.is_main:
        conclude(group)
    return 0


def is_complete(folder: Path) -> bool:
    """Whether a run of a group needs no more training."""
    return (folder / "complete.json").is_file()


def conclude(group: Path) -> None:
    """Compare the arms, and write the group's report."""
    from tutelage.evals.arms import write_arms
    from tutelage.reports.html import write_report

    write_arms(group)
    write_report([group], group / "report.html")
    print(f"Report: {group / 'report.html'}")
