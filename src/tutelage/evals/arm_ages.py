"""Which arm of a group of runs acquires words earlier, and how sure that is (TND-5, EV-4).

An arm is one way to train, run with several seeds. It is compared with the baseline on equal steps
of the curriculum, equal words seen and equal optimiser updates, each time:

- over the words that every run of both acquires, as an early mean is no merit if the late words
  are missing from it;
- up to where the shortest of these runs ends on that axis, as ages are fractions of a fall;
- seed by seed, so that what two runs of one seed share (initial weights, data) does not blur it.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np

from tutelage.evals.development import Development, Fits, ages
from tutelage.evals.naoa import Array
from tutelage.evals.over_seeds import SeedMean, seed_mean

Seeds: TypeAlias = dict[int, Development]
"""The usable runs of an arm, by seed."""


class Axis(NamedTuple):
    """An axis in a sentence."""

    equal: str
    unit: str


NAMES = {
    "steps": Axis("equal steps", "steps"),
    "words": Axis("equal words seen", "words"),
    "updates": Axis("equal optimiser updates", "updates"),
}


def alone(seeds: Seeds, axis: str, fits: Fits) -> dict[str, Any]:
    """Ages of an arm by itself; a reason if there are none."""
    if why := _incomparable([("it", seeds)], axis):
        return {"reason": why}
    runs = list(seeds.values())
    means, shared = _ages(runs, axis, fits)
    if not shared:
        why = f"no word is acquired in every run{_because(runs, fits)}"
        return {"reason": why, "words": 0}
    return {"words": len(shared), "ages": _means(means)}


def beside(
    name: str, seeds: Seeds, baseline: str, others: Seeds, axis: str, fits: Fits
) -> dict[str, Any]:
    """Ages of an arm and the baseline over the same words, and the difference seed by seed."""
    opening = f"On {NAMES[axis].equal}, {name} and {baseline} can't be compared"
    why = _incomparable([(name, seeds), (baseline, others)], axis)
    if why:
        return {"reason": why, "sentence": f"{opening}: {why}."}
    runs = [*seeds.values(), *others.values()]
    means, shared = _ages(runs, axis, fits)
    if not shared:
        why = f"no word is acquired in every run of both{_because(runs, fits)}"
        return {"reason": why, "words": 0, "sentence": f"{opening}: {why}."}
    own = dict(zip(seeds, means[: len(seeds)], strict=True))
    other = dict(zip(others, means[len(seeds) :], strict=True))
    result = {
        "words": len(shared),
        "ages": _means(list(own.values())),
        "baseline": _means(list(other.values())),
    }
    both = sorted(set(own) & set(other))
    if not both:
        why = "no seed was run for both"
        return {**result, "reason": why, "sentence": f"{opening}: {why}."}
    gaps = [{m: own[seed][m] - other[seed][m] for m in own[seed]} for seed in both]
    difference = _means(gaps)
    half = SeedMean(**{key: difference["half"][key] for key in SeedMean._fields})
    said = sentence(name, baseline, axis, half, num_words=len(shared))
    return {**result, "pairs": both, "difference": difference, "sentence": said}


def sentence(name: str, baseline: str, axis: str, gap: SeedMean, *, num_words: int) -> str:
    """What a difference of ages tells, in words that promise no more than it does.

    Args:
        name: The arm.
        baseline: What it is compared with.
        axis: On which amounts are equal.
        gap: nAoA@.50 of the arm less that of the baseline; below 0, the arm is earlier.
        num_words: Over how many words.
    """
    equal, unit = NAMES[axis]
    way = "earlier" if gap.mean < 0 else "later"
    is_narrow = gap.low is not None and gap.high is not None and gap.high - gap.low < 0.02
    digits = 3 if is_narrow else 2
    size = f"{abs(gap.mean):.{digits}f} log10 {unit}"
    words = f"{num_words:,} word{'' if num_words == 1 else 's'}"
    is_nothing = round(abs(gap.mean), digits) == 0
    if gap.low is None or gap.high is None:
        told = f"{way} than {baseline} by {size}"
        if is_nothing:
            told = f"as early as {baseline}, within 0.005 log10 {unit},"
        return (
            f"On {equal}, {name} is {told} with one seed ({words}): how much of that is chance "
            "can't be told."
        )
    seeds = f"{gap.n} seeds, {words}"
    if gap.low <= 0 <= gap.high:
        mean = "" if is_nothing else f"{name} is {way} by {size}, but "
        return (
            f"On {equal}, {name} and {baseline} can't be told apart: {mean}the 95 % interval "
            f"reaches from {abs(gap.low):.{digits}f} earlier to {abs(gap.high):.{digits}f} later "
            f"({seeds})."
        )
    ends = sorted((abs(gap.low), abs(gap.high)))
    return (
        f"On {equal}, {name} is {way} than {baseline} by {size} (95 % interval "
        f"{ends[0]:.{digits}f} to {ends[1]:.{digits}f}, {seeds}): "
        f"after {10**gap.mean:.2f} times the {unit}."
    )


def _incomparable(arms: list[tuple[str, Seeds]], axis: str) -> str | None:
    for name, seeds in arms:
        if not seeds:
            return f"{name} has no finished run"
        if not have(list(seeds.values()), axis):
            return f"words were not counted in every run of {name}"
    return None


def _because(runs: list[Development], fits: Fits) -> str:
    """Why no curve of any word can be fitted, if it is the same for all."""
    found = [fit for run in runs for fit in fits.of(run).values()]
    reasons = dict.fromkeys(fit if isinstance(fit, str) else "" for fit in found)
    return "".join(f", as {reason}" for reason in reasons if reason) if len(reasons) == 1 else ""


def have(runs: list[Development], axis: str) -> bool:
    """Whether all of these runs have places on an axis."""
    return all(axis in run.places for run in runs)


def _ages(
    runs: list[Development], axis: str, fits: Fits
) -> tuple[list[dict[str, float]], set[str]]:
    """Of each run its mean ages over the words that all of them acquire, and these words."""
    end = min(float(run.places[axis][-1]) for run in runs)
    along = [ages_along(run, axis, fits, end=run.step_at(axis, end)) for run in runs]
    shared = set.intersection(*(set(found) for found in along))
    if not shared:
        return [], shared
    means = []
    for found in along:
        table = np.array([found[word] for word in sorted(shared)])
        means.append({"half": float(table[:, 0].mean()), "average": float(table.mean())})
    return means, shared


def ages_along(
    run: Development, axis: str, fits: Fits, *, end: float | None = None
) -> dict[str, Array]:
    """The words that a run acquires (up to a step), and their ages at each fraction on an axis."""
    found = ages(fits.of(run), end)
    return {word: run.ages_along(axis, age) for word, age in found.items()}


def _means(rows: list[dict[str, float]]) -> dict[str, Any]:
    """Of nAoA@.50 (`half`) and nAoA@[.5:.95] (`average`), the mean over seeds, and each seed's."""
    return {
        measure: {**seed_mean([row[measure] for row in rows])._asdict(),
                  "values": [row[measure] for row in rows]}
        for measure in ("half", "average")
    }  # fmt: skip
