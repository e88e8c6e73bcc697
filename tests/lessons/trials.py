"""Small trials: a student, prompts, a reward, and a lesson over them."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from typing import Any

import torch

from models.students import VOCAB, gpt2, other, tokenizer_of
from tutelage.data.prompts import Prompt
from tutelage.lessons.shaping import Kl, Shaping
from tutelage.lessons.stage import Solo
from tutelage.lessons.trial import Trial
from tutelage.lessons.updates import PpoUpdate
from tutelage.models.student_module import Student, new_value_head
from tutelage.rewards.protocol import Scores
from tutelage.rollout.engine import Sampling
from tutelage.train.compute import ComputeConfig

PROMPTS = [[1, 2, 3], [4], [5, 6, 7, 8], [9, 9], [3, 1], [2], [8, 7, 6, 5, 4], [10, 11]]


def prompts() -> list[Prompt]:
    tokenizer = tokenizer_of()
    return [Prompt(tokenizer.decode(row), row, {"answer": f"w{row[0]}"}) for row in PROMPTS]


def reward(prompts: Any, responses: Any, **columns: Any) -> Scores:
    """How often the response has the prompt's first word, and a term of its own."""
    counts = [
        sum(word == answer for word in response.split())
        for response, answer in zip(responses, columns["answer"], strict=True)
    ]
    lengths = [len(response.split()) / 10 for response in responses]
    scores = torch.tensor([c + n for c, n in zip(counts, lengths, strict=True)])
    terms = {"hits": torch.tensor(counts).float(), "length": torch.tensor(lengths)}
    return Scores(scores, terms, ["note"] * len(responses))


def student_of(name: str = "GPT2", **options: Any) -> Student:
    """A student with a value head and an opinion, so that tokens differ."""
    student = gpt2(**options) if name == "GPT2" else other(name)
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for label, parameter in student.model.named_parameters():
            if parameter.dim() > 1 and name == "GPT2" and "lora_" not in label:
                parameter.copy_(torch.randn(parameter.shape, generator=rng) * 0.3)
    return Student(student.model, new_value_head(student.base, folder=None, seed=1))


def trial(student: Student | None = None, **options: Any) -> Trial:
    """A lesson; `reference` is the student as it is, unless given."""
    student = student or student_of()
    if "reference" not in options:
        frozen = copy.deepcopy(student)
        options["reference"] = lambda: nullcontext(frozen)
    values = {
        "sampling": Sampling(max_tokens=8),
        "update": PpoUpdate(epochs=2, minibatch_size=4),
        "shaping": Shaping(),
        "kl": Kl(),
        "batch_size": 8,
        "microbatch_tokens": None,
        "seed": 5,
        "machine": ComputeConfig(use_cpu=True, precision="fp32").build(),
        **options,
    }
    sampling = values.pop("sampling")
    stage = Solo(
        student,
        tokenizer_of(),
        values.pop("reward", reward),
        sampling=sampling,
        seed=values["seed"],
        machine=values["machine"],
    )
    return Trial(student, prompts(), stage, temperature=sampling.temperature, **values)


def gradients(lesson: Trial, batch: Any) -> tuple[dict[str, float], list[torch.Tensor]]:
    """Mean of every sum that a batch logs, and the gradient of its loss."""
    student, totals = lesson.student, {}
    student.zero_grad()
    for microbatch in batch.microbatches:
        loss, sums = lesson.loss(student, microbatch)
        (loss / batch.num_terms).backward()
        for name, value in {"loss": loss, **sums}.items():
            totals[name] = totals.get(name, 0.0) + float(value.detach()) / batch.num_terms
    found = [p.grad.clone() for p in student.parameters() if p.grad is not None]
    return totals, found


__all__ = ["PROMPTS", "VOCAB", "gradients", "prompts", "reward", "student_of", "trial"]
