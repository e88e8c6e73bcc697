"""Responses to held-out prompts: likeness to references, diversity, right answers (IRL-4).

Greedy responses are compared with references (ROUGE) and answers; sampled ones with each other:
Self-BLEU is taken among the responses to one prompt, and is 1 where they are all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import Field, NonNegativeInt, PositiveInt

from tutelage.config import Config
from tutelage.data.answers import answer_number, right_number
from tutelage.evals.similarity import rouge, self_bleu
from tutelage.rollout.engine import Temperature

if TYPE_CHECKING:
    from tutelage.data.completions import Answers, EncodedExample

VERSION = 1


class Responses(Config):
    """What the student answers to held-out prompts."""

    prompts: NonNegativeInt = 64
    """Most prompts, the first of the validation data; 0: none are answered."""
    samples: NonNegativeInt = 4
    """Sampled responses to each prompt, besides the greedy one; diversity needs two."""
    response_length: PositiveInt = 128
    """Most tokens of a response; shorter where the student's context ends."""
    temperature: Temperature = 1.0
    """Divides the logits of sampled responses."""
    top_k: NonNegativeInt = 0
    """Sample among the k likeliest tokens only; 0: among all."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Sample among the likeliest tokens that together have this probability."""
    shown: NonNegativeInt = 4
    """Prompts whose responses are kept in samples.jsonl."""


class Response(NamedTuple):
    """A response to an example's prompt."""

    example: EncodedExample
    number: int
    """The example's number among those asked."""
    text: str
    num_tokens: int
    is_ended: bool
    is_greedy: bool

    def row(self, answers: Answers) -> dict[str, Any]:
        """As samples.jsonl and the stored result have it."""
        found = {
            "prompt": self.example.example.prompt,
            "response": self.text,
            "reference": self.example.example.completion,
            "decoding": "greedy" if self.is_greedy else "sampled",
            "num_tokens": self.num_tokens,
            "is_ended": self.is_ended,
        }
        right = is_right(self.text, self.example.example.answer, answers)
        return found if right is None else {**found, "is_right": right}


def is_right(response: str, answer: str | None, how: Answers) -> bool | None:
    """Whether a response gives the right answer; None if that can't be told.

    gsm8k: the numbers after #### are equal. exact: the texts are, blanks around them aside.
    """
    if how == "none" or answer is None:
        return None
    if how == "exact":
        return response.strip() == answer.strip()
    right = right_number(answer)
    return None if right is None else answer_number(response) == right


def measured(responses: Sequence[Response], answers: Answers) -> dict[str, Any]:
    """A result as stored in evals/responses/<milestone>.json; empty without responses."""
    if not responses:
        return {}
    greedy = [each for each in responses if each.is_greedy]
    sampled = [each for each in responses if not each.is_greedy]
    measures: dict[str, float] = {}
    counts: dict[str, int] = {}
    for name, some in (("accuracy", greedy), ("sampled_accuracy", sampled)):
        right = [is_right(each.text, each.example.example.answer, answers) for each in some]
        known = [value for value in right if value is not None]
        if known:
            measures[name] = sum(known) / len(known)
            if some is greedy:  # several responses to one prompt do not count as so many trials
                counts[name] = len(known)
    if answers == "gsm8k" and "accuracy" in measures:
        without = sum(answer_number(each.text) is None for each in greedy)
        measures["no_answer"], counts["no_answer"] = without / len(greedy), len(greedy)
    pairs = [(each.text, each.example.example.completion) for each in greedy]
    measures |= rouge(pairs)
    diversity = mean_self_bleu(sampled)
    if diversity is not None:
        measures["self_bleu"] = diversity
    measures["response_tokens"] = sum(each.num_tokens for each in greedy) / len(greedy)
    measures["ended"] = sum(each.is_ended for each in greedy) / len(greedy)
    counts["ended"] = len(greedy)
    items = [each.row(answers) for each in responses]
    return {"version": VERSION, "measures": measures, "counts": counts, "items": items}


def mean_self_bleu(responses: Sequence[Response]) -> float | None:
    """Self-BLEU among the responses to a prompt, mean over prompts with two or more; else None."""
    by_prompt: dict[int, list[str]] = {}
    for each in responses:
        by_prompt.setdefault(each.number, []).append(each.text)
    values = [self_bleu(texts) for texts in by_prompt.values() if len(texts) > 1]
    return sum(values) / len(values) if values else None
