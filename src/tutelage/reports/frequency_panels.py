"""Charts of word frequency against surprisal."""

import numpy as np
from markupsafe import Markup
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tutelage.reports.frequencies import (
    SOURCES,
    Frequencies,
    RankCorrelation,
    correlation,
)
from tutelage.reports.runs import Run
from tutelage.reports.svg import INK, Stylist, colour_of, empty_chart, tick
from tutelage.reports.tables import number
from tutelage.reports.word_panels import Panel

HEIGHT = 2.4


def frequency_panels(runs: list[Run], stylist: Stylist) -> list[Panel]:
    """Of each run that had trials or demonstrations: one chart for each source of words."""
    panels = []
    for index, run in enumerate(runs):
        found = run.frequencies
        if found is None or not any(found.counts[source].any() for source in SOURCES[:2]):
            continue
        for source in SOURCES:
            if found.counts[source].any():
                name = source if len(runs) == 1 else f"{run.name}: {source}"
                result = correlation(found, source)
                svg = _scatter(found, source, stylist, name=name, run=index)
                panels.append(Panel(name, [], [told(found, result)], Markup(svg)))
    return panels


def told(found: Frequencies, result: RankCorrelation | None) -> str:
    """The correlation in words, with how many of all words it is of."""
    n = f"{number(len(found.bits))} of {number(found.num_words)} words"
    if result is None:
        return f"No correlation: counts or surprisals of {n} do not vary."
    text = f"Spearman’s ρ = {_signed(result.rho)} ({_p(result.p)}), n = {n}."
    if result.given is None or result.given_p is None:
        return text
    given = f"ρ = {_signed(result.given)} ({_p(result.given_p)})"
    return f"{text} Given the frequency in the corpus: {given}."


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _scatter(found: Frequencies, source: str, stylist: Stylist, *, name: str, run: int) -> str:
    """Dots of words; a count of 0 has its place at the left end of a logarithmic axis."""
    figure, axes = empty_chart(HEIGHT)
    axes.set_position((0.1, 0.19, 0.885, 0.785))
    x = np.arcsinh(found.counts[source] / 2) / np.log(10)  # log10, and 0 at 0
    # One path for all dots: lines of no length with round ends.
    points = np.repeat(np.column_stack([x, found.bits]), 2, axis=0)
    codes = np.tile([Path.MOVETO, Path.LINETO], len(x))
    path = Path(points, codes)
    path.should_simplify = False  # which would leave out what has no length
    dots = PathPatch(
        path, edgecolor=colour_of(run), facecolor="none", linewidth=4.5,
        capstyle="round", alpha=0.6,
    )  # fmt: skip
    axes.add_patch(dots)
    low, high = float(found.bits.min()), float(found.bits.max())
    margin = 0.06 * (high - low) or 1
    axes.set(xlim=(-0.06 * x.max(), 1.04 * x.max()), ylim=(low - margin, high + margin))
    places = [0.0, *(10.0**power for power in range(int(np.ceil(x.max())) + 1))]
    places = [place for place in places if np.arcsinh(place / 2) / np.log(10) <= 1.04 * x.max()]
    axes.set_xticks(
        [float(np.arcsinh(place / 2) / np.log(10)) for place in places],
        [tick(place) for place in places],
    )
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(tick))
    axes.set_xlabel(f"times in {source}", color=INK, labelpad=2)
    said = f"{len(x)} words, {int(found.counts[source].sum())} occurrences"
    description = f"Surprisal over frequency, {name}: {said}."
    return stylist.svg(figure, description=description, texts={})
