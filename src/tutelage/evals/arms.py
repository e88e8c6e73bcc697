"""The arms of a group of runs: ways to train, each with several seeds, compared (TND-5)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tutelage.evals.arm_ages import Seeds, ages_along, alone, beside, have
from tutelage.evals.development import (
    AXES,
    Development,
    Fits,
    read_development,
)
from tutelage.evals.over_seeds import seed_mean
from tutelage.evals.run_results import Unusable

VERSION = 1
BASELINE = "clm"
GRID = 120
"""Most points at which vocabularies are counted."""


def compare_ages(group: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """How the arms of a group folder compare by ages of words, as JSON.

    Fitted curves are kept in word_curves.json, so that only curves of new runs are fitted.
    """
    found = {row["run"]: read_development(group / row["run"]) for row in rows}
    fits = Fits(group / "word_curves.json")
    result = compared(rows, found, fits)
    fits.write()
    return result


def compared(
    rows: list[dict[str, Any]], found: Mapping[str, Development | Unusable], fits: Fits
) -> dict[str, Any]:
    """All arms beside the baseline, as JSON.

    Args:
        rows: Arm, seed and run, in the order in which arms are to be shown.
        found: What each run stored, or why it can't be compared.
        fits: Where ages come from.
    """
    arms: dict[str, Seeds] = {row["arm"]: {} for row in rows}
    left_out = []
    for row in rows:
        of = found[row["run"]]
        if isinstance(of, Unusable):
            left_out.append({**row, "reason": of.reason})
        else:
            arms[row["arm"]][row["seed"]] = of
    baseline = BASELINE if BASELINE in arms else next(iter(arms))
    arms = {name: dict(sorted(seeds.items())) for name, seeds in arms.items()}
    facts = {}
    for name, seeds in arms.items():
        is_other = name != baseline
        facts[name] = {
            "seeds": list(seeds),
            "runs": {str(r["seed"]): r["run"] for r in rows if r["arm"] == name},
            **(_own(seeds, fits) if seeds else {}),
            "axes": {
                axis: beside(name, seeds, baseline, arms[baseline], axis, fits)
                if is_other
                else alone(seeds, axis, fits)
                for axis in AXES
            },
        }
    return {"version": VERSION, "baseline": baseline, "arms": facts, "left_out": left_out}


def _own(seeds: Seeds, fits: Fits) -> dict[str, Any]:
    """What is told of an arm without another: words, vocabulary, surprisal, last measures."""
    runs = list(seeds.values())
    words = dict.fromkeys(word for run in runs for word in run.bits)
    acquired = [ages_along(run, "steps", fits) for run in runs]
    times = {word: sum(word in known for known in acquired) for word in words}
    finals = dict.fromkeys(name for run in runs for name in run.finals)
    return {
        "words": {
            "measured": len(words),
            "in_every_run": sum(count == len(runs) for count in times.values()),
            "in_no_run": sum(count == 0 for count in times.values()),
        },
        "vocabulary": {a: _vocabulary(runs, a, fits) for a in AXES if have(runs, a)},
        "surprisal": {a: _surprisal(runs, a) for a in AXES if have(runs, a)},
        "finals": {
            name: seed_mean([run.finals[name] for run in runs if name in run.finals])._asdict()
            for name in finals
        },
    }


def _vocabulary(runs: list[Development], axis: str, fits: Fits) -> dict[str, list[Any]]:
    """How many words are known by then: those whose nAoA@.50 is past; mean and interval."""
    known = [[10 ** ages[0] for ages in ages_along(run, axis, fits).values()] for run in runs]
    end = min(float(run.places[axis][-1]) for run in runs)
    places = np.unique(np.concatenate([run.places[axis] for run in runs]))
    places = places[(places > 0) & (places <= end)]
    kept = np.unique(np.linspace(0, len(places) - 1, min(GRID, len(places))).round().astype(int))
    at = places[kept]
    counts = [[float(sum(age <= place for age in ages)) for place in at] for ages in known]
    return _band(at, np.array(counts))


def _surprisal(runs: list[Development], axis: str) -> dict[str, list[Any]]:
    """Mean over the words that were measured everywhere, at the milestones that all runs have."""
    steps = runs[0].places["steps"]
    for run in runs[1:]:
        steps = np.intersect1d(steps, run.places["steps"])
    steps = steps[steps > 0]
    words = [w for w in runs[0].bits if all(np.isfinite(r.bits.get(w, np.nan)).all() for r in runs)]
    at, heights = [], []
    for run in runs:
        shared = np.isin(run.places["steps"], steps)
        at.append(run.places[axis][shared])
        heights.append(np.array([run.bits[word][shared] for word in words]).mean(axis=0))
    return _band(np.mean(at, axis=0), np.array(heights)) if words and len(steps) else _band([], [])


def _band(at: Any, rows: Any) -> dict[str, list[Any]]:
    """A curve: where, its mean over seeds (rows) and the interval; no interval of one seed."""
    means = [seed_mean(column) for column in np.array(rows).T.tolist()]
    return {
        "at": [float(place) for place in at],
        **{key: [getattr(mean, key) for mean in means] for key in ("mean", "low", "high")},
    }
