"""`tutelage pretrain`: a student learns to predict text, from scratch or further (PRE-1, PRE-2)."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, PositiveFloat, PositiveInt

from tutelage.config import Config, UserError
from tutelage.data import AnyCorpus
from tutelage.data.corpora import BabyLMCorpus, TinyStoriesCorpus
from tutelage.data.grammar import NurseryCorpus
from tutelage.data.tokenizer import TokenizerConfig
from tutelage.evals.along import Along
from tutelage.evals.minimal_pairs import MinimalPairs
from tutelage.models.student import StudentConfig
from tutelage.recipes.conduct import conduct
from tutelage.recipes.text import Samples, Text, evaluate, read_text, refuse_long_blocks
from tutelage.run_folder import RunFolder, default_path
from tutelage.train.checkpoint import Hub
from tutelage.train.compute import ComputeConfig
from tutelage.train.loop import Learner
from tutelage.train.milestones import Milestones
from tutelage.train.optim import Optim
from tutelage.train.session import Saving, Session
from tutelage.train.trackers import Trackers

if TYPE_CHECKING:
    from rich.console import Console

    from tutelage.train.compute import Compute


class Pretrain(Config):
    """Train a student to predict text, from scratch or starting from a saved model."""

    out: Path | None = None
    """Folder of the run, which must not exist yet; default runs/pretrain-<date>-<time>."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of initial weights, data order and samples."""
    steps: PositiveInt | None = None
    """Optimiser steps; default: one epoch, or what `epochs` says."""
    epochs: PositiveFloat | None = None
    """Passes over the corpus, instead of `steps`."""
    strict: bool = False
    """Refuse to start from a git tree with uncommitted or untracked files."""
    batch_size: PositiveInt = 16
    """Blocks per optimiser step, over all processes and micro-batches."""
    microbatch_size: PositiveInt | None = None
    """Most blocks per forward pass; lower it to save memory, results stay the same. On a CPU there
    are never more than 2,048 tokens, which is fastest."""
    block_length: Annotated[int, Field(ge=2)] = 128
    """Tokens per block; at most the student's context."""
    document_mask: bool = False
    """Documents packed into one block do not see each other."""
    data: AnyCorpus = NurseryCorpus()
    """Text to learn from."""
    eval_data: AnyCorpus | None = None
    """Held-out text, for perplexity at milestones."""
    evals: Along = Along()
    """What else to measure at milestones; a suite is on as soon as one of its options is given."""
    tokenizer: TokenizerConfig = TokenizerConfig()
    """Tokenizer to train on the corpus or to reuse."""
    student: StudentConfig = StudentConfig()
    """Who learns."""
    optim: Optim = Optim()
    """Optimiser and schedule."""
    compute: ComputeConfig = ComputeConfig()
    """Precision and sharding."""
    milestones: Milestones = Milestones()
    """When checkpoints are saved and evaluated."""
    saving: Saving = Saving()
    """How often metrics, evaluations and resume points are written."""
    samples: Samples = Samples()
    """Samples that the student writes along the way."""
    trackers: Trackers = Trackers()
    """Experiment trackers."""
    hub: Hub = Hub()
    """Push of milestones to the hub."""

    def check(self) -> None:
        """Refuse what can be refused before anything heavy loads."""
        if self.steps is not None and self.epochs is not None:
            raise UserError("--steps and --epochs both say how long to train. Give one of them.")
        if self.microbatch_size is not None and self.microbatch_size > self.batch_size:
            raise UserError(
                f"--microbatch-size {self.microbatch_size} is more than "
                f"--batch-size {self.batch_size}. Lower it: it is a part of a batch."
            )
        self.student.check()
        self.data.check()
        if self.eval_data is not None:
            self.eval_data.check()
        self.evals.check()
        self.tokenizer.check()
        self.trackers.check()
        self.hub.check()

    def run(self, resume: Path | None = None) -> int:
        """Train; returns the exit status."""
        return conduct(
            self,
            resume,
            default=lambda: default_path("pretrain"),
            make=lambda compute, folder, console: self.session(
                self.read(console), compute, folder, console
            ),
        )

    def read(self, console: Console) -> Text:
        """The tokenizer, and the corpora as packed blocks."""
        reuse = self.student.path if self.tokenizer.path is None else None
        return read_text(
            self.data,
            self.eval_data,
            TokenizerConfig(path=reuse) if reuse else self.tokenizer,
            block_length=self.block_length,
            console=console,
        )

    def session(self, text: Text, compute: Compute, folder: RunFolder, console: Console) -> Session:
        """Everything that trains, ready to start."""
        from tutelage.lessons.demonstration import Demonstration, Share

        student = self.student.build(text.tokenizer, seed=self.seed)
        refuse_long_blocks(self.block_length, student)
        self.evals.refuse_unreadable(student, text.tokenizer, compute.device)
        if self.samples.prompts:
            self.samples.room(student, text.tokenizer)
        placed = compute.place(student)
        lesson = Demonstration(
            text.blocks,
            batch_size=self.batch_size,
            microbatch_size=self.microbatch_size,
            document_mask=self.document_mask,
            seed=self.seed,
            device=compute.device,
            share=Share(compute.rank, compute.num_processes),
        )
        steps = self.steps or math.ceil((self.epochs or 1) * len(text.blocks) / self.batch_size)
        optimizer, scheduler = self.optim.build(placed, total_steps=steps)
        learner = Learner(
            lesson,
            optimizer,
            scheduler,
            self.optim.max_grad_norm,
        )
        return Session(
            folder=folder,
            student=placed,
            tokenizer=text.tokenizer,
            learners={lesson.name: learner},
            curriculum=lambda round: [lesson.name],
            steps=steps,
            compute=compute,
            milestones=self.milestones,
            saving=self.saving,
            trackers=self.trackers,
            hub=self.hub,
            evaluate=lambda: evaluate(
                student,
                text,
                self.evals,
                batch_size=self.microbatch_size or self.batch_size,
                compute=compute,
            ),
            sample=lambda: self.samples.take(student, text.tokenizer, compute, self.seed),
            console=console,
            seed=self.seed,
        )


