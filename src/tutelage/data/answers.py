"""Answers by which responses can be checked: GSM8K's `#### number`, or a text.

GSM8K: Cobbe et al., 2021, https://arxiv.org/abs/2110.14168.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from tutelage.config import UserError

if TYPE_CHECKING:
    from tutelage.data.completions import Example

Answers = Literal["none", "gsm8k", "exact"]
"""How responses are checked: not at all; by the number after ####; by comparing texts."""
NUMBER = r"""
    (?P<sign>[-+−–])?[ \t]* (?:[$€£][ \t]*)? (?P<late_sign>[-+−–])?
    (?P<digits>[0-9][0-9,]*+(?:\.[0-9]++)?+ | \.[0-9]++)
    (?![.:/^eE]\d)
"""
"""A number as people write it; not the beginning of a fraction, a power or a time of day."""
ANSWER = re.compile(rf"\#{{4}}[ \t]*{NUMBER}", re.VERBOSE)
BARE = re.compile(rf"\s*{NUMBER}\s*\.?\s*", re.VERBOSE)


def how_checked(
    examples: Sequence[Example], wanted: Literal["auto"] | Answers, name: str
) -> Answers:
    """How responses to these examples can be checked, as asked for or as their answers say.

    Args:
        examples: All of them.
        wanted: auto: by numbers if all answers have them and completions or answers have ####; by
            texts if there are other answers.
        name: How the data are called in messages.
    """
    if wanted == "none":
        return "none"
    answers = [each for each in examples if each.answer is not None]
    if wanted == "auto":
        if not answers:
            return "none"
        return "gsm8k" if all(map(_is_gsm8k, answers)) else "exact"
    if not answers:
        raise UserError(
            f"{name}: answers is {wanted}, but no row has an answer. Set answer_column to the "
            "column that holds it."
        )
    for each in answers if wanted == "gsm8k" else ():
        if right_number(each.answer) is None:
            raise UserError(
                f"{each.where}: answers is gsm8k, but the answer {str(each.answer)[-60:]!r} is "
                "neither a number nor ends in `#### number`. Set answers to exact, or mend the row."
            )
    return wanted


def _is_gsm8k(example: Example) -> bool:
    is_marked = "####" in example.completion or "####" in str(example.answer)
    return is_marked and right_number(example.answer) is not None


def answer_number(text: str) -> Decimal | None:
    """The number after the first `####` that has one.

    Commas between digits and a currency sign before them are skipped, a sign is kept.
    """
    match = ANSWER.search(text)
    return _decimal(match) if match else None


def right_number(answer: object) -> Decimal | None:
    """The number in a row's answer: after `####`, or all there is."""
    text = str(answer)
    match = ANSWER.search(text) if "####" in text else BARE.fullmatch(text)
    return _decimal(match) if match else None


def _decimal(match: re.Match[str]) -> Decimal:
    number = Decimal(match["digits"].replace(",", ""))
    is_negative = {match["sign"], match["late_sign"]} & {"-", "−", "–"}
    return -number if is_negative else number
