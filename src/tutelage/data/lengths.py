"""How long examples may be, and what becomes of longer ones."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from tutelage.config import Config

LongPrompts = Literal["drop", "cut_tokens", "cut_paragraphs"]
LongCompletions = Literal["drop", "cut"]


class Lengths(Config):
    """Longest prompts and completions, in tokens, and what becomes of longer ones."""

    max_tokens: Annotated[int, Field(ge=2)] = 512
    """Most tokens of a prompt and its completion together, the end token included."""

    max_prompt_tokens: PositiveInt | None = None
    """Most tokens of a prompt; none: as many as max_tokens leaves it."""

    max_completion_tokens: PositiveInt | None = None
    """Most tokens of a completion, its end token included; none: as many as max_tokens leaves it.
    """

    long_prompts: LongPrompts = "drop"
    """drop: leave examples with too long a prompt out. cut_tokens: take tokens off the end of one
    field of the prompt until the whole fits. cut_paragraphs: take whole lines off it."""

    cut_field: str | None = None
    """Field of the row that is cut; none: the longest one that the prompt holds."""

    long_completions: LongCompletions = "drop"
    """drop: leave examples with too long a completion out. cut: keep its beginning, without an end
    token, so that nothing is learned about where texts end."""

    @model_validator(mode="after")
    def _refuse_what_leaves_no_room(self) -> Lengths:
        if self.cut_field is not None and self.long_prompts == "drop":
            raise ValueError("cut_field goes with long_prompts cut_tokens or cut_paragraphs")
        for name in ("max_prompt_tokens", "max_completion_tokens"):
            if (getattr(self, name) or 0) >= self.max_tokens:
                raise ValueError(
                    f"{name} must be less than max_tokens {self.max_tokens}, which counts both "
                    "parts of an example"
                )
        return self
