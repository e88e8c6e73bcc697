"""Rollouts: what a student writes for prompts, with all that learning from it needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Protocol

from pydantic import Field, NonNegativeInt, PositiveInt

from tutelage.config import Config, UserError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from torch import Tensor

    from tutelage.models.student_module import Student

Finish = Literal["eos", "stop", "length", "context"]
"""Why a response ended: end token, stop string, token limit, or the student's context."""

Temperature = Annotated[float, Field(ge=1e-3)]
"""What logits are divided by; with much less they would overflow, and only the likeliest token is
drawn anyway."""

Constraint = Callable[["Tensor", "Tensor", "Tensor"], "Tensor"]
"""Changes what may be drawn next, or how likely: given logits (row vocab), the response tokens so
far (row time) and each row's number in the call, it returns logits; −∞ bans a token."""


class Sampling(Config):
    """How responses are sampled."""

    max_tokens: PositiveInt = 64
    """Longest response, in tokens; shorter where the student's context ends."""
    min_tokens: NonNegativeInt = 0
    """Tokens that a response has before it may end."""
    temperature: Temperature = 1.0
    """Divides the logits, here and wherever a ratio or a KL is formed."""
    top_k: NonNegativeInt = 0
    """Draw among the k likeliest tokens only; 0 for all."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Draw among the likeliest tokens that together have this probability, after top-k."""
    stop: tuple[str, ...] = ()
    """Strings that end a response; they are cut off its text, but learned with its tokens."""
    banned_words: tuple[str, ...] = ()
    """Words that are never written; each must be a single token of the student's."""
    banned_tokens: tuple[NonNegativeInt, ...] = ()
    """Numbers of tokens that are never drawn."""
    support: Literal["full", "truncated"] = "full"
    """Which distribution log-probabilities are of when top-k, top-p or bans keep tokens from being
    drawn: the whole policy, or the policy among the tokens that could be drawn (needs top-k)."""
    engine: Literal["tutelage", "transformers"] = "tutelage"
    """tutelage's own sampler, or generate() of Transformers: slower, but for any model."""
    rows_at_once: PositiveInt = 128
    """Responses written at the same time; fewer save memory. They change no response, except with
    engine transformers, which draws random numbers for all of them together."""

    def check(self) -> None:
        """Refuse settings that contradict each other."""
        if self.min_tokens > self.max_tokens:
            raise UserError(
                f"--rollout.min-tokens {self.min_tokens} is more than --rollout.max-tokens "
                f"{self.max_tokens}. Lower it."
            )
        if "" in self.stop:
            raise UserError("--rollout.stop has an empty string, which ends nothing. Leave it out.")
        if self.support == "truncated" and self.top_k == 0:
            raise UserError(
                "--rollout.support truncated needs --rollout.top-k: the tokens that could be drawn "
                "are stored with every token. Set it (50, say), or use --rollout.support full."
            )

    def is_truncated(self) -> bool:
        """Whether some tokens can't be drawn though the policy gives them a probability."""
        return bool(
            self.top_k or self.top_p < 1 or self.banned_words or self.banned_tokens
            or self.min_tokens
        )  # fmt: skip


class Rollout(NamedTuple):
    """Prompts with sampled responses; `time` counts the tokens of a response from 0."""

    prompt_ids: list[list[int]]
    response_ids: list[list[int]]
    """End tokens and stop strings are there."""
    prompts: list[str]
    responses: list[str]
    """Text without special tokens, cut at a stop string."""
    mask: Bool[Tensor, "batch time"]
    """True on the tokens of each response; always from the left."""
    logprobs: Float[Tensor, "batch time"]
    """Of the tokens drawn, in nats, at the sampling temperature; 0 behind a response."""
    values: Float[Tensor, "batch time"] | None
    """Of the state in which each token was drawn, if the student has a value head."""
    kept_mass: Float[Tensor, "batch time"]
    """Probability, under the whole policy, of the tokens that could be drawn; 1 behind."""
    support: Int[Tensor, "batch time candidate"] | None
    """With support "truncated", the tokens that could be drawn; −1 fills up."""
    finish: list[Finish]


class Engine(Protocol):
    """Writes responses."""

    def __call__(
        self,
        student: Student,
        tokenizer: Any,
        prompt_ids: Sequence[Sequence[int]],
        sampling: Sampling,
        *,
        seed: int,
        row_numbers: Sequence[int] | None = None,
        constraint: Constraint | None = None,
    ) -> Rollout:
        """One response for each prompt; see `sample`."""
        ...


def sample(
    student: Student,
    tokenizer: Any,
    prompt_ids: Sequence[Sequence[int]],
    sampling: Sampling,
    *,
    seed: int,
    row_numbers: Sequence[int] | None = None,
    constraint: Constraint | None = None,
) -> Rollout:
    """One response for each prompt, by the engine that the settings name.

    The caller's random state and the student's training mode are as before, afterwards. Matrix
    products run in the autocast type around the call.

    Args:
        student: Who writes.
        tokenizer: Of the student's tokens.
        prompt_ids: Tokens of each prompt, at least one.
        sampling: How.
        seed: A response depends on the seed and its row's number, not on the rows beside it.
        row_numbers: Numbers of the rows; by default counted from 0.
        constraint: Changes the logits before a token is drawn.
    """
    from tutelage.rollout.decoding import decode
    from tutelage.rollout.reference import generate_rollout

    engines: dict[str, Engine] = {"tutelage": decode, "transformers": generate_rollout}
    sampling.check()
    for number, row in enumerate(prompt_ids):
        if not row or len(row) >= student.context:
            raise UserError(
                f"Prompt {number + 1} has {len(row)} tokens, but a prompt needs at least one and, "
                f"with room for a response, fewer than the {student.context} tokens that this "
                "student reads. Shorten it or leave it out."
            )
    was_training = student.training
    student.eval()  # no dropout: the policy that samples is the one that learns
    try:
        return engines[sampling.engine](
            student,
            tokenizer,
            prompt_ids,
            sampling,
            seed=seed,
            row_numbers=row_numbers,
            constraint=constraint,
        )
    finally:
        student.train(was_training)


def end_tokens(student: Student, tokenizer: Any) -> list[int]:
    """Tokens that end a text: those of the model's own settings, or the tokenizer's."""
    settings = student.base.generation_config
    eos = settings.eos_token_id if settings is not None else None
    eos = tokenizer.eos_token_id if eos is None else eos
    return [] if eos is None else list(eos) if isinstance(eos, list) else [eos]


def banned_ids(sampling: Sampling, tokenizer: Any) -> list[int]:
    """The tokens that may never be drawn, each spelling of a banned word among them."""
    ids = set(sampling.banned_tokens)
    if ids and max(ids) >= len(tokenizer):
        raise UserError(
            f"--rollout.banned-tokens {max(ids)} is no token: there are {len(tokenizer)} of them, "
            "counted from 0."
        )
    for word in sampling.banned_words:
        spellings = {
            tuple(tokenizer.encode(before + form, add_special_tokens=False))
            for before in ("", " ")
            for form in (word, word.capitalize())
        }
        single = {spelling[0] for spelling in spellings if len(spelling) == 1}
        if not single:
            raise UserError(
                f"--rollout.banned-words {word} is more than one token of this tokenizer, so it "
                "can't be banned by itself. Leave it out, or ban tokens by number."
            )
        ids |= single
    return sorted(ids)
