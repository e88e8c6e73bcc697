"""TRL's reward trainer, some steps at a time, in the environment that `bench/ppo.py` makes.

For every line on standard input it makes some optimiser steps and prints what they took, as JSON.

Arguments: folder with `model` and `pairs.json`; fp32, bf16 or defaults; steps a turn; turns.
"""

import json
import sys
import time
from pathlib import Path

import torch
from datasets import Dataset
from transformers import AutoTokenizer, GPT2ForSequenceClassification, TrainerCallback
from trl import RewardConfig, RewardTrainer

AT_ONCE = 8
SETTINGS = {
    "fp32": {"bf16": False, "gradient_checkpointing": False},
    "bf16": {"bf16": True, "gradient_checkpointing": False},
    "defaults": {},
}


def main() -> None:
    folder, kind = Path(sys.argv[1]), sys.argv[2]
    steps, turns = int(sys.argv[3]), int(sys.argv[4])
    answers, sys.stdout = sys.stdout, sys.stderr  # standard output is for answers
    build(folder, kind, steps, turns, answers).train()


class SomeAtATime(TrainerCallback):
    """Waits for a line before every turn, and answers it afterwards."""

    def __init__(self, steps, answers):
        self.steps, self.answers = steps, answers
        self.losses = []
        self.began = self.used = 0.0

    def wait(self):
        """Say that the next turn can begin, and wait for a line."""
        print(json.dumps({"ready": True}), file=self.answers, flush=True)
        if sys.stdin.readline():
            self.began, self.used = time.perf_counter(), time.process_time()

    def on_train_begin(self, *_, **__):
        """The first turn waits, too."""
        self.wait()

    def on_log(self, args, state, control, logs, **_):
        """Every step is logged: after the last of a turn, say what the turn took."""
        if "loss" not in logs:
            return
        self.losses.append(logs["loss"])
        if state.global_step % self.steps:
            return
        answer = {
            "wall": time.perf_counter() - self.began,
            "cpu": time.process_time() - self.used,
            "peak": peak(),
            "losses": self.losses,
        }
        print(json.dumps(answer), file=self.answers, flush=True)
        if state.global_step < state.max_steps:
            self.wait()


def build(folder, kind, steps, turns, answers):
    work = json.loads((folder / "pairs.json").read_text())
    settings = RewardConfig(
        output_dir=str(folder / "trl"),
        per_device_train_batch_size=AT_ONCE,
        gradient_accumulation_steps=work["batch_size"] // AT_ONCE,
        max_steps=steps * turns,
        learning_rate=work["lr"],
        train_sampling_strategy="sequential",  # the pairs are in the order of the other arms
        max_length=None,  # they were filtered already
        logging_steps=1,
        use_cpu=True,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        **SETTINGS[kind],
    )
    return RewardTrainer(
        model=GPT2ForSequenceClassification.from_pretrained(folder / "model"),
        args=settings,
        train_dataset=Dataset.from_dict(
            {name: work[name] for name in ("chosen_ids", "rejected_ids")}
        ),
        processing_class=AutoTokenizer.from_pretrained(folder / "model"),
        callbacks=[SomeAtATime(steps, answers)],
    )


def peak():
    """The highest resident size of this process so far, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
