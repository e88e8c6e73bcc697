"""Likeness of texts: ROUGE of responses to references, Self-BLEU among responses (EV-7).

ROUGE-1, -2 and -L (Lin, 2004, https://aclanthology.org/W04-1013) are F-measures by `rouge_score`,
without stemming. Self-BLEU (Zhu et al., 2018, https://arxiv.org/abs/1802.01886) is the mean BLEU-4
of each response with all others as references, by NLTK: near 1, the responses are all alike.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field, PositiveInt

from tutelage.config import Config, UserError

VERSION = 2
ROUGE = {"rouge1": "rouge_1", "rouge2": "rouge_2", "rougeL": "rouge_l"}


class Sample(NamedTuple):
    """A response, when it was sampled, and the text that it should be like, if there is one."""

    step: int | None
    response: str
    reference: str | None


class Similarity(Config):
    """ROUGE of texts to references, and Self-BLEU: how alike the texts of a run or file are."""

    responses: PositiveInt = 100
    """Most responses of a step that Self-BLEU compares, drawn by the seed; its time grows with the
    square."""
    seed: int = Field(default=0, ge=0)
    """Seed of the draw."""

    def check(self) -> None:
        """Nothing but the target can be wrong."""

    def without_student(self, target: Path) -> dict[str, Any]:
        """The measures of the last step, and those of every step.

        Args:
            target: A run (its samples.jsonl), or JSON lines with `response`, perhaps `reference`.
        """
        file = target / "samples.jsonl" if target.is_dir() else target
        steps: dict[int | None, list[Sample]] = {}
        for sample in read_samples(file):
            steps.setdefault(sample.step, []).append(sample)
        order = sorted(steps, key=lambda step: -1 if step is None else step)
        by_step = [self.measures(steps[step]) for step in order]
        if not by_step[-1].keys() & {"self_bleu", "rouge_1"}:
            raise UserError(
                f"{file} has one sample of its last step and no reference, so there is nothing "
                "to compare. Give more responses, or references."
            )
        return {
            "version": VERSION,
            "measures": by_step[-1],
            "counts": {},
            "seeds": {"responses": self.seed},
            "steps": order,
            "by_step": by_step,
        }

    def measures(self, samples: Sequence[Sample]) -> dict[str, float]:
        """Those of the samples of one step."""
        pairs = [(s.response, s.reference) for s in samples if s.reference is not None]
        measures = rouge(pairs) if pairs else {}
        if len(samples) > 1:
            drawn = [sample.response for sample in samples]
            if len(drawn) > self.responses:
                drawn = random.Random(self.seed).sample(drawn, self.responses)
            measures["self_bleu"] = self_bleu(drawn)
        return measures | {"responses": len(samples), "references": len(pairs)}


def rouge(pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    """Mean F-measures of ROUGE-1, -2 and -L over (response, reference)."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(list(ROUGE))
    rows = [scorer.score(reference, response) for response, reference in pairs]
    return {name: sum(row[key].fmeasure for row in rows) / len(rows) for key, name in ROUGE.items()}


def self_bleu(responses: Sequence[str]) -> float:
    """Mean BLEU-4 of each response against all others.

    Words and punctuation marks are tokens, in lower case; an order without a match counts as 0.1
    matches (NLTK's smoothing method 1). A response that is among the others has BLEU 1, however
    short it is; an empty one beside others that are not has 0.
    """
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

    smooth = SmoothingFunction().method1
    tokens = [re.findall(r"\w+|[^\w\s]", response.lower()) for response in responses]
    found = []
    for i, own in enumerate(tokens):
        others = tokens[:i] + tokens[i + 1 :]
        bleu: Any = 1.0 if own in others else sentence_bleu(others, own, smoothing_function=smooth)
        found.append(float(bleu))
    return sum(found) / len(found)


def read_samples(path: Path) -> list[Sample]:
    """Samples of a JSON-lines file; an unfinished last line of a run in progress is left out."""
    if not path.is_file():
        raise UserError(
            f"{path} does not exist. Give a run that wrote samples, or a JSON-lines file "
            'of rows such as {"prompt": "Once", "response": " upon a time"}.'
        )
    lines = path.read_bytes().split(b"\n")
    if path.name == "samples.jsonl":
        lines = lines[:-1]
    found = [
        _sample(line, f"{path}, line {number}")
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    if not found:
        raise UserError(f"{path} holds no samples, so there is nothing to compare.")
    return found


def _sample(line: bytes, place: str) -> Sample:
    try:
        row = json.loads(line)
        response, reference, step = row["response"], row.get("reference"), row.get("step")
        if not isinstance(response, str) or not isinstance(reference, str | None):
            raise TypeError("response and reference must be texts")
        if not isinstance(step, int | None):
            raise TypeError("step must be a whole number")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"no {error.args[0]}" if isinstance(error, KeyError) else str(error)
        raise UserError(
            f"{place} is not a sample ({reason}). Each line must be a JSON object such as "
            '{"prompt": "Once", "response": " upon a time", "reference": " there was"}.'
        ) from None
    return Sample(step, response, reference)
