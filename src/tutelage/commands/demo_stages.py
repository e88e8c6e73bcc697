"""The stages of `tutelage demo`: recipes at a size at which two cores need minutes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tutelage.commands.data_age import DataAge
from tutelage.commands.data_words import DataWords
from tutelage.data.ages import Ages
from tutelage.data.corpora import TextCorpus
from tutelage.data.grammar import NurseryCorpus
from tutelage.data.prompt_builders import NurseryPrompts, TextPrompts
from tutelage.data.tokenizer import TokenizerConfig
from tutelage.evals.along import Along
from tutelage.evals.surprisal import Surprisal
from tutelage.models.readouts import LastToken
from tutelage.models.reward_model import Trunk
from tutelage.models.student import StudentConfig
from tutelage.recipes.pretrain import Pretrain
from tutelage.recipes.reward import Reward
from tutelage.recipes.text import Samples
from tutelage.recipes.tnd import Interaction, Tnd
from tutelage.recipes.tnd_teachers import AgeModel, Demonstrator
from tutelage.rollout.engine import Sampling
from tutelage.train.milestones import Milestones
from tutelage.train.optim import Optim

if TYPE_CHECKING:
    from tutelage.commands.demo import Story
    from tutelage.data import AnyCorpus

STUDENT = StudentConfig(layers=3, heads=4, width=128, context=64)
TEACHER_STEPS, STUDENT_STEPS = 400, 160
AGES = (1, 2, 4, 8, 16, 25, 40, 60, 90, 130, 180, 250, 320, TEACHER_STEPS)
LOOKS = (2, 4, 8, 12, 16, 24, 32, 40, 52, 64, 80, 100, 120, 140, STUDENT_STEPS)
TEXTS_PER_AGE = 128
TEXT_TOKENS = 40
PROMPT_TOKENS = 5
CONTEXTS = 4
WORDS = 160
MOST_CONTEXTS, FEWEST_CONTEXTS = 8, 5


def corpora(story: Story) -> tuple[AnyCorpus, AnyCorpus]:
    """Text to learn from, and held-out text."""
    if story.text is None:
        return NurseryCorpus(num_words=300_000), NurseryCorpus(num_words=5_000, seed=1)
    return (
        TextCorpus(path=story.text / "train.jsonl"),
        TextCorpus(path=story.text / "held_out.jsonl"),
    )


def word_set(story: Story) -> None:
    """Find words in the held-out part of one's own text."""
    assert story.text is not None
    DataWords(
        data=TextCorpus(path=story.text / "held_out.jsonl"),
        out=story.out / "words.jsonl",
        min_contexts=FEWEST_CONTEXTS,
        max_contexts=MOST_CONTEXTS,
    ).run()


def teacher(story: Story) -> int:
    """A student of text that is kept at many steps."""
    data, eval_data = corpora(story)
    return Pretrain(
        out=story.out / "teacher",
        seed=story.seed,
        steps=TEACHER_STEPS,
        batch_size=32,
        block_length=64,
        data=data,
        eval_data=eval_data,
        tokenizer=TokenizerConfig(vocab_size=1_024),
        student=STUDENT,
        optim=Optim(lr=3e-3, warmup_steps=20),
        milestones=Milestones(spacing="list", at=AGES),
        samples=Samples(prompts=()),
    ).run(resume_of(story, "teacher"))


def ages(story: Story) -> None:
    """Texts of the teacher at every age."""
    prompts = NurseryPrompts()
    if story.text is not None:
        prompts = TextPrompts(path=story.text / "train.jsonl", column="text")
    DataAge(
        targets=(str(story.out / "teacher"),),
        out=story.out / "ages.jsonl",
        prompts=prompts,
        prompt_tokens=PROMPT_TOKENS,
        per_checkpoint=TEXTS_PER_AGE,
        max_tokens=TEXT_TOKENS,
        seed=story.seed,
    ).run()


def age_model(story: Story) -> int:
    """A small classifier that predicts log2 of the step."""
    return Reward(
        out=story.out / "age",
        seed=story.seed,
        epochs=4,
        batch_size=64,
        max_tokens=64,
        over_long="truncate_prompt_left",
        data=Ages(path=str(story.out / "ages.jsonl")),
        model=Trunk(layers=2, heads=2, width=64),
        readout=LastToken(),
        tokenizer=TokenizerConfig(path=str(story.out / "teacher" / "checkpoints" / last_step())),
        optim=Optim(lr=2e-3, final_lr=2e-4, schedule="exponential", warmup_steps=0),
    ).run(resume_of(story, "age"))


def students(story: Story) -> int:
    """Students with a teacher and without, from the same beginnings."""
    data, eval_data = corpora(story)
    writing = Sampling(max_tokens=TEXT_TOKENS - PROMPT_TOKENS, top_k=20, top_p=0.95)
    words = None if story.text is None else story.out / "words.jsonl"
    group = story.out / "students"
    return Tnd(
        out=group,
        seed=story.seed,
        seeds=story.seeds,
        sweep=("clm", "tnd", "demonstrations_only"),
        steps=STUDENT_STEPS,
        batch_size=32,
        block_length=64,
        data=data,
        eval_data=eval_data,
        evals=Along(surprisal=Surprisal(data=words, max_contexts=CONTEXTS, max_words=WORDS)),
        student=STUDENT,
        interaction=Interaction(prompt_tokens=PROMPT_TOKENS, batch_size=32),
        demonstrator=Demonstrator(
            path=str(story.out / "teacher" / "checkpoints" / last_step()), sampling=writing
        ),
        age=AgeModel(path=str(story.out / "age" / "checkpoints" / "best")),
        rollout=writing,
        optim=Optim(lr=1e-3, schedule="constant", warmup_steps=0),
        interaction_optim=Optim(
            lr=1e-4, schedule="constant", warmup_steps=0, weight_decay=0.0, eps=1e-5
        ),
        milestones=Milestones(spacing="list", unit="rounds", at=LOOKS),
    ).run(group if (group / "group.json").is_file() else None)


def last_step() -> str:
    """Name of the teacher's last checkpoint."""
    return f"step_{TEACHER_STEPS}"


def resume_of(story: Story, name: str) -> Path | None:
    """The run's folder, if it was begun."""
    folder = story.out / name
    return folder if (folder / "config.yaml").is_file() else None
