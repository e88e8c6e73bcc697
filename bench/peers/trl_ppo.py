"""TRL's PPO, an iteration at a time. Runs in an environment of its own, which `bench/ppo.py` makes.

For every line on standard input it makes one iteration and prints what that took, as JSON.

Arguments: folder with `student`, `reward_model` and `prompts.json`; epochs; iterations.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from transformers import (
    AutoTokenizer,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    TrainerCallback,
)
from trl.experimental.ppo import PPOConfig, PPOTrainer, ppo_trainer

ROWS, MINIBATCHES, NEW = 64, 4, 64


def main() -> None:
    folder, epochs, iterations = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    answers, sys.stdout = sys.stdout, sys.stderr  # standard output is for answers
    clock = Clock()
    trainer = build(folder, epochs, iterations, clock, answers)
    watch_parts(trainer, clock)
    trainer.train()


class Clock:
    """When the parts of an iteration began, and how many steps the optimiser made."""

    def __init__(self):
        self.steps = 0
        self.marks = {}

    def start(self):
        """An iteration begins."""
        self.steps = 0
        self.marks = {"start": time.perf_counter(), "cpu": time.process_time()}

    def mark(self, name):
        """Something is reached for the first time in this iteration."""
        self.marks.setdefault(name, time.perf_counter())

    def parts(self):
        """Seconds of each part; `score` holds everything between sampling and updates."""
        now, marks = time.perf_counter(), self.marks
        return {
            "wall": now - marks["start"],
            "cpu": time.process_time() - marks["cpu"],
            "sample": marks["sampled"] - marks["start"],
            "score": marks["update"] - marks["sampled"],
            "update": now - marks["update"],
            "steps": self.steps,
        }


class OneAtATime(TrainerCallback):
    """Waits for a line before every iteration, and answers it afterwards."""

    def __init__(self, clock, answers):
        self.clock, self.answers = clock, answers

    def wait(self):
        """Say that the next iteration can begin, and wait for a line."""
        print(json.dumps({"ready": True}), file=self.answers, flush=True)
        if sys.stdin.readline():
            self.clock.start()

    def on_train_begin(self, *_, **__):
        """The first iteration waits, too."""
        self.wait()

    def on_step_end(self, args, state, control, **_):
        """Say what an iteration took."""
        answer = {**self.clock.parts(), "peak": peak()}
        print(json.dumps(answer), file=self.answers, flush=True)
        if state.global_step < state.max_steps:
            self.wait()


def build(folder, epochs, iterations, clock, answers):
    tokenizer = AutoTokenizer.from_pretrained(folder / "student", padding_side="left")
    rows = json.loads((folder / "prompts.json").read_text())
    value_model, reward_model = (
        GPT2ForSequenceClassification.from_pretrained(folder / "reward_model") for _ in range(2)
    )
    settings = PPOConfig(
        output_dir=str(folder / "trl"),
        per_device_train_batch_size=ROWS // MINIBATCHES,
        gradient_accumulation_steps=MINIBATCHES,
        num_mini_batches=MINIBATCHES,
        num_ppo_epochs=epochs,
        total_episodes=ROWS * iterations,
        response_length=NEW,
        temperature=1.0,
        num_sample_generations=0,
        bf16=False,
        gradient_checkpointing=False,
        use_cpu=True,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
    )
    return PPOTrainer(
        args=settings,
        processing_class=tokenizer,
        model=GPT2LMHeadModel.from_pretrained(folder / "student"),
        ref_model=GPT2LMHeadModel.from_pretrained(folder / "student"),
        reward_model=reward_model,
        value_model=value_model,
        train_dataset=Dataset.from_dict({"input_ids": rows}),
        callbacks=[OneAtATime(clock, answers)],
    )


def watch_parts(trainer, clock):
    """Mark the end of sampling, the beginning of the update, and the optimiser's real steps."""
    generate, permutation = ppo_trainer.batch_generation, np.random.permutation

    def batch_generation(*args, **options):
        found = generate(*args, **options)
        clock.mark("sampled")
        return found

    def shuffled(*args):
        clock.mark("update")  # the first thing that every epoch does
        return permutation(*args)

    def count(*_):
        clock.steps += 1

    ppo_trainer.batch_generation, np.random.permutation = batch_generation, shuffled
    trainer.optimizer.optimizer.register_step_post_hook(count)


def peak():
    """The highest resident size of this process so far, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
