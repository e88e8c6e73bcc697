"""What the tests of `tutelage ppo` share: a student that knows simple stories, and options."""

from pathlib import Path
from typing import Any

from recipes import pretraining
from recipes.pretraining import option, write_corpus
from tutelage.cli import main

RLOO = {"update__kind": "rloo", "update__epochs": 1, "update__group_size": 4}


def write_student(folder: Path, *, steps: int = 150) -> Path:
    """A student that has read simple stories for a few seconds: the path of its checkpoint."""
    corpus = write_corpus(folder / "stories.jsonl")
    settings = {"steps": steps, "student__dropout": 0.0, "samples__num": 1}
    assert main(pretraining.options(corpus, folder / "before", **settings)) == 0
    return folder / "before" / "checkpoints" / f"step_{steps}"


def options(student: Path, out: Path | None, **more: Any) -> list[str]:
    """Rounds of a second or less, in which the student is to say "ball"; None drops an option."""
    values = {
        "student.path": student,
        "batch-size": 16,
        "rounds": 4,
        "rollout.max-tokens": 8,
        "update.epochs": 2,
        "update.minibatch-size": 8,
        "optim.lr": 0.003,
        "compute.precision": "fp32",
        "compute.use-cpu": True,
        "out": out,
    }
    if "prompts__kind" not in more:
        values |= {"prompts.kind": "fixed", "prompts.prompt": "the cat"}
    if "reward__kind" not in more:
        values |= {"reward.kind": "contains", "reward.words": "ball"}
    values |= {name.replace("_", "-").replace("--", "."): value for name, value in more.items()}
    chosen = {name: value for name, value in values.items() if value is not None}
    return ["ppo", *(word for name, value in chosen.items() for word in option(name, value))]
