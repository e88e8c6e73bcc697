"""One cycle of trials and demonstrations beside the way the paper's released code takes it.

Prints one JSON line. A cycle is three steps of imitation (128 blocks of 128 tokens) and one of
interaction: 128 prompts of 5 tokens, a trial and a demonstration of 128 tokens in all for each,
ages by an age model, PPO over both, and two imitations of the texts (`--mode released_code`).

- tutelage: the recipe's own session and loop, in its default precision, PPO in minibatches of 16.
- released: the same work as the released code does it, written here: `generate` of Transformers for
  each author, up to 122 tokens in all; log-probabilities and values of student and reference in
  passes of their own, over the prompt and, once more, the prompt with the text; ages of trials in
  batches of 16 padded to the longest; PPO in minibatches of 16, with the entropy in its loss at
  weight 0; imitation in batches of 32 whose gradients are collected; fp32, full logits, and the
  activation that GPT-2 has by default in Transformers (the same function, in seven operations).

`--size laptop` is a GPT-2 of 4 layers and width 256 with a vocabulary of 8,192; `--size gpt2-small`
is the paper's. Teacher and age model have new weights: what they say costs as much as if they knew.
The first turn of each is not counted, unless `--cold` says so: those of a large model take long.
"""

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch.nn import functional as F
from transformers import (
    AutoTokenizer,
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
)

from tutelage.data.grammar import NurseryCorpus
from tutelage.data.tokenizer import TokenizerConfig
from tutelage.lessons.updates import PpoUpdate
from tutelage.models.readouts import LastToken
from tutelage.models.reward_folder import Facts
from tutelage.models.reward_model import Trunk
from tutelage.models.student import SIZES, StudentConfig
from tutelage.objectives.ppo import clipped_surrogate, clipped_value_loss, gae
from tutelage.recipes.tnd import Tnd
from tutelage.recipes.tnd_teachers import AgeModel, Demonstrator
from tutelage.run_folder import RunFolder
from tutelage.train.compute import ComputeConfig
from tutelage.train.loop import train

BATCH, LENGTH, PROMPT, MINIBATCH = 128, 128, 5, 16
RELEASED_LENGTH = LENGTH - PROMPT - 1
GOAL = 3.0
TEACHER_STEP = 1000


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=3, help="times that each arm takes a turn")
    parser.add_argument("--size", choices=("laptop", "gpt2-small"), default="laptop")
    parser.add_argument("--cold", action="store_true", help="count the first turns, too")
    options = parser.parse_args()
    first = 0 if options.cold else 1
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_CACHE_HOME"] = name
        folder = Path(name)
        tokenizer = write_models(folder, options.size)
        cycles = options.pairs + first
        ours, peer = Ours(folder, options.size, cycles), Released(folder, tokenizer)
        turns = [(ours.cycle(), peer.cycle()) for _ in range(cycles)][first:]
    ratios = [theirs["total"] / own["total"] for own, theirs in turns]
    result = {
        "bench": "tnd",
        "ratio": round(statistics.median(ratios), 2),
        "goal": GOAL,
        "ours": round(statistics.median(own["total"] for own, _ in turns), 2),
        "peer": round(statistics.median(theirs["total"] for _, theirs in turns), 2),
        "unit": "s/cycle",
        "pairs": len(turns),
        "breakdown": {
            "size": options.size,
            "ratios": [round(ratio, 2) for ratio in ratios],
            "ours": medians([own for own, _ in turns]),
            "peer": medians([theirs for _, theirs in turns]),
            "load": os.getloadavg()[0],
        },
    }
    print(json.dumps(result))
    return 0


def medians(turns: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(turn[name] for turn in turns), 2) for name in turns[0]}


def shape(size: str) -> dict[str, int]:
    layers, heads, width, context = SIZES["5m" if size == "laptop" else size]
    return {"layers": layers, "heads": heads, "width": width, "context": max(context, 256)}


