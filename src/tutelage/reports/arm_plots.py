"""Charts of arms: means over seeds as dots with intervals, and as curves within bands."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from tutelage.reports.groups import Band, Estimate
from tutelage.reports.plots import scale_steps
from tutelage.reports.svg import HEIGHT, INK, Stylist, colour_of, dash_of, empty_chart, tick

THICK, SPACE, FOOT = 0.17, 0.27, 0.46
MOST = 2.5
"""An interval may make a chart so many times as wide as its means and seeds would."""


class Dots(NamedTuple):
    """One arm's estimates, one below the other: filled, then hollow."""

    label: str
    colour: int
    estimates: list[Estimate]


class Line(NamedTuple):
    """One arm's band."""

    label: str
    colour: int
    band: Band


def dot_chart(
    rows: Sequence[Dots], stylist: Stylist, *, name: str, x_label: str, is_difference: bool
) -> str:
    """Each estimate as a dot with its interval, seeds as faint dots; differences around 0."""
    heights = [SPACE + THICK * len(row.estimates) for row in rows]
    height = sum(heights) + FOOT
    figure, axes = empty_chart(height)
    axes.set_position((0.03, FOOT / height, 0.94, 1 - FOOT / height))
    axes.yaxis.set_visible(False)
    shown = [estimate for row in rows for estimate in row.estimates]
    axes.set(xlim=limits(shown, [0.0] if is_difference else []), ylim=(sum(heights), 0))
    texts, top = {}, 0.0
    for index, row in enumerate(rows):
        texts[f"label{index}"] = row.label
        left = axes.get_xlim()[0]
        axes.text(left, top + SPACE - 0.06, f"label{index}", color=INK, va="baseline")
        for place, estimate in enumerate(row.estimates):
            _draw_dot(axes, estimate, top + SPACE + THICK * (place + 0.5), row.colour, place)
        if is_difference:
            axes.plot(
                (0, 0), (top + SPACE, top + heights[index]), color=INK, linewidth=1.2,
                linestyle=(0, (3, 2)),
            )  # fmt: skip
        top += heights[index]
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(tick))
    axes.set_xlabel(x_label, color=INK, labelpad=2)
    said = "; ".join(f"{r.label} {', '.join(f'{e.mean:.3g}' for e in r.estimates)}" for r in rows)
    return stylist.svg(figure, description=f"Dot chart of {name}: {said}.", texts=texts)


def band_chart(
    lines: Sequence[Line], stylist: Stylist, *, name: str, x_label: str, is_count: bool = False
) -> str | None:
    """Means over seeds along a logarithmic axis, each within its interval; none of 0 alone."""
    shown = [line for line in lines if any(place > 0 for place in line.band.at)]
    if not shown or (is_count and not any(any(line.band.mean) for line in shown)):
        return None
    figure, axes = empty_chart(HEIGHT)
    xs = []
    for line in shown:
        x, mean, low, high = (np.array(part, dtype=float) for part in line.band)
        kept = x > 0
        x, mean, low, high = x[kept], mean[kept], low[kept], high[kept]
        xs.append(x)
        colour, step = colour_of(line.colour), "steps-post" if is_count else "default"
        axes.fill_between(
            x, np.maximum(low, 0), high, color=colour, alpha=0.16, linewidth=0,
            step="post" if is_count else None,
        )  # fmt: skip
        axes.plot(
            x, mean, color=colour, linewidth=1.7, linestyle=dash_of(line.colour), drawstyle=step
        )
    scale_steps(axes, xs, is_log=True)
    _scale_heights(axes, [line.band for line in shown], is_count=is_count)
    axes.set_xlabel(f"{x_label} (log scale)", color=INK, labelpad=2)
    said = "; ".join(
        f"{line.label} from {line.band.mean[0]:.4g} to {line.band.mean[-1]:.4g}" for line in shown
    )
    description = f"Line chart of {name} by {x_label}: {said}."
    return stylist.svg(figure, description=description, texts={})


def _scale_heights(axes: Axes, bands: list[Band], *, is_count: bool) -> None:
    """As high as means need it; what wide intervals have above is cut off."""
    means = np.array([height for band in bands for height in band.mean])
    span = max(float(np.ptp(means)), 1e-9)
    bottom = 0.0 if is_count else float(means.min()) - 0.08 * span
    axes.set_ylim(bottom, float(means.max()) + 0.12 * span)
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(tick))


def limits(estimates: Sequence[Estimate], also: Sequence[float] = ()) -> tuple[float, float]:
    """From the least to the greatest seed, and intervals as far as they are not enormous."""
    inner = [value for e in estimates for value in (e.mean, *e.values)] + list(also)
    least, greatest = min(inner), max(inner)
    room = MOST * max(greatest - least, 1e-3 * max(abs(greatest), 1e-3)) / 2
    lows = [e.low for e in estimates if e.low is not None]
    highs = [e.high for e in estimates if e.high is not None]
    low = max(min([least, *lows]), least - room)
    high = min(max([greatest, *highs]), greatest + room)
    margin = 0.04 * (high - low) or 0.1
    return low - margin, high + margin


def _draw_dot(axes: Axes, estimate: Estimate, y: float, index: int, place: int) -> None:
    colour = colour_of(index)
    if estimate.low is not None and estimate.high is not None:
        axes.plot(
            (estimate.low, estimate.high), (y, y), color=colour, linewidth=1.6,
            solid_capstyle="butt",
        )  # fmt: skip
    axes.plot(
        estimate.values, [y] * len(estimate.values), color=colour, linestyle="", marker="o",
        markersize=3, markeredgewidth=0, alpha=0.45,
    )  # fmt: skip
    is_first = place == 0
    axes.plot(
        estimate.mean, y, color=colour, marker="o" if is_first else "D", markersize=6,
        markeredgewidth=1.4, linestyle="", markerfacecolor=colour if is_first else "none",
    )  # fmt: skip
