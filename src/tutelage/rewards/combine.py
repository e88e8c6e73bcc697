"""A weighted sum of rewards."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_origin

from pydantic import BeforeValidator, Field, ValidationError
from tyro.constructors import PrimitiveConstructorSpec

from tutelage.config import Config, UserError, explain, kind_of, sections
from tutelage.rewards.contains import Contains
from tutelage.rewards.function import Function
from tutelage.rewards.grammar import NurseryGrammar
from tutelage.rewards.gsm8k import Gsm8k
from tutelage.rewards.length import Length
from tutelage.rewards.preference import Preference
from tutelage.rewards.protocol import Reward, Scores, checked
from tutelage.rewards.random import Random
from tutelage.rewards.recovered import Recovered

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Term = Function | Contains | Length | NurseryGrammar | Gsm8k | Preference | Recovered | Random
"""Rewards that a combination can hold: all others."""


class Part(Config):
    """A reward with its weight."""

    weight: Annotated[float, Field(allow_inf_nan=False)] = 1.0
    """What its score is multiplied by; less than 0 for a penalty."""
    reward: Annotated[Term, Field(discriminator="kind")]
    """The reward."""

    def __str__(self) -> str:
        """As typed: `0.5 contains words=dog,cat`."""
        fields = self.reward.model_dump(mode="json", exclude={"kind"}, exclude_defaults=True)
        options = (
            f"{name}={','.join(value) if isinstance(value, list) else value}"
            for name, value in fields.items()
        )
        words = (f"{self.weight:g}", kind_of(type(self.reward)), *options)
        return " ".join(map(shlex.quote, words))


def as_part(value: Any) -> Part:
    """A part from the words typed, or from the mapping in a file."""
    if isinstance(value, Part):
        return value
    values = typed(value) if isinstance(value, str) else value
    try:
        return Part.model_validate(values)
    except ValidationError as error:
        said = explain(error, Part, spell=lambda names: names[-1] if names else "it")
        raise UserError(f"In the part {value!r}: {said}") from None


def typed(text: str) -> dict[str, Any]:
    """What `[weight] kind [option=value …]` means; commas separate the values of a list."""
    try:
        words = shlex.split(text)
        weight = 1.0
        if words and _is_number(words[0]):
            weight = float(words.pop(0))
        kind, *options = words
        pairs = [option.split("=", 1) for option in options]
        fields: dict[str, Any] = dict(pairs)
    except ValueError:
        raise UserError(
            f"The part {text!r} can't be read. Write a weight if it is not 1, a kind, and its "
            "options, such as '0.5 contains words=dog,cat'."
        ) from None
    member = sections(Term).get(kind)
    for name in fields:
        field = member.model_fields.get(name) if member else None
        if field and get_origin(field.annotation) is tuple:
            fields[name] = tuple(fields[name].split(","))
    return {"weight": weight, "reward": {"kind": kind, **fields}}


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


PART_WORD = PrimitiveConstructorSpec(
    nargs=1,
    metavar="PART",
    instance_from_str=lambda words: words[0],
    is_instance=lambda value: isinstance(value, str | Part),
    str_from_instance=lambda part: [str(part)],
)
"""How the command line takes a part: as one word, read by `as_part`."""


class Combine(Config):
    """A weighted sum of rewards."""

    kind: Literal["combine"] = "combine"
    """A weighted sum of rewards."""
    parts: Annotated[
        tuple[Annotated[Part, BeforeValidator(as_part), PART_WORD], ...], Field(min_length=1)
    ]
    """The rewards, each in quotes: a weight if it is not 1, its kind and its options, such as
    "0.5 contains words=dog,cat" "0.1 length target=20"."""

    def check(self) -> None:
        """Refuse what one of the rewards refuses."""
        for part in self.parts:
            part.reward.check()

    def columns(self) -> tuple[str, ...]:
        """What any of the rewards needs."""
        return tuple(dict.fromkeys(c for part in self.parts for c in part.reward.columns()))

    def build(self, device: torch.device | None = None) -> Reward:
        """The rewards, ready to be called one after the other."""
        weighted = [(part.weight, part.reward.build(device)) for part in self.parts]
        names = [f"The reward {kind_of(type(part.reward))}" for part in self.parts]

        def reward(
            prompts: Sequence[str], responses: Sequence[str], **columns: Sequence[Any]
        ) -> Scores:
            found = [
                checked(one(prompts, responses, **columns), prompts, responses, name=name)
                for name, (_, one) in zip(names, weighted, strict=True)
            ]
            total = sum(
                weight * one.scores for one, (weight, _) in zip(found, weighted, strict=True)
            )
            return Scores(total, _all_terms(found), _all_notes(found))  # pyright: ignore

        return reward


def _all_terms(found: Sequence[Scores]) -> dict[str, Tensor]:
    """All terms, the second of a name as name_2."""
    terms: dict[str, Tensor] = {}
    for scores in found:
        for name, values in scores.terms.items():
            terms[_unused(name, terms)] = values
    return terms


def _unused(name: str, terms: Mapping[str, Any]) -> str:
    number = 2
    unused = name
    while unused in terms:
        unused = f"{name}_{number}"
        number += 1
    return unused


def _all_notes(found: Sequence[Scores]) -> list[str] | None:
    """Each sample's notes, in the order of the rewards."""
    noted = [scores.notes for scores in found if scores.notes is not None]
    return ["\n".join(filter(None, notes)) for notes in zip(*noted, strict=True)] or None