def write_models(folder: Path, size: str) -> Any:
    """Teacher and age model with new weights."""
    vocab = 8_192 if size == "laptop" else 50_000
    corpus = NurseryCorpus(num_words=300_000)
    tokenizer = TokenizerConfig(vocab_size=vocab, min_frequency=2).build(corpus, folder)
    teacher = StudentConfig(**shape(size)).build(tokenizer, seed=1)
    teacher.save(folder / "teacher", tokenizer)
    facts = Facts(readout=LastToken(), learned="ages", max_tokens=256, add_eos=True)
    Trunk(size="2m").build(tokenizer, facts, seed=2).save(folder / "age", tokenizer)
    return AutoTokenizer.from_pretrained(folder / "teacher")


class Ours:
    """The recipe's session, four rounds at a time."""

    def __init__(self, folder: Path, size: str, cycles: int):
        config = Tnd(
            mode="released_code",
            steps=4 * cycles,
            data=NurseryCorpus(num_words=300_000),
            student=StudentConfig(**shape(size)),
            demonstrator=Demonstrator(path=str(folder / "teacher"), step=TEACHER_STEP),
            age=AgeModel(path=str(folder / "age")),
            update=PpoUpdate(epochs=1, minibatch_size=MINIBATCH),
        )
        run = RunFolder(folder / "run")
        compute = ComputeConfig(use_cpu=not torch.cuda.is_available()).build()
        self.session = config.session(compute, run, Console(quiet=True))
        self.marks: dict[str, float] = {}

    def cycle(self) -> dict[str, float]:
        """Seconds of each part."""
        session, progress = self.session, self.session.progress
        self.marks = {"imitation": 0.0, "sample": 0.0, "reward": 0.0, "score": 0.0, "update": 0.0}
        began = time.perf_counter()
        updates = sum(
            session.learners[name].lesson.steps_per_round
            for round in range(progress.round, progress.round + 4)
            for name in session.curriculum(round)
        )
        train(
            session.student,
            session.learners,
            session.curriculum,
            steps=progress.step + updates,
            compute=session.compute,
            progress=progress,
            after_step=[self.note],
        )
        return {"total": time.perf_counter() - began, **self.marks}

    def note(self, progress: Any) -> None:
        """Add what a step took to its part."""
        metrics = progress.metrics
        seconds = metrics["time/step_seconds"]
        kind = "imitation" if metrics["lesson"] == "demonstration" else "update"
        for name, key in (("sample", "rollout"), ("reward", "reward"), ("score", "scoring")):
            part = metrics.get(f"time/{key}_seconds", 0.0)
            self.marks[name] += part
            seconds -= part
        self.marks[kind] += seconds


