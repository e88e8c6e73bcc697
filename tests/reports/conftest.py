"""Writes run folders as recipes leave them, for the tests of reports."""

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

PHENOMENA = (
    "subject_verb_agreement", "quantifiers", "wh_questions", "irregular_forms", "island_effects",
)  # fmt: skip
CONFIG = {
    "recipe": "pretrain",
    "seed": 1,
    "steps": 2000,
    "data": {"kind": "nursery", "num_words": 2_000_000, "seed": 3},
    "student": {"layers": 4, "heads": 4, "width": 128, "context": 128, "path": None},
    "optim": {"lr": 0.001, "warmup_steps": 100, "weight_decay": 0.1},
}
RESPONSES = (
    "the the you a the it the the",
    "you want the the dog . no the ball is is",
    "the dog wants the ball . where is it ?",
    "the dog that wants the ball is happy . do you see him ? yes !",
)


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Writes a run folder of a given name under the test's own folder, and returns it."""
    return lambda name="first", **options: write_run(tmp_path / name, **options)


@pytest.fixture(scope="session")
def one_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page about one run."""
    from tutelage.reports.html import page_of
    from tutelage.reports.runs import read_run

    return page_of([read_run(write_run(tmp_path_factory.mktemp("one") / "first"))])


@pytest.fixture(scope="session")
def page_of_three(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page about three runs: `a`; `b`, with another learning rate; `c`, which is not done."""
    from tutelage.reports.html import page_of
    from tutelage.reports.runs import read_runs

    folder = tmp_path_factory.mktemp("three")
    options = {"a": {}, "b": {"lr": 0.003, "speed": 2}, "c": {"num_steps": 900}}
    return page_of(read_runs([write_run(folder / k, **v) for k, v in options.items()]))


