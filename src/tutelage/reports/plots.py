"""Charts of metrics and of the measures of evaluations."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from tutelage.reports.curves import Curve
from tutelage.reports.svg import INK, Stylist, colour_of, dash_of, empty_chart, log_ticks, tick
from tutelage.reports.thinning import thinned

POINTS = 1200
UNITS = {"steps": "step", "words": "words read", "generated": "words generated"}


class Bar(NamedTuple):
    """One bar: a run's proportion with its 95 % interval."""

    run: int
    value: float
    interval: tuple[float, float]


class Axis(NamedTuple):
    """What the x-axis shows: steps, words read or words generated; linear or logarithmic."""

    unit: str
    is_log: bool

    @property
    def label(self) -> str:
        """What stands below the axis."""
        name = UNITS[self.unit]
        return f"{name} (log scale)" if self.is_log else name


def line_chart(
    curves: list[Curve],
    axis: Axis,
    stylist: Stylist,
    *,
    name: str,
    run_names: list[str],
    is_count: bool = False,
    lowest: float | None = None,
) -> str | None:
    """Lines of one metric over steps or words; noisy ones thin, with their moving mean on top.

    What counts (`is_count`) stays as it was from each point to the next, and begins at 0. What
    falls below `lowest` is cut off there.
    """
    figure, axes = stylist.line_axes
    for line in list(axes.lines):
        line.remove()
    axes.relim()
    axes.set_yscale("linear")  # the chart before may have left a logarithmic one
    axes.autoscale(True)
    num_bins = max(100, POINTS // (2 * len(curves)))
    drawn = []
    for curve in curves:
        x = curve.along(axis.unit)
        shown = x > 0 if axis.is_log else np.full(len(x), True)
        if shown.any():
            _draw(axes, curve, x, shown, num_bins, is_log=axis.is_log)
            axes.lines[-1].set_drawstyle("steps-post" if is_count else "default")
            drawn.append((curve, x[shown]))
    if not drawn:
        return None
    scale_steps(axes, [x for _, x in drawn], is_log=axis.is_log)
    _scale_values(axes, [curve for curve, _ in drawn])
    if is_count:
        axes.set_yscale("linear")
        axes.set_ylim(bottom=0)
    _cut_off(axes, [curve for curve, _ in drawn], lowest)
    axes.set_xlabel(axis.label, color=INK, labelpad=2)
    said = "; ".join(
        f"{run_names[c.run]} from {c.values[0]:.4g} to {c.final:.4g}" for c, _ in drawn[:8]
    )
    return stylist.svg(
        figure, description=f"Line chart of {name} by {axis.label}: {said}.", texts={}
    )


def bar_chart(bars: dict[str, list[Bar]], stylist: Stylist, *, name: str) -> str:
    """Proportions from 0 to 1 as horizontal bars, each under its label, with 95 % intervals."""
    thick, space, foot = 0.14, 0.28, 0.28
    heights = [space + thick * len(group) for group in bars.values()]
    height = sum(heights) + foot
    figure, axes = empty_chart(height)
    axes.set_position((0.005, foot / height, 0.975, 1 - foot / height))
    texts, top = {}, 0.0
    for index, (label, group) in enumerate(bars.items()):
        texts[f"label{index}"] = label
        axes.text(0, top + space - 0.045, f"label{index}", color=INK, va="baseline")
        for place, bar in enumerate(group):
            _draw_bar(axes, bar, top + space + thick * (place + 0.5), thick)
        top += heights[index]
    axes.set(xlim=(0, 1), ylim=(top, 0))
    axes.yaxis.set_visible(False)
    axes.xaxis.set_major_formatter(FuncFormatter(tick))
    said = "; ".join(f"{k} {', '.join(f'{b.value:.3f}' for b in v)}" for k, v in bars.items())
    return stylist.svg(figure, description=f"Bar chart of {name}: {said}.", texts=texts)


def _draw(
    axes: Axes, curve: Curve, x: np.ndarray, shown: np.ndarray, num_bins: int, *, is_log: bool
) -> None:
    colour = colour_of(curve.run)
    dash = dash_of(curve.run)
    x, values, smooth = x[shown], curve.values[shown], curve.smooth[shown]
    place = np.log(x) if is_log else x
    if curve.is_noisy:
        kept = thinned(place, values, num_bins)
        axes.plot(x[kept], values[kept], color=colour, linewidth=0.7, alpha=0.4)
        kept = thinned(place, smooth, num_bins // 2)
        axes.plot(x[kept], smooth[kept], color=colour, linewidth=1.7, linestyle=dash)
        return
    kept = thinned(place, values, num_bins)
    marker = "o" if len(kept) <= 30 else ""
    axes.plot(
        x[kept], values[kept], color=colour, linewidth=1.7, linestyle=dash, marker=marker,
        markersize=3.5, markeredgewidth=0,
    )  # fmt: skip


def _draw_bar(axes: Axes, bar: Bar, y: float, thick: float) -> None:
    colour = colour_of(bar.run)
    axes.barh(y, bar.value, height=thick * 0.8, color=colour, alpha=0.75, linewidth=0)
    axes.plot(bar.interval, (y, y), color=INK, linewidth=1.4, solid_capstyle="butt")
    for end in bar.interval:
        axes.plot((end, end), (y - thick * 0.25, y + thick * 0.25), color=INK, linewidth=1.4)


def scale_steps(axes: Axes, xs: list[np.ndarray], *, is_log: bool) -> None:
    """Limits and ticks of an x-axis on which all these points have their place."""
    first, last = min(x[0] for x in xs), max(x[-1] for x in xs)
    axes.set_xscale("log" if is_log else "linear")
    if is_log:
        axes.xaxis.set_major_locator(log_ticks(float(first), float(last)))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
    if first < last:
        margin = (last / first) ** 0.02 if is_log else (last - first) * 0.02
        limits = (first / margin, last * margin) if is_log else (first - margin, last + margin)
        axes.set_xlim(*limits)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(tick))


def _scale_values(axes: Axes, curves: list[Curve]) -> None:
    values = np.concatenate([curve.values for curve in curves])
    spans_decades = values.min() > 0 and values.max() > 10 * np.median(values)
    axes.set_yscale("log" if spans_decades else "linear")
    if spans_decades:
        axes.yaxis.set_major_locator(log_ticks(values.min(), values.max()))
    else:
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(tick))


def _cut_off(axes: Axes, curves: list[Curve], lowest: float | None) -> None:
    """Let the y-axis end at the lowest value that means anything, if there are others above."""
    values = np.concatenate([curve.values for curve in curves])
    if lowest is not None and values.min() < lowest < values.max():
        axes.set_ylim(lowest, values.max() + 0.05 * (values.max() - lowest))
