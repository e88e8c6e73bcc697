"""All checks of a subject, in the order in which to mend what fails."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from tutelage.commands import doctor_rollouts, doctor_student
from tutelage.commands.doctor_checks import Check
from tutelage.commands.doctor_subject import Subject
from tutelage.data.prompts import columns_of
from tutelage.objectives.scores import place_scores
from tutelage.rewards.protocol import RewardError, checked
from tutelage.rollout.engine import Rollout, sample

NUM_ROWS = 4
"""Rows that are read in several ways; of all of them, a large student would take too long."""
ROWS_PER_PORTION = 2


def examine(subject: Subject) -> Iterator[Check]:
    """One check after another, on responses that the student writes at first."""
    student, tokenizer, sampling = subject.student, subject.tokenizer, subject.sampling
    student.eval()  # as in the rounds of a trial
    yield doctor_rollouts.ends(student, tokenizer)
    prompt_ids = [prompt.token_ids for prompt in subject.prompts]
    rollout = sample(student, tokenizer, prompt_ids, sampling, seed=subject.seed)
    # A row that fills the context has no room for padding.
    texts = [
        (prompt + response)[: student.context - 1]
        for prompt, response in zip(rollout.prompt_ids, rollout.response_ids, strict=True)
    ][:NUM_ROWS]
    expected = doctor_student.alone(student, texts)
    for side in ("right", "left"):
        yield doctor_student.padded_rows(student, texts, expected, side)
    yield doctor_student.masked_gradients(student, texts)
    indices = list(range(len(texts)))
    starts = range(0, len(indices), ROWS_PER_PORTION)
    portions = [indices[start : start + ROWS_PER_PORTION] for start in starts]
    yield doctor_student.accumulation(student, rollout, portions)
    with torch.no_grad():
        rows = doctor_student.whole(rollout, student)
        scores = rows.scores(student, temperature=sampling.temperature, entropy=True)
    yield doctor_student.first_ratio(rollout, scores)
    yield doctor_student.kl_to_itself(student, rollout, scores, sampling.temperature)
    yield doctor_rollouts.support(rollout, sampling)
    if sampling.support == "truncated" or not sampling.is_truncated():
        yield doctor_rollouts.surprise(rollout, scores)
    numbers = doctor_rollouts.stand_ins(rollout.responses)
    placed = place_scores(numbers, rollout.mask)
    yield doctor_rollouts.score_places(rollout, numbers, placed)
    yield doctor_rollouts.ending(student, tokenizer, rollout)
    yield from rewarded(subject, rollout)


def rewarded(subject: Subject, rollout: Rollout) -> Iterator[Check]:
    """What the reward says of the responses, if there is a reward."""
    if subject.reward is None:
        return
    texts = [prompt.text for prompt in subject.prompts]
    try:
        found = subject.reward(texts, rollout.responses, **columns_of(subject.prompts))
        scores = checked(found, texts, rollout.responses)
    except RewardError as error:
        num_missing = len(texts) if error.index is None else 1
        yield doctor_rollouts.reward_numbers(str(error), num_missing)
        return
    yield doctor_rollouts.reward_numbers("", 0)
    yield doctor_rollouts.reward_spread(scores)
