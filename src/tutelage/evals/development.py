"""How a run's words developed: their surprisal at its milestones, and where milestones lie.

A milestone has a place on three axes: steps of the curriculum, words seen (read, prompts,
demonstrated and its own) and optimiser updates. A curve is fitted once, over log10 steps; the place
of an age on the other axes is how many words were seen, or updates made, by that step.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from tutelage.config import UserError
from tutelage.evals.naoa import (
    FRACTIONS,
    LEAST_FALL,
    Array,
    DoubleSigmoid,
    Refusal,
    fit_double_sigmoid,
    naoa,
)
from tutelage.evals.run_results import (
    Unusable,
    has_begun,
    read_object,
    unfinished,
    write_of_group,
)

AXES = ("steps", "words", "updates")
Fitted: TypeAlias = dict[str, DoubleSigmoid | str]
"""Of each word its curve over log10 steps, or why it has none."""


class Development(NamedTuple):
    """What a finished run stored of its words."""

    places: dict[str, Array]
    """Of each axis, where the milestones lie, rising; no words if none were counted."""
    bits: dict[str, Array]
    """Mean surprisal of each word at each milestone; NaN where it has none."""
    finals: dict[str, float]
    """The first measure of each other eval at its last milestone."""

    def step_at(self, axis: str, place: float) -> float:
        """The step at which so many words were seen, or updates made."""
        return float(np.interp(place, self.places[axis], self.places["steps"]))

    def ages_along(self, axis: str, ages: list[float]) -> Array:
        """Ages in log10 steps as log10 of the words seen, or updates made, by then."""
        steps = 10 ** np.array(ages)
        return np.log10(np.interp(steps, self.places["steps"], self.places[axis]))


class Fits:
    """Fitted curves of words; what was fitted before is not fitted again."""

    def __init__(self, path: Path):
        self.path = path
        self._old: dict[str, Fitted] = {}
        self._used: dict[str, Fitted] = {}
        for key, curves in (read_object(path) if path.exists() else {}).items():
            self._old[key] = {
                word: found if isinstance(found, str) else DoubleSigmoid(*found)
                for word, found in curves.items()
            }

    def of(self, development: Development) -> Fitted:
        """The curves of all words of a run."""
        steps = development.places["steps"]
        key = hashlib.sha256(steps.tobytes())
        for word, bits in development.bits.items():
            key.update(json.dumps(word).encode() + bits.tobytes())
        name = key.hexdigest()
        if name not in self._used:
            self._used[name] = self._old.get(name) or _fitted(development)
        return self._used[name]

    def write(self) -> None:
        """Keep the curves that were used."""
        write_of_group(self.path, self._used)


def ages(fitted: Fitted, end: float | None = None) -> dict[str, list[float]]:
    """log10 of the step at which each of FRACTIONS of a word's fall is past, where it falls.

    Args:
        fitted: Curves of words.
        end: Only the fall up to this step counts, and a word that falls by less than LEAST_FALL
            until then has no age; none: all of it.
    """
    found = {}
    for word, fit in fitted.items():
        if isinstance(fit, str):
            continue
        seen = fit if end is None else fit._replace(last=min(fit.last, math.log10(end)))
        top, bottom = seen(np.array([seen.first, seen.last]))
        if seen.last > seen.first and top - bottom >= LEAST_FALL:
            found[word] = [naoa(seen, fraction) for fraction in FRACTIONS]
    return found


def read_development(folder: Path) -> Development | Unusable:
    """A run's record of its words, or why there is none that can be compared."""
    if not has_begun(folder):
        return Unusable("it has not begun")
    by_step: dict[int, dict[str, Any]] = {}
    for path in sorted((folder / "evals" / "surprisal").glob("[!.]*.json")):
        result = read_object(path)
        if "step" not in result or "word_surprisals" not in result:
            raise UserError(f"{path} is not a result of the suite surprisal. Remove or restore it.")
        by_step[result.get("round", result["step"])] = result
    results = [by_step[step] for step in sorted(by_step)]
    if not any(step > 0 for step in by_step):
        return Unusable("it has no surprisals of words yet")
    if why := unfinished(folder, results[-1]["step"]):
        return why
    places = {"steps": sorted(by_step), "updates": [result["step"] for result in results]}
    seen = [result.get("seen_words", result.get("words")) for result in results]
    if None not in seen:
        places["words"] = seen
    return Development(
        {axis: np.array(places[axis], dtype=float) for axis in AXES if axis in places},
        _bits(results),
        _finals(folder / "evals", results[-1]),
    )


def _fitted(development: Development) -> Fitted:
    steps = development.places["steps"]
    x = np.log10(steps, out=np.full(len(steps), math.nan), where=steps > 0)
    found: Fitted = {}
    for word, bits in development.bits.items():
        fit = fit_double_sigmoid(x, bits)
        found[word] = fit.reason if isinstance(fit, Refusal) else fit
    return found


def _bits(results: list[dict[str, Any]]) -> dict[str, Array]:
    bits: dict[str, Array] = {}
    for index, result in enumerate(results):
        for row in result["word_surprisals"]:
            curve = bits.setdefault(row["word"], np.full(len(results), math.nan))
            if row["surprisal"] is not None:
                curve[index] = row["surprisal"]
    return bits


def _finals(evals: Path, surprisal: dict[str, Any]) -> dict[str, float]:
    """The first measure of each eval's last milestone, by the name of the eval and its own."""
    last = {"surprisal": surprisal}
    for path in sorted(evals.glob("*/[!.]*.json")):
        name = path.parent.name
        if name in ("acquisition", "surprisal"):
            continue
        result = read_object(path)
        if "step" in result and result["step"] >= last.get(name, result)["step"]:
            last[name] = result
    finals = {}
    for name, result in last.items():
        for measure, value in list(result.get("measures", {}).items())[:1]:
            if value is not None:
                finals[name if name == measure else f"{name} {measure}"] = float(value)
    return finals
