"""Reward by a language model that learned from demonstrations: the sum of its tokens' rewards."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, PositiveInt

from tutelage.config import Config, UserError
from tutelage.models.reward_folder import CLASSIFIER, FACTS
from tutelage.models.student import StudentConfig
from tutelage.rewards.protocol import Reward, Scores, blame

if TYPE_CHECKING:
    import torch

    from tutelage.models.student_module import Student
    from tutelage.rewards.token_rewards import Finished

NAME = "recovered"


class Recovered(Config):
    """The reward that a language model reveals: what `tutelage irl` recovers."""

    kind: Literal["recovered"] = "recovered"
    """The reward that a language model reveals."""
    path: str
    """Folder or hub name of any causal language model, such as a checkpoint of `tutelage irl`."""
    average: bool = False
    """Take the mean over a response's tokens instead of their sum."""
    gamma: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Discount of the value of the next state; the one that the model learned with."""
    batch_tokens: PositiveInt = 2048
    """Most tokens, padding included, that the model reads at once; changes speed and memory, not
    the scores."""

    def check(self) -> None:
        """Refuse a folder that holds no causal language model."""
        refuse_folder(self.path)

    def columns(self) -> tuple[str, ...]:
        """None."""
        return ()

    def build(self, device: torch.device | None = None) -> Reward:
        """The model, in float32 on the device."""
        from tutelage.data.cache import default_cache_dir
        from tutelage.data.grammar import NurseryCorpus
        from tutelage.data.tokenizer import TokenizerConfig

        saved = TokenizerConfig(path=self.path)
        tokenizer = saved.build(NurseryCorpus(), default_cache_dir())
        try:
            model = StudentConfig(path=self.path).build(tokenizer, seed=0)
        except UserError as error:
            raise UserError(_renamed(error)) from None
        return Scorer(model.requires_grad_(False).eval().to(device), tokenizer, self)


class Scorer:
    """A causal language model, called with texts.

    Args:
        model: The model.
        tokenizer: Its own.
        options: How token rewards become a score.
    """

    def __init__(self, model: Student, tokenizer: Any, options: Recovered) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.options = options

    def __call__(
        self, prompts: Sequence[str], responses: Sequence[str], **columns: Sequence[Any]
    ) -> Scores:
        """The scores, with a note on each prompt that was too long."""
        from tutelage.rewards.token_rewards import finished, token_rewards

        if not prompts:
            return Scores.of(NAME, [])
        whole = finished(self.tokenizer, prompts, responses)
        rows = [self._within(i, row, prompts, responses) for i, row in enumerate(whole)]
        found = token_rewards(
            self.model,
            rows,
            gamma=self.options.gamma,
            device=self.model.base.device,
            batch_tokens=self.options.batch_tokens,
        )
        totals = [one.total for one in found]
        if self.options.average:
            totals = [
                total / len(row.response_ids) for total, row in zip(totals, rows, strict=True)
            ]
        notes = [
            "" if row == all_of_it else f"only {len(row.prompt_ids)} tokens of the prompt were read"
            for row, all_of_it in zip(rows, whole, strict=True)
        ]
        return Scores.of(NAME, totals)._replace(notes=notes if any(notes) else None)

    def _within(
        self, index: int, row: Finished, prompts: Sequence[str], responses: Sequence[str]
    ) -> Finished:
        """The row with as much of its prompt's end as is read, behind the token that begins it."""
        context = self.model.context
        if row.length <= context:
            return row
        begin = row.prompt_ids[:1] if row.prompt_ids[0] == self.tokenizer.bos_token_id else ()
        room = context - len(row.response_ids) - len(begin)
        if room < 1:
            what = (
                f"The model of the recovered reward reads at most {context} tokens, and with its "
                f"end a response has {len(row.response_ids)}"
            )
            remedy = "Ask for shorter responses, or take a model that reads more."
            raise blame(what, remedy, index, prompts, responses)
        return row._replace(prompt_ids=(*begin, *row.prompt_ids[-room:]))


def refuse_folder(path: str) -> None:
    """Raise, before anything heavy loads, where a folder holds no causal language model."""
    try:
        StudentConfig(path=path).check()
    except UserError as error:
        raise UserError(_renamed(error)) from None
    folder = Path(path).expanduser()
    if not folder.is_dir():
        return
    try:
        names = json.loads((folder / "config.json").read_text(encoding="utf-8"))["architectures"]
        kind = str(names[0])
    except (OSError, ValueError, LookupError, TypeError):
        return  # said by Transformers, which may know better
    if kind.endswith(CLASSIFIER) or (folder / FACTS).is_file():
        raise UserError(
            f"The folder {path} holds {kind}, trained to score texts, but a recovered reward is "
            "that of a causal language model. Use --reward.kind preference for it, or give a "
            "checkpoint of `tutelage irl`."
        )


def _renamed(error: UserError) -> str:
    """What is said of a student, said of the model of a reward."""
    said = str(error).replace("--student.path", "the recovered reward's path")
    return said[0].upper() + said[1:]
