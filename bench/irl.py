"""A step of imitation by inverse reinforcement learning beside a step of supervised fine-tuning.

Prints one JSON line. All arms train one GPT-2 of 4 layers, 4 heads, width 256 and vocabulary
50,257 on the same 16 texts of 128 tokens a step, with the recipes' own lesson, loop and optimiser:

- sft: the likelihood; irl: with rewards and their penalty, without a reference.
- irl_kl: with the KL to a frozen reference of the student's size over all tokens; irl_drawn: with
  the KL estimated from one drawn token in each state.
- sft_entropy, irl_entropy: the same as without, and the entropy is logged.
- formula, formula_kl: irl and irl_kl as they are written down, with log-softmax and gather over
  full logits of all texts at once.

Arms take turns; ratios are medians over turns. Losses and gradients of the formula are compared
with the lesson's. Memory is that of a step, each arm in a process of its own: the highest resident
size during a step over that before it, where the allocator returns freed memory at once. The
lesson reads at most 1,536 tokens at once on a CPU; the formula's memory is measured so, too.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from tutelage.batch import Batch
from tutelage.lessons.completions import Columns, Row
from tutelage.lessons.imitation import Imitation, Portion, Terms
from tutelage.models.attention import autocast_attention
from tutelage.models.student import StudentConfig
from tutelage.models.student_module import Student
from tutelage.recipes.references import frozen
from tutelage.train.compute import Compute, ComputeConfig
from tutelage.train.loop import Learner, Progress, train
from tutelage.train.optim import Optim

VOCAB, ROWS, LENGTH, SEED = 50_257, 16, 128, 0
IRL = Terms(lambda_td=0.1, gamma=0.99)
KL = IRL._replace(lambda_kl=0.01)
ARMS = {
    "sft": Terms(),
    "irl": IRL,
    "irl_kl": KL,
    "irl_drawn": KL._replace(sampled_kl=True),
    "sft_entropy": Terms(shows_entropy=True),
    "irl_entropy": IRL._replace(shows_entropy=True),
    "formula": IRL,
    "formula_kl": KL,
}
FORMULAS = {"irl": "formula", "irl_kl": "formula_kl"}
PORTIONS = {name: f"{formula}_in_portions" for name, formula in FORMULAS.items()}
GOALS = {"irl": 1.05, "irl_kl": 1.8, "memory": 0.1}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=7, help="times that every arm takes a turn")
    parser.add_argument("--steps", type=int, default=2, help="steps of a turn")
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto")
    parser.add_argument("--part", choices=["speed", "memory", "equality"], help="this one alone")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        print(json.dumps(step_memory(Arm(options.memory_of, Work(options.precision)))))
        return 0
    parts = [options.part] if options.part else ["speed", "memory", "equality"]
    result: dict[str, Any] = {"bench": "irl", "precision": options.precision}
    if "speed" in parts:
        result |= by_seconds(measure(Work(options.precision), options.pairs, options.steps))
    if "memory" in parts:
        arms = ["sft", *FORMULAS, *FORMULAS.values(), *PORTIONS.values()]
        result |= by_memory({arm: memory_in_process(arm, options.precision) for arm in arms})
    if "equality" in parts:
        differences = {precision: compare(Work(precision)) for precision in ("fp32", "bf16")}
        result["largest_relative_differences"] = differences
    machine = {
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": [round(load, 1) for load in os.getloadavg()],
    }
    print(json.dumps({**result, "goals": GOALS, **machine}))
    return 0


# The work


class Work:
    """A student, its reference, and what they read."""

    def __init__(self, precision: str):
        words = {f"w{number}": number for number in range(VOCAB - 1)} | {"<end>": VOCAB - 1}
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=Tokenizer(WordLevel(words, unk_token="w0")),
            bos_token="<end>",
            eos_token="<end>",
        )
        config = StudentConfig(size="5m", context=LENGTH)
        self.compute: Compute = ComputeConfig(precision=precision, use_cpu=True).build()  # pyright: ignore
        self.student: Student = config.build(tokenizer, seed=SEED)
        self.reference = frozen(config.build(tokenizer, seed=SEED + 1), self.compute.device)
        rng = torch.Generator().manual_seed(SEED)
        texts = torch.randint(VOCAB, (8 * ROWS, LENGTH), generator=rng).tolist()
        self.rows = [Row(text, 1, True, 1, LENGTH) for text in texts]
        optim = Optim(schedule="constant", warmup_steps=0)
        self.optimizer, self.scheduler = optim.build(self.student, total_steps=1)


class Arm:
    """One way to learn, in the recipes' loop."""

    def __init__(self, name: str, work: Work):
        self.work = work
        terms, is_formula = name.removesuffix("_in_portions"), name.startswith("formula")
        lesson = Imitation if not is_formula else Formula if name == terms else InPortions
        self.lesson = lesson(
            work.rows,
            terms=ARMS[terms],
            reference=work.reference,
            batch_size=ROWS,
            microbatch_tokens=None,
            seed=SEED,
            machine=work.compute,
        )
        self.progress = Progress()

    def run(self, steps: int) -> None:
        """Make some optimiser steps."""
        work = self.work
        train(
            work.student,
            {"imitation": Learner(self.lesson, work.optimizer, work.scheduler, 1.0)},
            lambda _: ["imitation"],
            steps=self.progress.step + steps,
            compute=work.compute,
            progress=self.progress,
        )


