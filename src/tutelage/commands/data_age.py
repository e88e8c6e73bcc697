"""`tutelage data age`: texts that checkpoints of known age write, to train an age model on."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import Field, NonNegativeInt, PositiveInt
from tyro.conf import Positional, arg

from tutelage.commands.checkpoints import Subject, content_hash, subjects
from tutelage.commands.generate import load
from tutelage.config import Config, UserError
from tutelage.data import AnyPrompts
from tutelage.data.prompt_builders import NurseryPrompts
from tutelage.rollout.engine import Temperature
from tutelage.run_folder import read_lines, write_text

if TYPE_CHECKING:
    from rich.console import Console
    from transformers import PreTrainedTokenizerBase

    from tutelage.rollout.engine import Sampling

VERSION = 1
"""Raised when the same checkpoint and options would give other texts."""
SHOWN = 9
"""Checkpoints at most of which something is told at the end."""
STEP_IN_NAME = re.compile(r"(?:^|[^0-9.])(\d+)$")


class Writer(NamedTuple):
    """A checkpoint, and its age."""

    subject: Subject
    step: int


class DataAge(Config):
    """Let checkpoints write texts, each stored with its step: data for an age model."""

    targets: Annotated[
        tuple[str, ...],
        Positional,
        arg(metavar="RUN_OR_CHECKPOINT", help_behavior_hint="(required)"),
    ]
    """Folders of runs (all milestones), folders of checkpoints or names on the hub that end in
    their step, such as step_100, or a .csv list of checkpoints (columns checkpoint, step)."""
    out: Path
    """File to write, which must not exist yet; it ends in .jsonl."""
    prompts: AnyPrompts = NurseryPrompts()
    """What the texts begin with; every checkpoint is given the same ones."""
    prompt_tokens: PositiveInt | None = 5
    """Prompts are cut to so many tokens; None: not at all."""
    per_checkpoint: PositiveInt = 1000
    """Texts of each checkpoint. Prompts are drawn by the seed; none comes a second time before all
    have come once."""
    max_tokens: PositiveInt = 128
    """Most tokens of a text, its prompt included."""
    temperature: Temperature = 1.0
    """Divides the logits: below 1 safer, above 1 wilder."""
    top_k: NonNegativeInt = 20
    """Sample among the k likeliest tokens only; 0: among all."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    """Sample among the likeliest tokens that together have this probability."""
    rows_at_once: PositiveInt = 128
    """Texts written at the same time; fewer save memory, and change nothing else."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """The same seed, checkpoints and options give the same texts."""
    trust_remote_code: bool = False
    """Run Python code that comes with a checkpoint."""

    def run(self) -> None:
        """Write what is not written yet, checkpoint by checkpoint, then put all into one file."""
        from rich.console import Console

        if self.out.suffix != ".jsonl":
            raise UserError(f"--out is {self.out}, but its name must end in .jsonl.")
        if self.out.exists():
            raise UserError(f"--out {self.out} exists. Name another file, or delete it.")
        writers = self.writers()
        self.prompts.check()
        console = Console(highlight=False, soft_wrap=True)
        folder = self.out.with_name(f".{self.out.name}.parts")
        folder.mkdir(parents=True, exist_ok=True)
        settings = self.settings()
        parts = [self.part(each, folder, settings, console) for each in writers]
        write_text(self.out, "".join(part.read_text(encoding="utf-8") for part in parts))
        console.print(self.summary(writers, parts), markup=False)
        shutil.rmtree(folder)

    def writers(self) -> list[Writer]:
        """The checkpoints with their steps, in order; two ages at least."""
        found = {subject.name: subject for name in self.targets for subject in subjects(name)}
        if not found:
            raise UserError("No run is given. Name run folders or checkpoints.")
        writers = [Writer(subject, step_of(subject)) for subject in found.values()]
        writers = sorted((each for each in writers if each.step), key=lambda each: each.step)
        if len({writer.step for writer in writers}) < 2:
            steps = ", ".join(str(writer.step) for writer in writers) or "none above 0"
            raise UserError(
                f"An age model needs texts of at least two steps, but the steps here are {steps}. "
                "Name more checkpoints, or a run with more milestones."
            )
        return writers

    def part(self, writer: Writer, folder: Path, settings: str, console: Console) -> Path:
        """The file with a checkpoint's texts, written unless an earlier process did."""
        content = [settings, writer.step, writer.subject.name, writer.subject.fingerprint()]
        path = folder / f"{hashlib.sha256(json.dumps(content).encode()).hexdigest()}.jsonl"
        if not path.exists():
            from tutelage.models.student_module import Student

            name = writer.subject.name
            model, tokenizer = load(name, trust_remote_code=self.trust_remote_code)
            rows = self.rows(writer, Student(model), tokenizer, console)
            lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
            write_text(path, "".join(lines))
        return path

    def rows(
        self, writer: Writer, student: Any, tokenizer: Any, console: Console
    ) -> list[dict[str, Any]]:
        """A checkpoint's texts, each with its step, prompt and checkpoint."""
        from rich.progress import track

        from tutelage.rollout.engine import sample

        prompts = self.prompt_ids(tokenizer)
        sampling = self.sampling(prompts)
        starts = range(0, len(prompts), self.rows_at_once)
        label = f"Writing at step {writer.step}"
        rows: list[dict[str, Any]] = []
        for start in track(starts, label, console=console, transient=True,
                           disable=not console.is_terminal):  # fmt: skip
            chunk = prompts[start : start + self.rows_at_once]
            numbers = range(start, start + len(chunk))
            rollout = sample(
                student, tokenizer, chunk, sampling, seed=self.seed, row_numbers=numbers
            )
            written = zip(chunk, rollout.response_ids, strict=True)
            texts = [(prompt + response)[: self.max_tokens] for prompt, response in written]
            rows += [
                {
                    "text": tokenizer.decode(ids, skip_special_tokens=True),
                    "step": writer.step,
                    "prompt": prompt,
                    "checkpoint": writer.subject.name,
                }
                for ids, prompt in zip(texts, rollout.prompts, strict=True)
            ]
        return rows

    def prompt_ids(self, tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
        """Tokens of the prompts, as many as there are texts to write."""
        from tutelage.data.grammar import generator

        prompts: Any = self.prompts.rows(tokenizer)  # pyright: ignore[reportArgumentType]
        rng = generator(self.seed, "age prompts")
        order: list[int] = []
        while len(order) < self.per_checkpoint:
            order += rng.sample(range(len(prompts)), len(prompts))
        drawn = [prompts[index].token_ids for index in order[: self.per_checkpoint]]
        cut = [ids[: self.prompt_tokens] for ids in drawn]
        longest = max(map(len, cut))
        if longest >= self.max_tokens:
            raise UserError(
                f"--max-tokens is {self.max_tokens}, but a prompt alone has {longest} tokens. "
                "Raise it, or lower --prompt-tokens."
            )
        return cut

    def sampling(self, prompts: list[list[int]]) -> Sampling:
        """Settings of the sampler, for texts of at most so many tokens."""
        from tutelage.rollout.engine import Sampling

        return Sampling(
            max_tokens=self.max_tokens - min(map(len, prompts)),
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            rows_at_once=self.rows_at_once,
        )

    def settings(self) -> str:
        """Hash of everything but a checkpoint that its texts depend on."""
        options = self.model_dump(mode="json", exclude={"targets", "out", "rows_at_once"})
        prompts = [self.prompts, *getattr(self.prompts, "parts", ())]
        files = [value for source in prompts for _, value in source if isinstance(value, Path)]
        content = [VERSION, options, [content_hash(file.expanduser()) for file in files]]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def summary(self, writers: list[Writer], parts: list[Path]) -> str:
        """How many texts there are; how long, and what they are like, at some of the ages."""
        number = len(parts) * self.per_checkpoint
        lines = [f"{self.out}: {number:,} texts of {len(parts)} checkpoints."]
        last = len(parts) - 1
        for index in sorted({round(n * last / (SHOWN - 1)) for n in range(SHOWN)}):
            texts = [row["text"] for row in read_lines(parts[index])]
            words = sum(len(text.split()) for text in texts) / len(texts)
            step = writers[index].step
            lines.append(f"  step {step:,}: {words:.1f} words a text, such as {texts[0][:60]!r}")
        return "\n".join(lines)


def step_of(subject: Subject) -> int:
    """The checkpoint's step: as its run or list says, or the number at the end of its name."""
    if "step" in subject.position:
        return subject.position["step"]
    mark = Path(subject.name) / "milestone.json"
    if mark.is_file():
        return int(json.loads(mark.read_text())["step"])
    named = STEP_IN_NAME.search(Path(subject.name).name)
    if named is None:
        raise UserError(
            f"The step of {subject.name} is unknown: it has no milestone.json, and its name does "
            "not end in a number, such as step_100. Rename it, or give a .csv list with the "
            "columns checkpoint and step."
        )
    return int(named[1])
