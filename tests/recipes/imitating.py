"""What the tests of `tutelage sft` and `irl` share: questions with answers, and options."""

import json
from pathlib import Path
from typing import Any

from recipes.pretraining import option

COLOURS = ["red", "blue", "green"]
THINGS = ["ball", "cup", "hat", "sock"]


def write_questions(path: Path, *, number: int = 120) -> Path:
    """Questions whose answers are in them; each may be answered in two ways."""
    with open(path, "w") as handle:
        for index in range(number):
            colour, thing = COLOURS[index % 3], THINGS[index % 4]
            name = f"child {index}"
            ways = (f" It is {colour}.", f" The {thing} is {colour}.")
            row = {"prompt": f"{name} has a {colour} {thing}. What colour is it?"}
            handle.write(json.dumps({**row, "completion": ways[index % 2]}) + "\n")
    return path


def options(recipe: str, data: Path | None, out: Path | None, **more: Any) -> list[str]:
    """A two-layer student that learns in a few seconds; None drops an option."""
    values = {
        "data.kind": None if data is None else "file",
        "data.path": data,
        "tokenizer.vocab-size": 320,
        "student.layers": 2,
        "student.heads": 2,
        "student.width": 32,
        "student.context": 64,
        "student.dropout": 0.1,
        "lengths.max-tokens": 64,
        "batch-size": 8,
        "steps": 12,
        "val-fraction": 0.1,
        "responses.prompts": 4,
        "responses.samples": 2,
        "responses.response-length": 8,
        "optim.lr": 0.01,
        "optim.warmup-steps": 2,
        "compute.precision": "fp32",
        "compute.use-cpu": True,
        "out": out,
    }
    values |= {name.replace("_", "-").replace("--", "."): value for name, value in more.items()}
    chosen = {name: value for name, value in values.items() if value is not None}
    return [recipe, *(word for name, value in chosen.items() for word in option(name, value))]
