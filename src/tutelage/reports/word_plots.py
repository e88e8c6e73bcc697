"""Charts about words: learning curves as small multiples, and how ages are distributed."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from tutelage.reports.svg import (
    INK,
    Stylist,
    colour_of,
    dash_of,
    empty_chart,
    log_ticks,
    tick,
)
from tutelage.reports.words import WordCurve

PANEL_WIDTH, PANEL_HEIGHT = 3.3, 2.1
HISTOGRAM_HEIGHT = 2.4
LEAST_BITS = 4.0
"""Height of a chart of a curve that is flatter, so that noise does not look like learning."""
BIN_WIDTHS = (0.05, 0.1, 0.2, 0.25, 0.5, 1.0)
MAX_BINS = 24


def learning_curves(
    words: dict[str, list[WordCurve]], stylist: Stylist, *, run_names: list[str]
) -> dict[str, str]:
    """Surprisal of each word over log steps, with the fit and a mark at the age.

    Points are what was measured, the line is the fitted curve; the upright dashed line is where
    half of its fall is past. All charts have the same steps; each has bits of its own, as words
    of several tokens would flatten all others.
    """
    figure, axes = empty_chart(PANEL_HEIGHT, PANEL_WIDTH)
    axes.set_position((0.135, 0.2, 0.85, 0.775))
    _steps_axis(axes, [curve for curves in words.values() for curve in curves])
    charts = {}
    for word, curves in words.items():
        for line in list(axes.lines):
            line.remove()
        for curve in curves:
            _draw(axes, curve)
        bits = np.concatenate([part for curve in curves for part in (curve.bits, curve.fitted)])
        middle, half = (bits.min() + bits.max()) / 2, max(float(np.ptp(bits)), LEAST_BITS) / 2
        axes.set_ylim(max(0.0, middle - 1.08 * half), middle + 1.08 * half)
        said = "; ".join(f"{run_names[curve.run]} {_told(curve)}" for curve in curves[:8])
        description = f"Learning curve of {word}, surprisal by step: {said}."
        charts[word] = stylist.svg(figure, description=description, texts={})
    return charts


def histogram(
    ages: dict[int, list[float]], stylist: Stylist, *, name: str, unit: str, run_names: list[str]
) -> str:
    """How many words have which age (log10 of an amount of training), by run.

    One run is drawn as bars, several as outlines over the same bins.
    """
    figure, axes = empty_chart(HISTOGRAM_HEIGHT)
    edges = _edges([age for some in ages.values() for age in some])
    for run, some in ages.items():
        heights, _ = np.histogram(some, edges)
        alone = len(ages) == 1
        axes.stairs(
            heights, edges, fill=alone, alpha=0.75 if alone else 1, color=colour_of(run),
            linewidth=0 if alone else 1.7, linestyle="-" if alone else dash_of(run),
        )  # fmt: skip
    axes.set_xlabel(f"age (log10 {unit})", color=INK, labelpad=2)
    margin = (edges[1] - edges[0]) / 2
    axes.set_xlim(edges[0] - margin, edges[-1] + margin)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    for one in (axes.xaxis, axes.yaxis):
        one.set_major_formatter(FuncFormatter(tick))
    said = "; ".join(
        f"{run_names[run]} {len(some)} words from {min(some):.2f} to {max(some):.2f}, median "
        f"{np.median(some):.2f}"
        for run, some in list(ages.items())[:8]
    )
    return stylist.svg(figure, description=f"Histogram of ages, {name}: {said}.", texts={})


def _steps_axis(axes: Axes, curves: list[WordCurve]) -> None:
    steps = np.concatenate([curve.steps for curve in curves])
    first, last = float(steps.min()), float(steps.max())
    margin = max(last / first, 2.0) ** 0.03
    axes.set_xscale("log")
    axes.set_xlim(first / margin, last * margin)
    axes.xaxis.set_major_locator(log_ticks(first, last))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    for one in (axes.xaxis, axes.yaxis):
        one.set_minor_locator(NullLocator())
        one.set_major_formatter(FuncFormatter(tick))
    axes.set_xlabel("step (log scale)", color=INK, labelpad=1)


def _draw(axes: Axes, curve: WordCurve) -> None:
    colour, dash = colour_of(curve.run), dash_of(curve.run)
    axes.plot(
        curve.steps, curve.bits, color=colour, linestyle="", marker="o", markersize=3.0,
        markeredgewidth=0, alpha=0.55,
    )  # fmt: skip
    if len(curve.fitted):
        axes.plot(curve.fit_steps, curve.fitted, color=colour, linewidth=1.7, linestyle=dash)
    if curve.age is not None:
        axes.axvline(10**curve.age, color=colour, linewidth=1.2, linestyle=(0, (3, 2)))


def _told(curve: WordCurve) -> str:
    fall = f"from {curve.bits[0]:.3g} to {curve.bits[-1]:.3g} bits"
    if curve.age is not None:
        return f"{fall}, age {curve.age:.2f}"
    return f"{fall}, no age ({curve.reason})" if curve.reason else fall


def _edges(ages: list[float]) -> np.ndarray:
    """Edges of equal bins at round numbers: about as many as the root of the number of ages."""
    least, greatest = min(ages), max(ages)
    most = min(max(math.sqrt(len(ages)), 5), MAX_BINS)
    width = next((w for w in BIN_WIDTHS if greatest - least <= most * w), BIN_WIDTHS[-1])
    return np.arange(math.floor(least / width), math.floor(greatest / width) + 2) * width