def tiny() -> Pretrain:
    """A million parameters on the built-in nursery corpus: a minute or two on a laptop."""
    return Pretrain(
        steps=600,
        batch_size=32,
        block_length=64,
        data=NurseryCorpus(num_words=400_000),
        eval_data=NurseryCorpus(num_words=10_000, seed=1),
        evals=Along(minimal_pairs=MinimalPairs()),
        tokenizer=TokenizerConfig(vocab_size=2_048),
        student=StudentConfig(layers=3, heads=4, width=128, context=128),
        optim=Optim(lr=3e-3),
        milestones=Milestones(spacing="every", every=150),
    )


def laptop() -> Pretrain:
    """A teacher of a million parameters on TinyStories (--data.path), log-spaced milestones."""
    return Pretrain(
        steps=1_500,
        batch_size=32,
        block_length=64,
        data=TinyStoriesCorpus(),
        tokenizer=TokenizerConfig(vocab_size=2_048),
        student=StudentConfig(layers=4, heads=4, width=128, context=128),
        optim=Optim(lr=2e-3),
        milestones=Milestones(spacing="log"),
        samples=Samples(prompts=()),
    )


def babylm() -> Pretrain:
    """GPT-2 small on a folder of BabyLM text (--data.path), with BabyLM's milestones in words."""
    return Pretrain(
        data=BabyLMCorpus(),
        student=StudentConfig(size="gpt2-small"),
        block_length=512,
        batch_size=64,
        epochs=10,
        optim=Optim(lr=6e-4, warmup_steps=1_000),
        milestones=Milestones(spacing="babylm"),
    )


PRESETS: dict[str, Callable[[], Pretrain]] = {"tiny": tiny, "laptop": laptop, "babylm": babylm}
