"""`tutelage demo`: the whole story of trials and demonstrations, small, from nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field, PositiveInt

from tutelage.config import Config, UserError
from tutelage.recipes.sweep import sentences
from tutelage.run_folder import append_line, default_path, refuse_used, write_json
from tutelage.train.series import in_series

HOLD_OUT = 10
"""Of so many documents of a text, one is kept for evaluation."""
FEWEST_DOCUMENTS = 40
ADVICE = {
    "Set column to one of them": "Call the column of texts text",
    "Set column to a text column": "Put texts into the column text",
}
"""What helps in a demo, in place of options that it lacks."""


class Demo(Config):
    """Raise a teacher, a model that tells ages, and students with and without a teacher."""

    out: Path | None = None
    """Folder of everything, which must not exist yet; default runs/demo-<date>-<time>."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of everything; of the students, the first."""
    seeds: PositiveInt = 1
    """Students of each kind: differences between kinds show with three or more."""
    text: Path | None = None
    """Text of your own to learn from (.txt with a document a line, or .jsonl with a column text),
    in place of the built-in nursery; a tenth of it is kept for evaluation."""
    resume: Path | None = None
    """Folder of a demo that was stopped, to go on with; the other options are those it began
    with."""

    def run(self) -> int:
        """Every stage that is not done yet, then a summary."""
        demo, out = self, self.out or default_path("demo")
        if self.resume is not None:
            out, demo = self.resume, self.began(self.resume)
        else:
            refuse_used(out)
            if self.text is not None:
                refuse_unfit(self.text)
            out.mkdir(parents=True, exist_ok=True)
            write_json(out / "demo.json", self.model_dump(mode="json"))
        stages = demo.stages(out)
        status = in_series(
            partial(stage.run_unless_done, f"\n{number} of {len(stages)}: {stage.what}")
            for number, stage in enumerate(stages, start=1)
        )
        if status:
            print(f"Go on with: tutelage demo --resume {out}")
            return status
        print("\n" + summary(out))
        return 0

    def began(self, out: Path) -> Demo:
        """The options that a stopped demo began with."""
        try:
            return Demo.model_validate(json.loads((out / "demo.json").read_text()))
        except (OSError, ValueError):
            raise UserError(
                f"--resume {out} is no demo that was stopped (no demo.json). Give its folder."
            ) from None

    def stages(self, out: Path) -> list[Stage]:
        """What is done, in order."""
        from tutelage.commands.demo_stages import age_model, ages, students, teacher, word_set

        story = Story(out, self.seed, self.seeds, None if self.text is None else out / "text")
        found = [
            Stage(
                "a teacher learns to read and write, and is kept at many ages",
                lambda: (out / "teacher" / "report.html").is_file(),
                lambda: teacher(story),
            ),
            Stage(
                "the teacher writes, as young and as old as it was",
                (out / "ages.jsonl").is_file,
                lambda: ages(story),
            ),
            Stage(
                "an age model learns to tell how old a writer is",
                lambda: (out / "age" / "report.html").is_file(),
                lambda: age_model(story),
            ),
            Stage(
                "students learn: from text alone, and with trials and demonstrations",
                lambda: (out / "students" / "report.html").is_file(),
                lambda: students(story),
            ),
        ]
        if self.text is None:
            return found
        text = self.text
        split = Stage(
            f"a tenth of {text} is put aside, and words in it are found",
            (out / "words.jsonl").is_file,
            lambda: write_split(text, out) or word_set(story),
        )
        return [split, *found]


class Stage(NamedTuple):
    """A part of the story."""

    what: str
    is_done: Callable[[], bool]
    run: Callable[[], int | None]

    def run_unless_done(self, title: str) -> int | None:
        """Run it, under a title; nothing if it was done before."""
        if self.is_done():
            return None
        print(title, flush=True)
        return self.run()


class Story(NamedTuple):
    """What all stages know."""

    out: Path
    seed: int
    seeds: int
    text: Path | None
    """Folder with train.jsonl and held_out.jsonl, if there is a text of one's own."""


def split_of(text: Path) -> tuple[list[str], list[str]]:
    """Documents to learn from and documents to evaluate with."""
    from tutelage.data.corpora import TextCorpus

    corpus = TextCorpus(path=text)
    try:
        corpus.check()
        documents = list(corpus.documents())
    except UserError as error:
        said = str(error)
        for advice, own in ADVICE.items():
            said = said.replace(advice, own)
        raise UserError(said) from None
    if len(documents) < FEWEST_DOCUMENTS:
        raise UserError(
            f"--text {text} has {len(documents)} documents, but {FEWEST_DOCUMENTS} are needed at "
            "least. Give more text, a document a line."
        )
    held_out = documents[HOLD_OUT - 1 :: HOLD_OUT]
    return [d for i, d in enumerate(documents, start=1) if i % HOLD_OUT], held_out


def refuse_unfit(text: Path) -> None:
    """Raise, before anything is written, unless a text is enough for every stage."""
    from tutelage.commands.demo_stages import FEWEST_CONTEXTS, PROMPT_TOKENS, STUDENT
    from tutelage.data.words import find_words

    train, held_out = split_of(text)
    if max(len(document.split()) for document in train) <= PROMPT_TOKENS:
        raise UserError(
            f"--text {text} has no document of more than {PROMPT_TOKENS} words, but students are "
            f"given the first {PROMPT_TOKENS} tokens of one, to go on. Give longer documents."
        )
    num_words, kept = sum(len(document.split()) for document in held_out), "kept for evaluation"
    if num_words < (STUDENT.context or 0):
        raise UserError(
            f"--text {text} is too little: the tenth of it that is {kept} has {num_words} words, "
            f"but {STUDENT.context} are needed. Give more text."
        )
    few = FEWEST_CONTEXTS
    if not find_words(held_out, None, min_contexts=few, max_contexts=few, seed=0).words.words:
        raise UserError(
            f"--text {text} has no word that comes after {few} different beginnings in the tenth "
            f"of it that is {kept}, so there is none to be acquired. Give more text, or other text."
        )


def write_split(text: Path, out: Path) -> None:
    """Write both parts as JSON lines."""
    folder = out / "text"
    folder.mkdir(exist_ok=True)
    for name, documents in zip(("train", "held_out"), split_of(text), strict=True):
        path = folder / f"{name}.jsonl"
        path.unlink(missing_ok=True)
        for document in documents:
            append_line(path, {"text": document})


def summary(out: Path) -> str:
    """What came out, in words."""
    card = json.loads((out / "age" / "evals" / "age-card" / "best.json").read_text())
    arms: dict[str, Any] = json.loads((out / "students" / "arms.json").read_text())
    return "\n".join(
        [
            "The age model ranks checkpoints by their texts with a rank correlation of "
            f"{card['measures']['spearman_checkpoints']:.2f}.",
            *sentences(arms),
            f"Read the report: {(out / 'students' / 'report.html').resolve()}",
        ]
    )
