"""Sampling beside `generate` of Transformers: the same student, prompts and number of tokens.

Prints one JSON line. 64 prompts of 5 to 16 tokens, 64 new tokens each: the end token is banned on
both sides. The student is a GPT-2 of 4 layers, 4 heads, width 256, vocabulary 8,192. Arms take
turns within a pair; ratios are medians over pairs.

- tutelage: the sampler, with log-probabilities of what was drawn, in float32 and in bfloat16.
- generate: with its own settings, in float32; it returns tokens alone.
"""

import argparse
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from transformers import GenerationConfig

from tutelage.memory import keep_freed_memory
from tutelage.models.student import StudentConfig
from tutelage.models.student_module import Student
from tutelage.rollout.engine import Sampling, sample

ROWS, NEW, VOCAB, END = 64, 64, 8_192, 0
KINDS = {"plain": {"top_k": 0, "top_p": 1.0}, "truncated": {"top_k": 20, "top_p": 0.95}}
GOALS = {"truncated": 2.5, "plain": 2.0}


class Seconds(NamedTuple):
    """What one call took; busy machines disturb CPU seconds less."""

    wall: float
    cpu: float


class Tokens:
    """As much of a tokenizer as the sampler asks for."""

    bos_token_id = eos_token_id = pad_token_id = END

    def __len__(self) -> int:
        return VOCAB

    def decode(self, token_ids: list[int], **_: Any) -> str:
        """Numbers."""
        return " ".join(map(str, token_ids))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=7, help="times that every arm takes a turn")
    options = parser.parse_args()
    keep_freed_memory()  # as recipes do; it serves all arms
    arms = all_arms()
    for arm in arms.values():
        arm()  # warm up
    seconds: dict[str, list[Seconds]] = {name: [] for name in arms}
    for pair in range(options.pairs):
        for name in list(arms) if pair % 2 else reversed(arms):
            seconds[name].append(timed(arms[name]))
        print({name: values[-1] for name, values in seconds.items()}, file=sys.stderr)
    print(json.dumps(summary(seconds)))
    return 0


def all_arms() -> dict[str, Callable[[], None]]:
    """Every way of sampling, plain and truncated."""
    student: Any = StudentConfig(size="5m").build(Tokens(), seed=0).eval()  # pyright: ignore
    rng = random.Random(0)
    prompts = [[rng.randrange(1, VOCAB) for _ in range(rng.randint(5, 16))] for _ in range(ROWS)]
    arms = {}
    for kind, cut in KINDS.items():
        arms[f"tutelage_bf16/{kind}"] = lambda cut=cut: ours(student, prompts, cut, bf16=True)
        arms[f"tutelage_fp32/{kind}"] = lambda cut=cut: ours(student, prompts, cut, bf16=False)
        arms[f"generate/{kind}"] = lambda cut=cut: peer(student, prompts, cut)
    return arms


def ours(student: Student, prompts: list[list[int]], cut: dict[str, Any], *, bf16: bool) -> None:
    sampling = Sampling(max_tokens=NEW, min_tokens=NEW, **cut)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        rollout = sample(student, Tokens(), prompts, sampling, seed=0)
    assert rollout.mask.sum() == ROWS * NEW


def peer(student: Student, prompts: list[list[int]], cut: dict[str, Any]) -> None:
    width = max(map(len, prompts))
    token_ids = torch.tensor([[END] * (width - len(row)) + row for row in prompts])
    lengths = torch.tensor([len(row) for row in prompts])
    settings = GenerationConfig(
        max_new_tokens=NEW,
        min_new_tokens=NEW,
        do_sample=True,
        eos_token_id=END,
        pad_token_id=END,
        **cut,
    )
    mask = (torch.arange(width) >= width - lengths[:, None]).long()
    output = student.base.generate(token_ids, attention_mask=mask, generation_config=settings)  # pyright: ignore
    assert output.shape == (ROWS, width + NEW)


def timed(arm: Callable[[], None]) -> Seconds:
    began, used = time.perf_counter(), time.process_time()
    arm()
    return Seconds(time.perf_counter() - began, time.process_time() - used)


def summary(seconds: dict[str, list[Seconds]]) -> dict[str, Any]:
    """The JSON line."""

    def ratio(precision: str, kind: str, clock: str) -> float:
        pairs = zip(
            seconds[f"tutelage_{precision}/{kind}"], seconds[f"generate/{kind}"], strict=True
        )
        return round(statistics.median(getattr(b, clock) / getattr(a, clock) for a, b in pairs), 3)

    def ratios(clock: str) -> dict[str, float]:
        cases = [(precision, kind) for kind in GOALS for precision in ("fp32", "bf16")]
        return {f"{kind}_{precision}": ratio(precision, kind, clock) for precision, kind in cases}

    rates = {name: [round(ROWS * NEW / s.wall) for s in runs] for name, runs in seconds.items()}
    return {
        "bench": "sampling",
        "ratio": ratio("fp32", "truncated", "wall"),
        "goal": GOALS["truncated"],
        "ours": statistics.median(rates["tutelage_fp32/truncated"]),
        "peer": statistics.median(rates["generate/truncated"]),
        "unit": "new tokens/s",
        "pairs": len(rates["generate/plain"]),
        "ratios": ratios("wall"),
        "ratios_of_cpu_seconds": ratios("cpu"),
        "goals": GOALS,
        "tokens_per_second": rates,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
    }


if __name__ == "__main__":
    sys.exit(main())
