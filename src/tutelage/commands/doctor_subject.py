"""Whom the doctor examines: a student, its prompts and its reward, as in a run."""

from __future__ import annotations

from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tutelage.commands.arguments import load_config
from tutelage.commands.generate import resolve
from tutelage.config import Config, UserError
from tutelage.data.cache import default_cache_dir
from tutelage.data.grammar import NurseryCorpus
from tutelage.data.prompt_builders import NurseryPrompts
from tutelage.data.prompts import refuse_long_prompts
from tutelage.data.tokenizer import TokenizerConfig
from tutelage.models.student import StudentConfig
from tutelage.rollout.engine import Sampling
from tutelage.run_folder import RunFolder

if TYPE_CHECKING:
    from tutelage.data.prompts import Prompt, Prompts
    from tutelage.models.student_module import Student
    from tutelage.rewards.protocol import Reward

NUM_RESPONSES = 16
MAX_TOKENS = 32
"""Most tokens of a response here: enough to see what is wrong, in under a minute."""
MAX_PROMPT_TOKENS = 16_384
"""Most tokens of prompts that are read here: a corpus may hold billions."""


class Subject(NamedTuple):
    """What is examined, ready to write."""

    description: str
    student: Student
    tokenizer: Any
    prompts: list[Prompt]
    sampling: Sampling
    reward: Reward | None
    seed: int


def subject_of(target: str) -> Subject:
    """The subject that a config.yaml, the folder of a run or a checkpoint stands for."""
    path = Path(target).expanduser()
    if path.is_file():
        return _of_recipe(load_config(path), None, target)
    if (path / "checkpoints").is_dir() and (path / "config.yaml").is_file():
        return _of_recipe(load_config(path / "config.yaml"), RunFolder(path), target)
    student = StudentConfig(path=resolve(target))
    return _built(target, student, TokenizerConfig(path=student.path), None)


def _of_recipe(config: Config, folder: RunFolder | None, target: str) -> Subject:
    """What a recipe would begin with, or with a run, what has become of it."""
    student = getattr(config, "student", None)
    if not isinstance(student, StudentConfig):
        raise UserError(
            f"{target} is of the recipe {config.recipe_name()}, in which no student writes. "
            "Give a config.yaml of pretrain or ppo, or a checkpoint."
        )
    config.check()  # pyright: ignore[reportAttributeAccessIssue]: every recipe has it
    newest = folder.newest_checkpoint() if folder else None
    if newest is not None:
        shape = dict.fromkeys(("size", "layers", "heads", "width", "context"))
        student = student.model_copy(update={**shape, "path": str(newest)})
    own: Any = getattr(config, "tokenizer", TokenizerConfig())
    path = str(newest) if newest is not None else own.path or student.path
    return _built(target, student, own if path is None else TokenizerConfig(path=path), config)


def _built(
    target: str, student: StudentConfig, tokenizer: TokenizerConfig, config: Config | None
) -> Subject:
    """The parts, put together; a recipe without trials lends none of its own."""
    from tutelage.models.architecture import without_progress_bars

    seed = getattr(config, "seed", 0)
    found = tokenizer.build(getattr(config, "data", NurseryCorpus()), default_cache_dir())
    with without_progress_bars():
        learner = student.build(found, seed=seed, value_head=getattr(config, "has_critic", False))
    sampling = getattr(config, "rollout", Sampling())
    has_prompts = config is not None and hasattr(config, "prompts")
    prompts = _own_prompts(config, found) if has_prompts else _other_prompts(found, learner.context)
    if has_prompts:
        refuse_long_prompts(prompts, learner.context, sampling.max_tokens)
    room = learner.context - max(len(prompt.token_ids) for prompt in prompts[:NUM_RESPONSES])
    longest = min(sampling.max_tokens, MAX_TOKENS, room)
    shortened = {"max_tokens": longest, "min_tokens": min(sampling.min_tokens, longest)}
    reward = getattr(config, "reward", None)
    who = student.path or "a new student"
    whose = "its recipe" if has_prompts else "the nursery"
    return Subject(
        description=f"{target}: {who}, {NUM_RESPONSES} responses to prompts of {whose}",
        student=learner,
        tokenizer=found,
        prompts=list(islice(cycle(prompts), NUM_RESPONSES)),
        sampling=sampling.model_copy(update=shortened),
        reward=None if reward is None else reward.build(),
        seed=seed,
    )


def _own_prompts(config: Any, tokenizer: Any) -> Prompts:
    """The first prompts of a recipe, with the columns that its reward needs."""
    most = min(config.prompts.max_tokens or MAX_PROMPT_TOKENS, MAX_PROMPT_TOKENS)
    prompts = config.prompts.model_copy(update={"max_tokens": most})
    return config.model_copy(update={"prompts": prompts}).read_prompts(tokenizer)


def _other_prompts(tokenizer: Any, context: int) -> Prompts:
    """Prompts for a student that comes without any: they leave room for a response."""
    longest = max(4, min(16, context // 2))
    return NurseryPrompts(num_words=2_000, query_max_length=longest).rows(tokenizer)
