"""Small charts about words with what stands beside and below them."""

from typing import NamedTuple

from markupsafe import Markup

from tutelage.reports.runs import Run
from tutelage.reports.svg import Stylist
from tutelage.reports.tables import number
from tutelage.reports.word_plots import histogram, learning_curves
from tutelage.reports.word_results import DEFINITIONS
from tutelage.reports.words import WordCurve, ages_of, word_curves


class Panel(NamedTuple):
    """A chart: its name, a text beside it for each run, sentences below, and the SVG."""

    name: str
    finals: list[tuple[int, str]]
    notes: list[str]
    plot: Markup


def learning_panels(words: list[str], runs: list[Run], stylist: Stylist) -> list[Panel]:
    """The learning curves of words, with the age of each or why it has none."""
    names = [run.name for run in runs]
    curves = {word: drawn for word in words if (drawn := word_curves(word, runs))}
    charts = learning_curves(curves, stylist, run_names=names) if curves else {}
    return [
        Panel(
            word,
            [(curve.run, f"{curve.age:.2f}") for curve in curves[word] if curve.age is not None],
            _reasons(curves[word], names),
            Markup(chart),
        )
        for word, chart in charts.items()
    ]


def age_panels(runs: list[Run], stylist: Stylist) -> list[Panel]:
    """The distribution of ages under each definition, with how many of all words have one."""
    by_run = {index: found for index, run in enumerate(runs) if (found := ages_of(run))}
    panels = []
    for definition in DEFINITIONS:
        known = {run: list(found.under(definition).values()) for run, found in by_run.items()}
        known = {run: ages for run, ages in known.items() if ages}
        if not known:
            continue
        unit = " or ".join(dict.fromkeys(by_run[run].units[definition] for run in known))
        counts = [
            (run, f"n = {number(len(ages))} of {number(len(by_run[run].words))}")
            for run, ages in known.items()
        ]
        names = [run.name for run in runs]
        svg = histogram(known, stylist, name=definition, unit=unit, run_names=names)
        panels.append(Panel(definition, counts, [], Markup(svg)))
    return panels


def _reasons(curves: list[WordCurve], run_names: list[str]) -> list[str]:
    """Each reason to have no age, once, with the runs it is true of."""
    found: dict[str, list[str]] = {}
    for curve in curves:
        if curve.reason:
            found.setdefault(curve.reason, []).append(run_names[curve.run])
    of = {reason: f" ({', '.join(runs)})" for reason, runs in found.items()}
    return [f"No age: {r}{of[r] if len(run_names) > 1 else ''}." for r in found]
