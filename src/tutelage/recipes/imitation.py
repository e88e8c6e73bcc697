"""What `tutelage sft` and `tutelage irl` share: data, lesson, evaluations, session.

The two recipes are one program whose loss differs, so the options and the program are here; each
recipe adds the options of its loss and says what they mean.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import Field, PositiveFloat, PositiveInt

from tutelage.config import Config, UserError
from tutelage.data import AnyExamples
from tutelage.data.arithmetic import ArithmeticExamples
from tutelage.data.cache import default_cache_dir
from tutelage.data.completion_sources import Gsm8kExamples
from tutelage.data.completions import told
from tutelage.data.lengths import Lengths
from tutelage.data.tokenizer import TokenizerConfig
from tutelage.evals.along import Along
from tutelage.evals.responses import Responses
from tutelage.models.student import StudentConfig
from tutelage.recipes.answers import Asked
from tutelage.recipes.text import TextsOf
from tutelage.run_folder import RunFolder
from tutelage.train.checkpoint import Hub
from tutelage.train.compute import ComputeConfig
from tutelage.train.loop import Learner
from tutelage.train.milestones import Milestones
from tutelage.train.optim import Optim
from tutelage.train.session import Saving, Session
from tutelage.train.trackers import Trackers

if TYPE_CHECKING:
    import torch
    from rich.console import Console

    from tutelage.data.completions import ExampleData
    from tutelage.lessons.completions import Row
    from tutelage.lessons.imitation import Imitation, Terms
    from tutelage.lessons.own_texts import OwnTexts
    from tutelage.models.student import Student
    from tutelage.models.student_module import Reference
    from tutelage.train.compute import Compute


class Parts(NamedTuple):
    """What a loss needs besides its terms."""

    reference: Reference | None = None
    own: OwnTexts | None = None
    mle_steps: int = 0


class Imitate(Config):
    """Options of both recipes."""

    out: Path | None = None
    """Folder of the run, which must not exist yet; default runs/<recipe>-<date>-<time>."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of new weights, the order of training and samples."""
    data_seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of the split into training and validation."""
    steps: PositiveInt | None = None
    """Optimiser steps, instead of `epochs`."""
    epochs: PositiveFloat = 3.0
    """Passes over the training data."""
    strict: bool = False
    """Refuse to start from a git tree with uncommitted or untracked files."""
    batch_size: PositiveInt = 32
    """Examples per optimiser step, over all processes; of fewer, all."""
    microbatch_tokens: PositiveInt | None = 8192
    """Most tokens of a forward pass, padding included; lower it to save memory, results stay the
    same."""
    completion_only: bool = True
    """Learn the completions only; else prompts too."""
    val_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Part of the prompts that is kept for validation, if the data bring no validation set."""
    data: AnyExamples = ArithmeticExamples()
    """Prompts with completions."""
    lengths: Lengths = Lengths()
    """How long they may be, and what becomes of longer ones."""
    responses: Responses = Responses()
    """What is asked at evaluations."""
    evals: Along = Along()
    """What else to measure at milestones; a suite is on as soon as one of its options is given."""
    tokenizer: TokenizerConfig = TokenizerConfig()
    """Tokenizer of a new student: trained on the texts, or a saved one; default: the saved
    student's own."""
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
    trackers: Trackers = Trackers()
    """Experiment trackers."""
    hub: Hub = Hub()
    """Push of milestones to the hub."""

    def check(self) -> None:
        """Refuse what can be refused before anything heavy loads."""
        self.student.check()
        self.data.check()
        self.evals.check()
        self.tokenizer.check()
        self.trackers.check()
        self.hub.check()

    @abstractmethod
    def terms(self) -> Terms:
        """What the loss is made of."""

    def parts(self, student: Student, tokenizer: Any, compute: Compute) -> Parts:
        """What the loss needs besides."""
        return Parts()

    def session(self, compute: Compute, folder: RunFolder, console: Console) -> Session:
        """Everything that trains, ready to start."""
        from tutelage.lessons.completions import rows_of

        tokenizer = self.build_tokenizer()
        with console.status("Reading the data"):
            data = self.read(tokenizer)
        console.print(told(data), highlight=False)
        student = self.student.build(tokenizer, seed=self.seed)
        refuse_long(data, student)
        self.evals.refuse_unreadable(student, tokenizer, compute.device)
        train, held_out = (
            rows_of(some, tokenizer, completion_only=self.completion_only)
            for some in (data.train, data.validation)
        )
        parts = self.parts(student, tokenizer, compute)
        placed = compute.place(student)
        lesson = self.lesson(train, parts, compute)
        steps = self.steps or math.ceil(self.epochs * len(train) / lesson.batch_size)
        optimizer, scheduler = self.optim.build(placed, total_steps=steps)
        asked = Asked(
            self.responses,
            data.validation,
            tokenizer=tokenizer,
            answers=data.answers,
            seed=self.seed,
            compute=compute,
        )
        return Session(
            folder=folder,
            student=placed,
            tokenizer=tokenizer,
            learners={lesson.name: Learner(lesson, optimizer, scheduler, self.optim.max_grad_norm)},
            curriculum=lambda round: [lesson.name],
            steps=steps,
            compute=compute,
            milestones=self.milestones,
            saving=self.saving,
            trackers=self.trackers,
            hub=self.hub,
            evaluate=lambda: {
                **self.validation(placed, held_out, compute),
                **asked.measure(placed, student),
                **self.evals.measure(student, tokenizer, compute.device),
            },
            sample=asked.shown,
            console=console,
            seed=self.seed,
        )

    def lesson(self, rows: Sequence[Row], parts: Parts, compute: Compute) -> Imitation:
        """What the student learns from."""
        from tutelage.lessons.imitation import Imitation

        return Imitation(
            rows,
            terms=self.terms(),
            reference=parts.reference,
            mle_steps=parts.mle_steps,
            own=parts.own,
            batch_size=min(self.batch_size, len(rows)),
            microbatch_tokens=self.microbatch_tokens,
            seed=self.seed,
            machine=compute,
        )

    def validation(
        self, placed: torch.nn.Module, rows: Sequence[Row], compute: Compute
    ) -> dict[str, dict[str, Any]]:
        """How well held-out rows are predicted; nothing without rows."""
        from tutelage.lessons.imitation import measure

        found = measure(
            placed,
            rows,
            terms=self.terms(),
            microbatch_tokens=self.microbatch_tokens,
            machine=compute,
        )
        return {"validation": found} if found else {}

    def build_tokenizer(self) -> Any:
        """The saved student's own, or what the options say."""
        reuse = self.student.path if self.tokenizer.path is None else None
        settings = TokenizerConfig(path=reuse) if reuse else self.tokenizer
        return settings.build(TextsOf(self.data), default_cache_dir())

    def read(self, tokenizer: Any) -> ExampleData:
        """The data as tokens, in two parts."""
        return self.data.read(
            tokenizer, lengths=self.lengths, val_fraction=self.val_fraction, seed=self.data_seed
        )