class Released:
    """The same cycle, step by step as the released code takes it."""

    def __init__(self, folder: Path, tokenizer: Any):
        torch.manual_seed(0)
        self.tokenizer = tokenizer
        config = GPT2Config.from_pretrained(folder / "teacher")
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        config.activation_function = "gelu_new"  # as in a `GPT2Config` nobody sets it in
        self.student = GPT2LMHeadModel(config).to(self.device)
        self.value_head = torch.nn.Linear(config.n_embd, 1).to(self.device)
        self.teacher = GPT2LMHeadModel.from_pretrained(folder / "teacher", config=config)
        self.teacher = self.teacher.to(self.device).eval()
        self.reward = GPT2ForSequenceClassification.from_pretrained(folder / "age")
        self.reward = self.reward.to(self.device).eval()
        self.reward.config.pad_token_id = tokenizer.pad_token_id
        self.clm = torch.optim.AdamW(self.student.parameters(), lr=1e-4)
        learned = [*self.student.parameters(), *self.value_head.parameters()]
        self.ppo = torch.optim.Adam(learned, lr=2e-5)
        self.rng = torch.Generator().manual_seed(0)

    def cycle(self) -> dict[str, float]:
        """Seconds of each part."""
        marks = [time.perf_counter()]
        for _ in range(3):
            ids = torch.randint(len(self.tokenizer), (BATCH, LENGTH), generator=self.rng)
            self.imitate(ids.to(self.device))
        marks.append(time.perf_counter())
        prompts = torch.randint(2, len(self.tokenizer), (BATCH, PROMPT), generator=self.rng)
        prompts = prompts.to(self.device)
        texts = [self.write(model, prompts) for model in (self.student, self.teacher)]
        marks.append(time.perf_counter())
        known = torch.full((BATCH,), math.log2(TEACHER_STEP), device=self.device)
        scores = torch.cat([self.score(texts[0]), known])
        marks.append(time.perf_counter())
        width = max(ids.shape[1] for ids in texts)
        learned = torch.cat([F.pad(t, (0, width - t.shape[1]), value=0) for t in texts])
        ids = torch.cat([torch.cat([prompts] * len(texts)), learned], dim=1)
        with torch.no_grad():
            old = [self.look(part)[:2] for part in ids.split(MINIBATCH)]
            for part in ids.split(MINIBATCH):
                self.look(part)  # the reference, which is the student itself
        marks.append(time.perf_counter())
        self.learn(ids, old, scores)
        learned = learned[torch.randperm(len(learned), generator=self.rng).to(self.device)]
        for half in learned.chunk(2):
            self.imitate(half)
        self.imitate(learned)
        marks.append(time.perf_counter())
        names = ("imitation", "sample", "reward", "score", "update")
        parts = {name: b - a for name, a, b in zip(names, marks, marks[1:], strict=False)}
        return {"total": marks[-1] - marks[0], **parts}

    def imitate(self, ids: torch.Tensor) -> None:
        """One update, from batches of 32."""
        self.student.train()
        for part in ids.split(32):
            self.student(part, labels=part).loss.backward()
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        self.clm.step()
        self.clm.zero_grad()

    def write(self, model: Any, prompts: torch.Tensor) -> torch.Tensor:
        """Prompts with what a model adds to them."""
        model.eval()
        return model.generate(
            prompts,
            attention_mask=torch.ones_like(prompts),
            do_sample=True,
            top_k=20,
            top_p=0.95,
            max_length=RELEASED_LENGTH,
            pad_token_id=self.tokenizer.pad_token_id,
        )

    def score(self, ids: torch.Tensor) -> torch.Tensor:
        """Ages of texts, in batches of 16."""
        texts = self.tokenizer.batch_decode(ids, skip_special_tokens=True)
        found = []
        with torch.no_grad():
            for start in range(0, len(texts), 16):
                part = self.tokenizer(
                    texts[start : start + 16], padding=True, return_tensors="pt"
                ).to(self.device)
                found.append(self.reward(**part).logits[:, 0])
        return torch.cat(found)

    def look(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Log-probabilities and values of all tokens but the first, and the full logits."""
        output = self.student(ids, output_hidden_states=True)
        logits = output.logits[:, :-1]
        chosen = logits.log_softmax(-1).gather(-1, ids[:, 1:, None]).squeeze(-1)
        return chosen, self.value_head(output.hidden_states[-1][:, :-1]).squeeze(-1), logits

    def learn(self, ids: torch.Tensor, old: list[Any], scores: torch.Tensor) -> None:
        """PPO, a minibatch of 16 after another."""
        self.student.eval()
        for part, (logprobs, values), worth in zip(
            ids.split(MINIBATCH), old, scores.split(MINIBATCH), strict=True
        ):
            mask = torch.zeros_like(logprobs, dtype=torch.bool)
            mask[:, PROMPT - 1 :] = True
            rewards = torch.zeros_like(logprobs)
            rewards[:, -1] = worth
            advantages, returns = gae(
                rewards, values, mask, gamma=1.0, lam=0.95, bootstrap=torch.zeros_like(worth)
            )
            now, judged, logits = self.look(part)
            entropies = logits.logsumexp(-1) - (logits.softmax(-1) * logits).sum(-1)
            policy = clipped_surrogate(now, logprobs, advantages, clip=0.2)
            value = clipped_value_loss(judged, values, returns, clip=0.2)
            loss = policy[mask].mean() + 0.0 * entropies[mask].mean() + 0.1 * value[mask].mean()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
            self.ppo.step()
            self.ppo.zero_grad()


if __name__ == "__main__":
    sys.exit(main())