def write_run(
    path: Path,
    *,
    num_steps: int = 2000,
    every: int = 10,
    lr: float = 0.001,
    speed: float = 1.0,
    seed: int = 0,
    evals: bool = True,
) -> Path:
    """A realistic pretraining run: noisy loss, a spike, evaluations at log-spaced milestones."""
    rng = random.Random(seed)
    (path / "checkpoints").mkdir(parents=True)
    config = {**CONFIG, "out": str(path), "optim": {**CONFIG["optim"], "lr": lr}}
    (path / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    (path / "environment.json").write_text(json.dumps(ENVIRONMENT))
    rows = [_row(step, lr, speed, rng) for step in range(every, num_steps + 1, every)]
    milestones = [s for s in (1, 3, 10, 30, 100, 300, 1000, 2000) if s <= num_steps]
    if evals:
        for step in milestones:
            rows.append({"step": step, "eval/perplexity/perplexity": 8 + 4000 / (1 + step)})
            write_eval(path, "minimal_pairs", step, _accuracies(step * speed, rng))
    rows.sort(key=lambda row: row["step"])
    write_lines(path / "metrics.jsonl", rows)
    write_lines(path / "samples.jsonl", _samples(num_steps, rng))
    read = num_steps * 1900
    ledger = {"read_words": read, "read_tokens": read * 5 // 4, "generated_words": 640}
    (path / "ledger.json").write_text(json.dumps(ledger))
    return path


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    """JSON Lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_eval(path: Path, name: str, step: int, measures: dict[str, float]) -> None:
    """evals/<name>/step_<step>.json with 250 trials for each measure."""
    result = {
        "eval": name, "version": 1, "milestone": f"step_{step}", "step": step,
        "measures": measures, "counts": dict.fromkeys(measures, 250),
    }  # fmt: skip
    target = path / "evals" / name / f"step_{step}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(result))


ENVIRONMENT = {
    "tutelage": "0.1.0",
    "python": "3.11.9",
    "packages": {"torch": "2.13.0", "transformers": "5.23.0", "accelerate": "1.15.0"},
    "git": {"revision": "61829b1e0c", "diff": "-a\n+b\n", "untracked": []},
    "seed": 1,
    "host": {"system": "Linux-6.1", "processor": "x86_64", "cores": 2, "gpus": []},
    "command": ["tutelage", "pretrain", "--hub-token", "hf_abcdefghijklmnop", "--seed", "1"],
    "sessions": [
        {"started": "2026-03-01T10:00:00+00:00", "resumed_from": None},
        {"started": "2026-03-01T11:00:00+00:00", "resumed_from": "step_900"},
    ],
}


def _row(step: int, lr: float, speed: float, rng: random.Random) -> dict[str, Any]:
    loss = 2.1 + 7 * math.exp(-step * speed / 250) + rng.gauss(0, 0.12)
    return {
        "step": step,
        "round": step,
        "lesson": "demonstration",
        "demonstration/loss": loss,
        "demonstration/accuracy": 0.55 - loss / 20 + rng.gauss(0, 0.01),
        "optim/lr": lr * min(1, step / 100) * (1 - step / 4000),
        "optim/grad_norm": abs(rng.gauss(0.9, 0.2)) + (14 if step == 700 else 0),
        "budget/read_words": step * 1900,
        "budget/read_tokens": step * 2375,
        "time/tokens_per_second": 21000 + rng.gauss(0, 900),
    }


def _accuracies(progress: float, rng: random.Random) -> dict[str, float]:
    grown = 1 / (1 + math.exp(-(math.log(1 + progress) - 5)))
    scores = [0.5 + (0.45 - 0.05 * i) * grown + rng.gauss(0, 0.01) for i in range(len(PHENOMENA))]
    return {"mean": sum(scores) / len(scores), **dict(zip(PHENOMENA, scores, strict=True))}


def _samples(num_steps: int, rng: random.Random) -> list[dict[str, Any]]:
    steps = [num_steps * i // 8 for i in range(9)]
    return [
        {
            "step": step,
            "kind": "sample",
            "prompt": prompt,
            "response": f" {RESPONSES[min(3, index // 2)]}",
            "scores": {"age": round(rng.uniform(1, 5), 2)},
        }
        for index, step in enumerate(steps)
        for prompt in ("Mother:", "Once there was a dog .")
    ]


STEPS = (0, *sorted({round(2 * 1.25**number) for number in range(31)}))  # 2 to 1,616


def falling(age: float, *, top: float = 14, fall: float = 10) -> Callable[[float], float]:
    """Bits over log10 steps: a fall, half of which is past at an age."""
    return lambda x: top - fall / (1 + math.exp(-(x - age) / 0.12))


def write_words(
    path: Path,
    curves: dict[str, Callable[[float], float]],
    *,
    human: dict[str, float] | None = None,
    ages: bool = True,
) -> Path:
    """Stored results of the suites surprisal and acquisition, each word with a curve of its own."""
    from tutelage.evals.acquisition import acquisition

    results = []
    for step in STEPS:
        rows = []
        for word, curve in curves.items():
            bits = curve(math.log10(max(step, 1)))
            row = {"word": word, "category": "kind", "surprisal": bits, "surprisals": [bits] * 2}
            rows.append(row)
        mean = math.fsum(row["surprisal"] for row in rows) / len(rows)
        result = {"step": step, "milestone": f"step_{step}", "measures": {"surprisal": mean},
                  "vocab_size": 2**14, "word_surprisals": rows}  # fmt: skip
        results.append((step, result))
        write_result(path, "surprisal", f"step_{step}", result)
    if ages:
        found = acquisition(results, human={"children": human} if human else None).result()
        write_result(path, "acquisition", "all", {"step": STEPS[-1], "milestone": "all", **found})
    return path


def write_result(path: Path, name: str, milestone: str, result: dict[str, Any]) -> None:
    """evals/<name>/<milestone>.json."""
    target = path / "evals" / name / f"{milestone}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(result))