class InPortions(Imitation):
    """The formula over full logits."""

    def loss(
        self, student: torch.nn.Module, microbatch: Portion
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The summed loss of some rows."""
        terms, device = microbatch.terms, self.machine.device
        columns = Columns.of(microbatch.rows, bootstrap=False, device=device)
        logits = full_logits(student, columns.token_ids)
        logprobs = logits.log_softmax(-1)
        chosen = logprobs.gather(-1, columns.token_ids[:, 1:, None]).squeeze(-1)
        values = logits.logsumexp(-1)
        following = torch.cat([values[:, 1:], torch.zeros_like(values[:, :1])], 1)
        rewards = values + chosen - terms.gamma * following.masked_fill(columns.is_end, 0)
        losses = -chosen + terms.lambda_td * rewards.square()
        if terms.lambda_kl:
            assert self.reference is not None
            with self.reference() as reference, torch.no_grad():
                ref_logprobs = full_logits(reference, columns.token_ids).log_softmax(-1)
            losses = losses + terms.lambda_kl * (logprobs.exp() * (logprobs - ref_logprobs)).sum(-1)
        return losses[columns.learned].sum(), {}


class Formula(InPortions):
    """The same, of all texts at once."""

    def batch(self, student: torch.nn.Module, step: int) -> Batch:
        """The batch of a step, in one piece."""
        batch = super().batch(student, step)
        rows = [row for portion in batch.microbatches for row in portion.rows]
        return batch._replace(microbatches=[batch.microbatches[0]._replace(rows=rows)])


def full_logits(student: Any, token_ids: Tensor) -> Tensor:
    """Logits before every token but each row's first."""
    with autocast_attention(student.base):
        return student.base(token_ids, use_cache=False).logits[:, :-1].float()


# Speed


class Seconds(NamedTuple):
    """What a step took; busy machines disturb CPU seconds less."""

    wall: float
    cpu: float


def measure(work: Work, pairs: int, steps: int) -> dict[str, list[Seconds]]:
    """Seconds per step of each arm in each turn."""
    arms = {name: Arm(name, work) for name in ARMS}
    seconds: dict[str, list[Seconds]] = {name: [] for name in arms}
    for name in arms:
        arms[name].run(1)
    for pair in range(pairs):
        first = 3 * pair % len(arms)  # everyone comes after everyone
        for name in [*arms, *arms][first : first + len(arms)]:
            began, used = time.perf_counter(), time.process_time()
            arms[name].run(steps)
            wall, cpu = time.perf_counter() - began, time.process_time() - used
            seconds[name].append(Seconds(wall / steps, cpu / steps))
        print({name: values[-1] for name, values in seconds.items()}, file=sys.stderr)
    return seconds


# Memory


def memory_in_process(arm: str, precision: str) -> dict[str, int]:
    """Memory of one arm's step, measured in a process of its own."""
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
    command = [sys.executable, __file__, "--memory-of", arm, "--precision", precision]
    output = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout
    return json.loads(output.splitlines()[-1])


def step_memory(arm: Arm) -> dict[str, int]:
    """Highest resident size during a step over that before it, and the latter, in bytes."""
    arm.run(1)  # from here on the optimiser's state is there
    extra, before = [], 0
    for _ in range(2):
        Path("/proc/self/clear_refs").write_text("5")  # the highest size counts from here
        before = status("VmRSS")
        arm.run(1)
        extra.append(status("VmHWM") - before)
    return {"extra": min(extra), "before": before}


def status(name: str) -> int:
    """A size from this process's status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024


# Equality


def compare(work: Work) -> dict[str, dict[str, float]]:
    """How far the formula's loss and gradients are from the lesson's, as parts of their sizes."""
    found = {name: loss_and_gradients(Arm(name, work)) for name in [*FORMULAS, *FORMULAS.values()]}
    return {
        name: {
            part: round(float((mine - theirs).abs().max() / theirs.abs().max()), 8)
            for part, mine, theirs in zip(
                ("loss", "gradients"), found[name], found[formula], strict=True
            )
        }
        for name, formula in FORMULAS.items()
    }


def loss_and_gradients(arm: Arm) -> tuple[Tensor, Tensor]:
    """The mean loss of a batch, and all its gradients in one row."""
    student, compute = arm.work.student, arm.work.compute
    student.zero_grad()
    batch, total = arm.lesson.batch(student, 0), torch.zeros(())
    for portion in batch.microbatches:
        with compute.autocast():
            loss = arm.lesson.loss(student, portion)[0] / batch.num_terms
        loss.backward()
        total = total + loss.detach()
    return total, torch.cat([p.grad.flatten() for p in student.parameters() if p.grad is not None])


# Result


def by_seconds(seconds: dict[str, list[Seconds]]) -> dict[str, Any]:
    """What steps take, as multiples of that of supervised fine-tuning."""

    def ratio(one: str, other: str, clock: str) -> float:
        pairs = zip(seconds[one], seconds[other], strict=True)
        return round(statistics.median(getattr(a, clock) / getattr(b, clock) for a, b in pairs), 3)

    def ratios(clock: str) -> dict[str, float]:
        return {name: ratio(name, "sft", clock) for name in ARMS if name != "sft"}

    def medians(clock: str) -> dict[str, float]:
        return {
            name: round(statistics.median(getattr(turn, clock) for turn in turns), 3)
            for name, turns in seconds.items()
        }

    return {
        "ratio": ratio("irl", "sft", "wall"),
        "goal": GOALS["irl"],
        "ours": medians("wall")["irl"],
        "peer": medians("wall")["sft"],
        "unit": "seconds a step",
        "pairs": len(seconds["sft"]),
        "ratios_to_sft": ratios("wall"),
        "ratios_to_sft_of_cpu_seconds": ratios("cpu"),
        "entropy_adds": {
            clock: round(ratio("irl_entropy", "irl", clock) - 1, 3) for clock in ("wall", "cpu")
        },
        "seconds": medians("wall"),
        "cpu_seconds": medians("cpu"),
    }


def by_memory(memory: dict[str, dict[str, int]]) -> dict[str, Any]:
    """What steps need, as parts of what the formula does."""

    def ratios(formulas: Mapping[str, str]) -> dict[str, float]:
        return {
            name: round(memory[name]["extra"] / memory[formula]["extra"], 3)
            for name, formula in formulas.items()
        }

    return {
        "ratios_of_memory": ratios(FORMULAS),
        "ratios_of_memory_in_portions": ratios(PORTIONS),
        "memory_mb": {arm: {k: v >> 20 for k, v in sizes.items()} for arm, sizes in memory.items()},
    }


if __name__ == "__main__":
    sys.exit(main())
