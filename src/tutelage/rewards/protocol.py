"""What every reward does: score responses to prompts, and say why where it can't."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float
    from torch import Tensor

TERM_NAME = re.compile(r"[\w.-]+")
TAKEN_NAMES = ("total", "std")  # of what the logs say of all scores
LARGEST = 1e6  # sums of squares still fit float32, and beyond it nothing is learned
SHOWN_CHARACTERS = 60


class Scores(NamedTuple):
    """What a reward says of a batch of responses: float32, on the CPU."""

    scores: Float[Tensor, " batch"]
    terms: Mapping[str, Float[Tensor, " batch"]]
    """What the scores are made of, by name and before any weight, to be logged."""
    notes: Sequence[str] | None = None
    """A remark on each response, if there are any: for people to read."""

    @classmethod
    def of(cls, name: str, values: Sequence[float]) -> Scores:
        """Scores that consist of one term."""
        import torch

        scores = torch.tensor(values, dtype=torch.float32)
        return cls(scores, {name: scores})


class Reward(Protocol):
    """Scores responses. Further columns of the prompts' rows, such as `answer`, come by name."""

    def __call__(
        self, prompts: Sequence[str], responses: Sequence[str], **columns: Sequence[Any]
    ) -> Scores:
        """One score for each response; a batch of none has none."""
        ...


class RewardConfig(Protocol):
    """What every member of `AnyReward` can do."""

    def check(self) -> None:
        """Refuse, without heavy work, what could not be used."""
        ...

    def columns(self) -> tuple[str, ...]:
        """Columns of the prompts' rows that the reward can't do without."""
        ...

    def build(self, device: torch.device | None = None) -> Reward:
        """The reward, ready to be called; a model of its own is put on the device."""
        ...


class RewardError(RuntimeError):
    """A reward failed to score a batch. The run stops and can be resumed once that is mended."""

    def __init__(
        self, message: str, *, index: int | None = None, prompt: str = "", response: str = ""
    ) -> None:
        super().__init__(message)
        self.index = index
        self.prompt = prompt
        self.response = response


def blame(
    what: str, remedy: str, index: int, prompts: Sequence[str], responses: Sequence[str]
) -> RewardError:
    """The error for one sample: `what` went wrong with it, and what to do.

    Args:
        what: Clause that begins the message.
        remedy: Sentence that ends it.
        index: Number of the sample in the batch, from 0.
        prompts: Prompts of the batch.
        responses: Responses of the batch.
    """
    prompt, response = prompts[index], responses[index]
    sample = f"prompt {_shown(prompt)}, response {_shown(response)}"
    message = f"{what} for sample {index + 1} of {len(responses)} ({sample}). {remedy}"
    return RewardError(message, index=index, prompt=prompt, response=response)


def _shown(text: str) -> str:
    is_long = len(text) > SHOWN_CHARACTERS
    return f"{text[:SHOWN_CHARACTERS]!r}…" if is_long else repr(text)


def checked(
    scores: Scores, prompts: Sequence[str], responses: Sequence[str], *, name: str = "The reward"
) -> Scores:
    """The scores, if there is a finite number for each sample in each term.

    Args:
        scores: What a reward returned; any sequence of numbers will do for its parts.
        prompts: Prompts that were scored.
        responses: Responses that were scored.
        name: What to call the reward in an error.

    Raises:
        RewardError: Names the first sample that lacks a finite number.
    """
    if not isinstance(scores, Scores):
        raise RewardError(f"{name} returned {_kind(scores)}, but it must return Scores.")
    terms = {
        term: numbers(values, prompts, responses, name=f"{name} (term {term})")
        for term, values in scores.terms.items()
    }
    refuse_names(terms, name=name)
    notes = scores.notes
    if notes is not None and len(notes) != len(responses):
        raise RewardError(
            f"{name} returned {len(notes)} notes for {len(responses)} samples. "
            "Return one note for each, or none at all."
        )
    return Scores(numbers(scores.scores, prompts, responses, name=name), terms, notes)


def numbers(
    values: Any, prompts: Sequence[str], responses: Sequence[str], *, name: str
) -> Float[Tensor, " batch"]:
    """One number of sane size for each sample, out of a list, tuple, array or tensor of them."""
    import torch

    values = values.tolist() if hasattr(values, "tolist") else values
    if not isinstance(values, (list, tuple)):
        raise RewardError(
            f"{name} returned {_kind(values)} for {len(responses)} samples. "
            "Return a list, array or tensor with one number for each."
        )
    values = [value.item() if getattr(value, "ndim", None) == 0 else value for value in values]
    remedy = "Return one finite number for each sample."
    for index, value in enumerate(values[: len(responses)]):
        if not isinstance(value, Real):
            what = f"{name} returned {_kind(value)} instead of a number"
            raise blame(what, remedy, index, prompts, responses)
        if not abs(value) <= LARGEST:  # pyright: ignore[reportOperatorIssue]: nan is caught, too
            size = "Return one number from -1,000,000 to 1,000,000 for each sample."
            raise blame(f"{name} returned {value}", size, index, prompts, responses)
    if len(values) < len(responses):
        what = f"{name} returned only {len(values)} numbers: there is none"
        raise blame(what, remedy, len(values), prompts, responses)
    if len(values) > len(responses):
        count = f"{len(values)} numbers for {len(responses)} samples"
        raise RewardError(f"{name} returned {count}. {remedy}")
    return torch.tensor([float(value) for value in values], dtype=torch.float32)


def refuse_names(names: Mapping[Any, Any], *, name: str) -> None:
    """Raise RewardError where a term's name can't be a key in the logs."""
    for term in names:
        if not isinstance(term, str) or not TERM_NAME.fullmatch(term) or term in TAKEN_NAMES:
            raise RewardError(
                f"{name} has a term named {term!r}, which can't be a key in the logs. A name "
                "consists of letters, digits, '_', '.' and '-'; total and std are taken: the "
                "sum of all terms and its standard deviation."
            )


def _kind(value: Any) -> str:
    """A value and its type, shortly."""
    return "None" if value is None else f"{_shown(str(value))} ({type(value).__name__})"
