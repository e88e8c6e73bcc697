"""Writes run folders of trials as `tutelage ppo` leaves them, for the tests of reports."""

import json
import math
import random
from pathlib import Path
from typing import Any

import yaml

from reports.conftest import ENVIRONMENT, write_lines

CONFIG = {
    "recipe": "ppo",
    "seed": 1,
    "rounds": 60,
    "batch_size": 16,
    "budget": {"generated_words": None, "prompt_words": None},
    "reward": {"kind": "combine", "weights": [1.0, 0.1]},
    "kl": {"reference": "start", "coef": 0.05, "target": 6.0, "limit": None},
    "update": {"kind": "ppo", "epochs": 4, "minibatch_size": 8},
}
TERMS = ("contains", "length")
PROMPTS = ("Once there was a", "The little dog", "Mom said: “", "One day, Lily and\nher")
WORDS = {
    "early": [
        "the",
        "a",
        "it",
        "and",
        "and",
        "was",
        "the",
        "dog",
        "to",
        "to",
        ",",
        "he",
        "she",
        "of",
    ],
    "late": ["ball", "happy", "dog", "plays", "with", "the", "red", "ball", "and", "laughs"],
}


def write_trials(
    path: Path, *, rounds: int = 60, batch_size: int = 16, seed: int = 0, coef: float = 0.05
) -> Path:
    """A run of PPO on 16 responses a round, 4 epochs of 2 steps, that learns to say a word."""
    rng = random.Random(seed)
    path.mkdir(parents=True)
    config = CONFIG | {"out": str(path), "batch_size": batch_size}
    config["kl"] = CONFIG["kl"] | {"coef": coef}
    (path / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    sessions = [{"started": "2026-03-01T10:00:00+00:00", "resumed_from": None, "steps": 480}]
    (path / "environment.json").write_text(json.dumps(ENVIRONMENT | {"sessions": sessions}))
    metrics, samples, ledger = [], [], dict.fromkeys(("prompt", "generated"), 0)
    for number in range(rounds):
        responses = [_response(number, 8 * number + 1, rng) for _ in range(batch_size)]
        samples += responses
        ledger["prompt"] += sum(len(row["prompt"].split()) for row in responses)
        ledger["generated"] += sum(len(row["response"].split()) for row in responses)
        for index in range(8):
            news = _news(number, responses, coef, rng) if index == 0 else {}
            budget = {f"budget/{k}_{u}": n for k, n in ledger.items() for u in ("words", "tokens")}
            metrics.append(
                {"step": 8 * number + index + 1, "round": number, "lesson": "trial", **news}
                | _update(number, index, rng)
                | budget
            )
    write_lines(path / "metrics.jsonl", metrics)
    write_lines(path / "samples.jsonl", samples)
    counts = {f"{kind}_{unit}": n for kind, n in ledger.items() for unit in ("words", "tokens")}
    (path / "ledger.json").write_text(json.dumps(counts))
    return path


def _response(number: int, step: int, rng: random.Random) -> dict[str, Any]:
    skill = 1 / (1 + math.exp(-(number - 25) / 6))
    words = [rng.choice(WORDS["late" if rng.random() < skill else "early"]) for _ in range(12)]
    scores = {"contains": float("ball" in words), "length": rng.random()}
    return {
        "step": step,
        "round": number,
        "kind": "rollout",
        "prompt": rng.choice(PROMPTS),
        "response": " " + " ".join(words),
        "finish": rng.choices(("eos", "stop", "length"), (0.1 + skill, 0.2, 1.2 - skill))[0],
        "num_tokens": rng.randint(10, 24),
        "scores": {"total": scores["contains"] + 0.1 * scores["length"], **scores},
        "notes": None,
    }


def _news(
    number: int, responses: list[dict[str, Any]], coef: float, rng: random.Random
) -> dict[str, float]:
    """What is told of a round on the row of its first step."""
    totals = [row["scores"]["total"] for row in responses]
    mean = math.fsum(totals) / len(totals)
    finishes = [row["finish"] for row in responses]
    kl = 0.3 * (1 - math.exp(-number / 30)) + (rng.gauss(0, 0.01) if number else 0.0)
    return {
        "reward/total": mean,
        "reward/std": math.sqrt(math.fsum((t - mean) ** 2 for t in totals) / len(totals)),
        **{
            f"reward/{t}": math.fsum(r["scores"][t] for r in responses) / len(totals) for t in TERMS
        },
        "rollout/response_tokens": sum(row["num_tokens"] for row in responses) / len(totals),
        **{
            f"rollout/{finish}_fraction": finishes.count(finish) / len(totals)
            for finish in ("eos", "stop", "length", "context")
        },
        "rollout/kept_mass": 0.93 + rng.random() / 50,
        "trial/kl": kl,
        "trial/kl_per_response": 17 * kl,
        "trial/kl_coef": coef * (1 + number / 100),
        "trial/explained_variance": 0.8 - 30 * math.exp(-number / 2),
        "trial/sampled_entropy": 3 - number / 30 + rng.gauss(0, 0.1),
        "time/rollout_seconds": 0.5,
        "time/reward_seconds": 0.01,
        "time/scoring_seconds": 0.1,
    }


def _update(number: int, index: int, rng: random.Random) -> dict[str, float]:
    """What is told of every step."""
    value_loss = 0.02 + math.exp(-number / 3)
    policy_loss = rng.gauss(-0.01, 0.02)
    return {
        "trial/loss": policy_loss + 0.1 * value_loss,
        "trial/policy_loss": policy_loss,
        "trial/value_loss": value_loss,
        "trial/entropy": 3 - number / 30 + rng.gauss(0, 0.03),
        "trial/ratio": 1 + rng.gauss(0, 0.002) * index,
        "trial/clip_fraction": 0.02 * index * (1 + rng.random()),
        "trial/clamp_fraction": 0.0,
        "trial/policy_kl": 0.001 * index * (1 + rng.random()),
        "optim/lr": 2e-5,
        "optim/grad_norm": abs(rng.gauss(0.9, 0.2)),
    }
