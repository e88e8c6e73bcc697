"""What a report shows of trials: metrics that belong together, and how responses ended.

The keys are those of docs/metrics.md; most are only on the row of a round's first step.
"""

import functools
from typing import NamedTuple

import numpy as np

from tutelage.reports.curves import Curve, group_of
from tutelage.reports.plots import UNITS
from tutelage.reports.shares import Shares

FINISHES: tuple[str, ...] = ("eos", "stop", "length", "context")
FRACTIONS = {f"rollout/{finish}_fraction": finish for finish in FINISHES}
LOWEST = {"trial/explained_variance": -1.0}
"""Where the y-axes of metrics end that fall without limit and mean nothing down there."""


class Metrics(NamedTuple):
    """Metrics under one head, in the order of their charts, and how to read them."""

    keys: tuple[str, ...]
    note: str


GROUPS = {
    "reward": Metrics(
        ("reward/total", "reward/std"),
        "Means over the responses of a round, before any penalty. reward/total is what the student "
        "is to raise, reward/std how much it varies among responses: at 0 there is nothing to "
        "learn from. The others are the terms of the total, each before its weight.",
    ),
    "KL to the reference": Metrics(
        ("trial/kl", "trial/kl_per_response", "trial/kl_coef", "trial/kl_loss"),
        "How far the student that sampled is from its reference, in nats per token and per "
        "response, and the weight of that in the reward. It begins at 0. A reward that only rises "
        "together with a fast-growing KL is often one that has been outwitted: read the samples.",
    ),
    "policy update": Metrics(
        (
            "trial/policy_kl",
            "trial/clip_fraction",
            "trial/clamp_fraction",
            "trial/ratio",
            "trial/policy_loss",
            "trial/loss",
        ),
        "How far the updates of a round move the policy from the one that sampled: as a KL, as "
        "tokens held back by the clip, and as the mean ratio, which stays near 1. Clamped tokens "
        "are 0 in sound training. The losses need not fall.",
    ),
    "critic": Metrics(
        ("trial/explained_variance", "trial/value_loss"),
        "Explained variance: 1 if the values foresaw every return, 0 if they did no better than a "
        "constant. What is below −1 is under the chart’s edge.",
    ),
    "entropy": Metrics(
        ("trial/entropy", "trial/sampled_entropy"),
        "In nats per token: of the whole next-token distribution, and as the mean −ln p of the "
        "tokens drawn. Where the student drew all tokens from that whole distribution, the two "
        "agree up to noise; top-k and top-p make the second smaller, another’s texts mostly "
        "greater. A fall to 0 means that all responses are alike.",
    ),
    "responses": Metrics(
        ("rollout/response_tokens", *FRACTIONS, "rollout/kept_mass"),
        "Mean tokens of a response; the probability that top-k, top-p and banned tokens left to "
        "draw from; and how responses ended: at an end token (eos), a stop string, the greatest "
        "length, or the end of the student’s context.",
    ),
}
INTERACTION = {
    "interaction": Metrics(
        (
            "interaction/trial_reward",
            "interaction/demonstration_reward",
            "interaction/trial_age",
            "interaction/demonstration_age",
            "interaction/baseline",
        ),
        "Means over the trials and over the demonstrations of a round, for the same prompts. Ages "
        "are what the age model takes the texts’ writer to be, in log2 steps; the reward is the "
        "age as it stands to the baseline. Trials whose age comes up to that of demonstrations "
        "are as good as them, or have outwitted the age model: read the samples.",
    ),
}
"""Trials beside demonstrations."""
_KNOWN = INTERACTION | GROUPS
_GROUP = {key: name for name, metrics in _KNOWN.items() for key in metrics.keys}


def note_of(group: str) -> str:
    """How to read a group; empty if that needs no words."""
    return _KNOWN[group].note if group in _KNOWN else ""


def grouped(keys: list[str]) -> dict[str, list[str]]:
    """Keys by group: those of trials where the first of them is, others as they are named."""
    groups: dict[str, list[str]] = {}
    for key in keys:
        name = _GROUP.get(key, group_of(key))
        if name in GROUPS:
            for every in GROUPS:
                groups.setdefault(every, [])
        groups.setdefault(name, []).append(key)
    for name, metrics in _KNOWN.items():
        if name in groups:
            known = [key for key in metrics.keys if key in groups[name] and key not in FRACTIONS]
            others = [key for key in groups[name] if key not in metrics.keys]
            groups[name] = known[:1] + others + known[1:]
    return groups


def finish_shares(curves: dict[str, list[Curve]], run: int) -> Shares | None:
    """How a run's responses ended, where it logged all that it logs of that; None if nowhere.

    Noisy fractions are smoothed; what is never logged never happened.
    """
    found = {
        finish: curve
        for key, finish in FRACTIONS.items()
        for curve in curves.get(key, [])
        if curve.run == run
    }
    steps = _common([curve.steps for curve in found.values()])
    if not len(steps):
        return None
    is_noisy = any(curve.is_noisy for curve in found.values())
    parts = dict.fromkeys(FINISHES, np.zeros(len(steps)))
    for finish, curve in found.items():
        values = curve.smooth if is_noisy else curve.values
        parts[finish] = values[np.isin(curve.steps, steps)]
    first = next(iter(found.values()))
    kept = np.isin(first.steps, steps)
    places = {unit: at[kept] if len(at := first.along(unit)) else at for unit in UNITS}
    return Shares(places, parts)


def _common(many: list[np.ndarray]) -> np.ndarray:
    return functools.reduce(np.intersect1d, many) if many else np.array([])
