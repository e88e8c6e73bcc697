"""What the tests of `tutelage tnd` share: a teacher, an age model, and options."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

from recipes import pretraining
from recipes.pretraining import option
from tutelage.cli import main
from tutelage.models.readouts import LastToken
from tutelage.models.reward_folder import Facts
from tutelage.models.reward_model import Trunk

STEPS = 60


def write_teacher(folder: Path) -> tuple[Path, Path]:
    """A teacher that has read simple stories for a second: corpus and checkpoint."""
    corpus = pretraining.write_corpus(folder / "stories.jsonl")
    settings = {"steps": STEPS, "student__dropout": 0.0, "samples__num": 1}
    assert main(pretraining.options(corpus, folder / "teacher", **settings)) == 0
    return corpus, folder / "teacher" / "checkpoints" / f"step_{STEPS}"


def write_age_model(folder: Path, teacher: Path, *, learned: str = "ages") -> Path:
    """An age model that nobody trained; its ages are about 4, and tell texts apart."""
    tokenizer = AutoTokenizer.from_pretrained(teacher)
    facts = Facts(readout=LastToken(), learned=learned, max_tokens=32, add_eos=True)
    model = Trunk(layers=1, heads=2, width=16).build(tokenizer, facts, seed=0)
    with torch.no_grad():
        model.readout.score.weight *= 30
    model.normalise(scale=1.0, shift=4.0)
    model.save(folder / learned, tokenizer)
    return folder / learned


def options(corpus: Path, teacher: Path, ages: Path, out: Path | None, **more: Any) -> list[str]:
    """Twelve steps of a second in all; None drops an option."""
    values = {
        "data.kind": "text",
        "data.path": corpus,
        "demonstrator.path": teacher,
        "age.path": ages,
        "student.layers": 2,
        "student.heads": 2,
        "student.width": 32,
        "student.context": 32,
        "block-length": 16,
        "batch-size": 8,
        "steps": 12,
        "interaction.batch-size": 6,
        "interaction.prompt-tokens": 3,
        "rollout.max-tokens": 8,
        "demonstrator.sampling.max-tokens": 8,
        "optim.lr": 0.01,
        "optim.warmup-steps": 2,
        "milestones.spacing": "last",
        "compute.precision": "fp32",
        "compute.use-cpu": True,
        "out": out,
    }
    values |= {name.replace("_", "-").replace("--", "."): value for name, value in more.items()}
    chosen = {name: value for name, value in values.items() if value is not None}
    return ["tnd", *(word for name, value in chosen.items() for word in option(name, value))]
