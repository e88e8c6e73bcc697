"""Words of the runs in a report: which ones are drawn, their curves, and tables of their ages."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tutelage.config import UserError, nearest
from tutelage.reports.runs import Run
from tutelage.reports.tables import Table, number
from tutelage.reports.thinning import spread
from tutelage.reports.word_results import DEFINITIONS, Age, WordAges

MAX_WORDS = 12
MAX_WITHOUT_AGE = 3


class WordCurve(NamedTuple):
    """One word in one run: surprisal at the milestones, the fitted curve, and the age."""

    run: int
    steps: np.ndarray
    bits: np.ndarray
    fit_steps: np.ndarray
    fitted: np.ndarray
    age: float | None
    """log10 step at which half of the fall is past (nAoA at 0.5)."""
    reason: str
    """Why there is no age; empty if there is one, or if ages were never computed."""


def ages_of(run: Run) -> WordAges | None:
    """What the suite acquisition found in a run."""
    found = [evaluation.ages for evaluation in run.evaluations if evaluation.ages]
    return found[-1] if found else None


def chosen(runs: list[Run], asked: Sequence[str]) -> list[str]:
    """The words asked for; without any, a few that are spread over the ages of all."""
    known = list(dict.fromkeys(w for run in runs for e in run.evaluations for w in e.words))
    for word in asked:
        if not known:
            raise UserError(
                f"--words {word}: no surprisals of words are stored with "
                f"{'this run' if len(runs) == 1 else 'these runs'}. Run tutelage eval RUN "
                "--suite surprisal first."
            )
        if word not in known:
            raise UserError(
                f"--words {word}: there are no surprisals of this word.{nearest(word, known)} "
                f"The runs have {number(len(known))} words, such as {', '.join(known[:5])}."
            )
    return list(dict.fromkeys(asked)) or _spread_over_ages(runs, known)


def word_curves(word: str, runs: list[Run]) -> list[WordCurve]:
    """The curve of a word in each run that measured it."""
    curves = []
    for index, run in enumerate(runs):
        points = [(e.step, e.words[word]) for e in run.evaluations if word in e.words]
        steps, bits = np.array([p for p in points if p[0] > 0], dtype=float).reshape(-1, 2).T
        ages = ages_of(run)
        age = ages.words[word]["tnd"] if ages and word in ages.words else Age(None, "", [])
        fit_steps = np.array([step for step in ages.steps if step > 0] if ages else [], dtype=float)
        fitted = np.array(age.fitted, dtype=float)
        if len(fitted) != len(fit_steps):  # no fit at all
            fit_steps = fitted = np.array([])
        if len(steps):
            curves.append(WordCurve(index, steps, bits, fit_steps, fitted, age.age, age.reason))
    return curves


def reasons(runs: list[Run]) -> Table:
    """For each run and definition: words with and without an age, and why they have none."""
    rows = []
    for run in runs:
        ages = ages_of(run)
        if ages is None:
            continue
        for definition in DEFINITIONS:
            with_age, why = len(ages.under(definition)), ages.reasons(definition)
            told = "; ".join(f"{number(count)}: {reason}" for reason, count in why.items())
            name = definition if len(runs) == 1 else f"{run.name}: {definition}"
            rows.append([name, number(with_age), number(sum(why.values())), told or "–"])
    return Table(["definition", "words with an age", "without", "why"], rows)


def correlations(runs: list[Run]) -> Table | None:
    """Correlations of ages with people's, if any were computed."""
    rows = []
    for run in runs:
        ages = ages_of(run)
        for row in ages.correlations if ages else ():
            name = f"{row['human']}, {row['definition']}"
            cells = [_correlation(row, kind) for kind in ("pearson", "spearman")]
            rows.append(
                [name if len(runs) == 1 else f"{run.name}: {name}", number(row["n"]), *cells]
            )
    heads = ["people’s ages, definition", "words (n)", "Pearson’s r", "Spearman’s ρ"]
    return Table(heads, rows) if rows else None


def _spread_over_ages(runs: list[Run], known: list[str]) -> list[str]:
    """Words from the earliest to the latest, then one for each of the reasons to have no age."""
    all_ages = [ages for ages in map(ages_of, runs) if ages]
    if not all_ages:
        last = {word: e.words[word] for run in runs for e in run.evaluations for word in e.words}
        return spread(sorted(known, key=lambda word: (last[word], word)), MAX_WORDS)
    found: dict[str, list[float]] = {}
    for ages in all_ages:
        for word, age in ages.under("tnd").items():
            found.setdefault(word, []).append(age)
    without: dict[str, str] = {}
    for ages in all_ages:
        for word in sorted(set(ages.words) & set(known) - set(found)):
            without.setdefault(ages.words[word]["tnd"].reason, word)
    aged = [word for word in found if word in known]
    aged.sort(key=lambda word: (math.fsum(found[word]) / len(found[word]), word))
    odd = list(dict.fromkeys(without.values()))[: MAX_WITHOUT_AGE if aged else MAX_WORDS]
    return spread(aged, MAX_WORDS - len(odd)) + odd


def _correlation(row: dict, kind: str) -> str:
    if kind not in row:
        return f"– ({row['reason']})"
    p = row[f"{kind}_p"]
    return f"{row[kind]:.3f} (p {'< 0.001' if p < 0.001 else f'= {p:.3f}'})"
