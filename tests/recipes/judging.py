"""What the tests of `tutelage reward` share: easy pairs, texts of three ages, and options."""

import json
import random
from pathlib import Path
from typing import Any

from recipes.pretraining import ENDS, NAMES, VERBS, option

GOOD, BAD = "Please.", "No."
STEPS = (1, 8, 64)


def sentence(rng: random.Random) -> str:
    return f"{rng.choice(NAMES)} {rng.choice(VERBS)} {rng.choice(ENDS)}"


def write_pairs(path: Path, *, number: int = 180, by_chance: bool = False) -> Path:
    """Pairs of which the better one says "Please" before or behind some sentences, or is any."""
    rng = random.Random(0)
    with open(path, "w") as handle:
        for index in range(number):
            said = [sentence(rng) for _ in range(rng.randint(1, 2))]
            sides = [" ".join([*said, word][:: rng.choice((1, -1))]) for word in (GOOD, BAD)]
            if by_chance:
                rng.shuffle(sides)
            row = {"prompt": f"{index} {sentence(rng)}:", "margin": rng.choice((0, 0.5))}
            row |= {"subset": "odd" if index % 2 else "even"}
            row |= {"chosen": f" {sides[0]}", "rejected": f" {sides[1]}"}
            handle.write(json.dumps(row) + "\n")
    return path


def write_ages(path: Path, *, per_step: int = 60) -> Path:
    """Texts whose writers say more words the older they are."""
    rng = random.Random(0)
    with open(path, "w") as handle:
        for step in STEPS:
            for _ in range(per_step):
                words = sentence(rng).split() + sentence(rng).split()
                text = " ".join(word if rng.random() < 0.15 * step else "um" for word in words)
                handle.write(json.dumps({"text": text, "step": step}) + "\n")
    return path


def options(data: Path | None, out: Path | None, **more: Any) -> list[str]:
    """A small new T5 that learns in a few seconds; None drops an option."""
    is_ages = more.get("data__kind") == "ages"
    values = {
        "data.kind": "ages" if is_ages else "file",
        "data.path": data,
        "readout.kind": "last_token" if is_ages else "layerwise_attention",
        "tokenizer.vocab-size": 300,
        "model.layers": 2,
        "model.heads": 2,
        "model.width": 32,
        "max-tokens": 64,
        "batch-size": 16,
        "steps": 20,
        "optim.lr": 0.01,
        "optim.final-lr": 0.002,
        "compute.precision": "fp32",
        "compute.use-cpu": True,
        "out": out,
    }
    values |= {name.replace("_", "-").replace("--", "."): value for name, value in more.items()}
    if "attention" in values["readout.kind"]:
        values = {"readout.n-blocks-to-use": "all", "readout.pooling-output-dim": 32} | values
    chosen = {name: value for name, value in values.items() if value is not None}
    return ["reward", *(word for name, value in chosen.items() for word in option(name, value))]
