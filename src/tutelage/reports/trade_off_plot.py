"""A picture of a trade-off: arms by a score that is to be high and Self-BLEU that is to be low."""

import itertools
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tutelage.reports.arm_plots import limits
from tutelage.reports.groups import Estimate
from tutelage.reports.labels import Box, middle, placed
from tutelage.reports.svg import INK, Stylist, colour_of, empty_chart, tick

WIDE, HIGH = 6.2, 4.0
MARK = 4.0
"""Half the size of a mean's mark, in points."""
LETTER, LINE = 5.9, 11.0
"""Width of a letter and height of a line, in points; rather more than most fonts need."""
LONGEST = 26
FAR = 12.0
"""A name this far from its mark, in points, is tied to it by a line."""


class Mark(NamedTuple):
    """An arm: x is Self-BLEU, y is the score."""

    label: str
    colour: int
    x: Estimate
    y: Estimate
    is_on_front: bool


def trade_off_chart(marks: list[Mark], stylist: Stylist, *, x_label: str, y_label: str) -> str:
    """Means with intervals both ways, seeds as faint dots, the front as a dashed staircase."""
    figure, axes = empty_chart(HIGH, WIDE)
    axes.set_position((0.115, 0.13, 0.875, 0.855))
    axes.set(xlim=limits([mark.x for mark in marks]), ylim=limits([mark.y for mark in marks]))
    for one in (axes.xaxis, axes.yaxis):
        one.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
        one.set_major_formatter(FuncFormatter(tick))
    axes.set_xlabel(f"better, more diverse ← {x_label} → more alike", color=INK, labelpad=4)
    axes.set_ylabel(f"worse ← {y_label} → better", color=INK, labelpad=4)
    corners = _draw_front(axes, [mark for mark in marks if mark.is_on_front])
    for mark in marks:
        _draw(axes, mark)
    texts = _name(axes, marks, corners)
    said = "; ".join(f"{m.label} {m.x.mean:.3g}, {m.y.mean:.3g}" for m in marks)
    front = ", ".join(mark.label for mark in marks if mark.is_on_front)
    return stylist.svg(
        figure,
        description=f"Scatter chart of {y_label} over {x_label}: {said}. The front is {front}.",
        texts=texts,
    )


def _draw_front(axes: Axes, front: list[Mark]) -> list[tuple[float, float]]:
    """A staircase: an arm on it is at least as good in both as whatever is below and to the right.

    Returns its corners.
    """
    means = sorted((mark.x.mean, mark.y.mean) for mark in front)
    (_, end), (bottom, _) = axes.get_xlim(), axes.get_ylim()
    y = bottom
    corners = [(means[0][0], y)]
    for next_x, next_y in [*means, (end, means[-1][1])]:
        corners += [(next_x, y), (next_x, next_y)]
        y = next_y
    axes.plot(
        [x for x, _ in corners], [y for _, y in corners], color=INK, linewidth=1.2,
        linestyle=(0, (3, 2)),
    )  # fmt: skip
    return corners


def _draw(axes: Axes, mark: Mark) -> None:
    colour = colour_of(mark.colour)
    axes.plot(
        mark.x.values, mark.y.values, color=colour, linestyle="", marker="o", markersize=3.5,
        markeredgewidth=0, alpha=0.45,
    )  # fmt: skip
    for across, up in _bars(mark):
        axes.plot(across, up, color=colour, linewidth=1.6, solid_capstyle="butt", alpha=0.6)
    axes.plot(
        mark.x.mean, mark.y.mean, color=colour, marker="o", markersize=2 * MARK,
        markeredgewidth=1.6, linestyle="", markerfacecolor=colour if mark.is_on_front else "none",
    )  # fmt: skip


def _bars(mark: Mark) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """The intervals as lines: x and y of both ends."""
    x, y = mark.x, mark.y
    found = []
    if x.low is not None and x.high is not None:
        found.append(((x.low, x.high), (y.mean, y.mean)))
    if y.low is not None and y.high is not None:
        found.append(((x.mean, x.mean), (y.low, y.high)))
    return found


def _name(axes: Axes, marks: list[Mark], corners: list[tuple[float, float]]) -> dict[str, str]:
    """Write the names of arms where nothing else is; what each stand-in says."""
    names = [_short(mark.label) for mark in marks]
    means = [_box(axes, (m.x.mean, m.x.mean), (m.y.mean, m.y.mean), MARK + 1) for m in marks]
    drawn = [_box(axes, *bar, 1.0) for mark in marks for bar in _bars(mark)]
    for one, other in itertools.pairwise(corners):
        (left, right), (bottom, top) = (sorted(ends) for ends in zip(one, other, strict=True))
        drawn.append(_box(axes, (left, right), (bottom, top), 1.0))
    for mark in marks:
        pairs = zip(mark.x.values, mark.y.values, strict=True)
        drawn += [_box(axes, (x, x), (y, y), 2.0) for x, y in pairs]
    sizes = [(LETTER * len(name) + 2, LINE) for name in names]
    area = _box(axes, axes.get_xlim(), axes.get_ylim(), 0.0)
    for index, (mean, box) in enumerate(zip(means, placed(means, sizes, drawn, area), strict=True)):
        _write(axes, f"label{index}", mean, box)
    return {f"label{index}": name for index, name in enumerate(names)}


def _write(axes: Axes, text: str, mean: Box, box: Box) -> None:
    """A name in its place: flush with the side on which its mark lies."""
    (x, y), (own_x, own_y) = middle(box), middle(mean)
    side = "center"
    if box.left > own_x:
        side, x = "left", box.left
    elif box.right < own_x:
        side, x = "right", box.right
    to_data = axes.transData.inverted().transform
    scale = axes.figure.dpi / 72
    at_x, at_y = to_data((x * scale, y * scale))
    axes.text(at_x, at_y, text, color=INK, ha=side, va="center_baseline")
    nearest = (min(max(own_x, box.left), box.right), min(max(own_y, box.bottom), box.top))
    if max(abs(nearest[0] - own_x), abs(nearest[1] - own_y)) > FAR:
        ends = to_data([(own_x * scale, own_y * scale), (nearest[0] * scale, nearest[1] * scale)])
        axes.plot(ends[:, 0], ends[:, 1], color=INK, linewidth=0.7)


def _box(axes: Axes, x: tuple[float, float], y: tuple[float, float], margin: float) -> Box:
    """A rectangle of the chart in points."""
    scale = 72 / axes.figure.dpi
    (left, bottom), (right, top) = axes.transData.transform([(x[0], y[0]), (x[1], y[1])]) * scale
    return Box(left - margin, bottom - margin, right + margin, top + margin)


def _short(label: str) -> str:
    return label if len(label) <= LONGEST else f"{label[: LONGEST - 1]}…"