def refuse_long(data: ExampleData, student: Student) -> None:
    """Raise if an example is longer than what the student reads."""
    examples = [*data.train, *data.validation]
    longest = max(examples, key=lambda each: len(each.prompt_ids) + len(each.completion_ids))
    length = len(longest.prompt_ids) + len(longest.completion_ids)
    if length > student.context:
        raise UserError(
            f"{longest.example.where} has {length} tokens, but this student reads at most "
            f"{student.context}. Give --lengths.max-tokens {student.context} "
            "(--lengths.long-prompts and --lengths.long-completions say what becomes of longer "
            "examples), or a new student more --student.context."
        )


LAPTOP: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 32,
    "data": ArithmeticExamples(),
    "lengths": Lengths(max_tokens=96),
    "responses": Responses(prompts=200, response_length=48),
    "tokenizer": TokenizerConfig(vocab_size=512),
    "student": StudentConfig(layers=3, heads=4, width=128, context=128),
    "optim": Optim(lr=3e-3, warmup_steps=100),
}
"""Fields of the preset laptop of both recipes."""
GSM8K: dict[str, Any] = {
    "epochs": 3,
    "batch_size": 32,
    "data": Gsm8kExamples(),
    "lengths": Lengths(max_tokens=768, max_completion_tokens=500),
    "responses": Responses(response_length=500, temperature=0.7),
    "student": StudentConfig(path="EleutherAI/pythia-160m"),
    "optim": Optim(lr=1e-4, schedule="cosine", warmup_steps=0, eps=1e-9, weight_decay=0.01),
    "saving": Saving(eval_steps=20),
}
"""Fields of the preset gsm8k of both recipes: the seed code's."""
