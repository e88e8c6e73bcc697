"""Charts of the cards of reward and age models."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tutelage.reports.card_results import Bin, Margins, StepAges
from tutelage.reports.svg import HEIGHT, INK, SHADES, Stylist, colour_of, empty_chart, tick
from tutelage.reports.tables import wilson

RIGHT, WRONG = colour_of(2), colour_of(1)
BASELINES = (SHADES[2], SHADES[1], SHADES[3])
THICK, SPACE, FOOT = 0.15, 0.3, 0.28
AGE_HEIGHT = 3.0


class Accuracy(NamedTuple):
    """A share of pairs that are decided rightly, of how many, in which colour."""

    value: float
    n: int
    colour: str


def accuracy_chart(groups: dict[str, list[Accuracy]], stylist: Stylist, *, name: str) -> str:
    """Accuracies as bars under the name of their group, with 95 % intervals and a line at 0.5."""
    heights = [SPACE + THICK * len(group) for group in groups.values()]
    height = sum(heights) + FOOT
    figure, axes = empty_chart(height)
    axes.set_position((0.005, FOOT / height, 0.975, 1 - FOOT / height))
    axes.set(xlim=(0, 1), ylim=(sum(heights), 0))
    axes.yaxis.set_visible(False)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    axes.xaxis.set_major_formatter(FuncFormatter(tick))
    texts, top = {}, 0.0
    for index, (label, group) in enumerate(groups.items()):
        texts[f"label{index}"] = label
        axes.text(0, top + SPACE - 0.05, f"label{index}", color=INK, va="baseline")
        for place, bar in enumerate(group):
            middle = top + SPACE + THICK * (place + 0.5)
            axes.barh(
                middle, bar.value, height=THICK * 0.8, color=bar.colour, alpha=0.8, linewidth=0
            )
            _whisker(axes, wilson(bar.value, bar.n), middle)
        # The line of chance is interrupted where names stand.
        bottom = top + heights[index]
        axes.plot(
            (0.5, 0.5), (top + SPACE, bottom), color=INK, linewidth=1.2, linestyle=(0, (3, 2))
        )
        top = bottom
    said = "; ".join(f"{k} {', '.join(f'{b.value:.3f}' for b in v)}" for k, v in groups.items())
    return stylist.svg(figure, description=f"Bar chart of {name}: {said}.", texts=texts)


def margin_histogram(margins: Margins, stylist: Stylist) -> str | None:
    """How many pairs have which margin: wrong ones to the left of 0, right ones to the right."""
    if not margins.edges:
        return None
    figure, axes = empty_chart(HEIGHT)
    edges, counts = np.array(margins.edges), np.array(margins.counts)
    for side, colour in ((edges[:-1] < 0, WRONG), (edges[:-1] >= 0, RIGHT)):
        axes.bar(
            edges[:-1][side], counts[side], width=np.diff(edges)[side] * 0.94, align="edge",
            color=colour, alpha=0.85, linewidth=0,
        )  # fmt: skip
    margin = (edges[-1] - edges[0]) * 0.02
    axes.set_xlim(edges[0] - margin, edges[-1] + margin)
    axes.set_ylim(0, max(float(counts.max()), 1) * 1.06)
    axes.axvline(0, color=INK, linewidth=1.2, linestyle=(0, (3, 2)))
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    _ticks_and_labels(axes, "margin: score of chosen − rejected", "")
    wrong, right = (int(counts[side].sum()) for side in (edges[:-1] < 0, edges[:-1] >= 0))
    said = f"{wrong + margins.below} wrong, {margins.ties} ties, {right + margins.above} right"
    return stylist.svg(figure, description=f"Histogram of margins: {said}.", texts={})


def calibration_chart(bins: Sequence[Bin], stylist: Stylist, *, colour: str) -> str:
    """How often decisions are right over how sure the model is; the diagonal is calibrated."""
    figure, axes = _with_y_label(HEIGHT)
    axes.plot((0.5, 1), (0.5, 1), color=INK, linewidth=1.2, linestyle=(0, (3, 2)))
    x, y = [each.confidence for each in bins], [each.accuracy for each in bins]
    for each in bins:
        low, high = wilson(each.accuracy, each.n)
        axes.plot((each.confidence,) * 2, (low, high), color=colour, linewidth=1.2, alpha=0.6)
    axes.plot(x, y, color=colour, linewidth=1.7, marker="o", markersize=4, markeredgewidth=0)
    least = min(wilson(each.accuracy, each.n)[0] for each in bins)
    ticks = [level for level in (0, 0.25, 0.5, 0.75, 1) if level > least - 0.25]
    axes.set(xlim=(0.49, 1.01), ylim=(ticks[0] - 0.02, 1.02))
    axes.set_xticks([0.5, 0.6, 0.7, 0.8, 0.9, 1])
    axes.set_yticks(ticks)
    _ticks_and_labels(axes, "confidence: σ(|margin|)", "share right")
    said = "; ".join(f"{a:.2f} sure, {b:.2f} right" for a, b in zip(x, y, strict=True))
    return stylist.svg(figure, description=f"Calibration: {said}.", texts={})


def age_chart(steps: Sequence[StepAges], stylist: Stylist, *, colour: str) -> str:
    """Predicted over true log2 step: means, and bars from the 10 % to the 90 % quantile."""
    figure, axes = _with_y_label(AGE_HEIGHT)
    true = np.log2([each.step for each in steps])
    ends = (true.min(), true.max())
    axes.plot(ends, ends, color=INK, linewidth=1.2, linestyle=(0, (3, 2)))
    for x, each in zip(true, steps, strict=True):
        axes.plot(
            (x, x), (each.low, each.high), color=colour, linewidth=5, alpha=0.3,
            solid_capstyle="butt",
        )  # fmt: skip
    axes.plot(
        true, [each.mean for each in steps], color=colour, linewidth=1.2, marker="o",
        markersize=4, markeredgewidth=0,
    )  # fmt: skip
    margin = max((ends[1] - ends[0]) * 0.04, 0.5 if ends[0] == ends[1] else 0)
    axes.set_xlim(ends[0] - margin, ends[1] + margin)
    axes.margins(y=0.06)
    for one in (axes.xaxis, axes.yaxis):
        one.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    _ticks_and_labels(axes, "true log2 step", "predicted log2 step")
    said = "; ".join(f"step {each.step} {each.mean:.2f}" for each in steps[:20])
    return stylist.svg(figure, description=f"Predicted log2 step by true step: {said}.", texts={})


def _with_y_label(height: float) -> tuple[Figure, Axes]:
    """A chart with room for a label beside the y-axis, and as much below as others have."""
    figure, axes = empty_chart(height)
    foot = 0.185 * HEIGHT / height
    axes.set_position((0.15, foot, 0.84, 0.98 - foot))
    return figure, axes


def _ticks_and_labels(axes: Axes, x_label: str, y_label: str) -> None:
    for one in (axes.xaxis, axes.yaxis):
        one.set_major_formatter(FuncFormatter(tick))
    axes.set_xlabel(x_label, color=INK, labelpad=2)
    if y_label:
        axes.set_ylabel(y_label, color=INK, labelpad=3)


def _whisker(axes: Axes, ends: tuple[float, float], y: float) -> None:
    axes.plot(ends, (y, y), color=INK, linewidth=1.4, solid_capstyle="butt")
    for end in ends:
        axes.plot((end, end), (y - THICK * 0.25, y + THICK * 0.25), color=INK, linewidth=1.4)
