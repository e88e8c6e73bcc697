"""Charts of summed rewards against metrics."""

from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tutelage.reports.svg import HEIGHT, INK, Stylist, empty_chart, tick
from tutelage.reports.thinning import spread

MAX_DOTS = 400
MAX_BINS = 8
FEWEST_A_BIN = 4


def metric_chart(
    points: Sequence[tuple[float, float]], stylist: Stylist, *, metric: str, colour: str
) -> str | None:
    """A metric over the summed reward: faint dots, and means of bins of as many rows each."""
    if len(points) < 2:
        return None
    ordered = sorted(points)
    figure, axes = empty_chart(HEIGHT)
    x, y = np.array(spread(ordered, MAX_DOTS)).T
    axes.plot(
        x, y, color=colour, linestyle="", marker="o", markersize=3, markeredgewidth=0, alpha=0.25
    )
    means = bin_means(ordered)
    axes.plot(*zip(*means, strict=True), color=colour, linewidth=1.7, marker="o", markersize=4.5,
        markeredgewidth=0)  # fmt: skip
    axes.margins(x=0.03, y=0.06)
    for one, most in ((axes.xaxis, 6), (axes.yaxis, 5)):
        one.set_major_locator(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]))
        one.set_major_formatter(FuncFormatter(tick))
    axes.set_xlabel("summed reward (nats)", color=INK, labelpad=2)
    said = "; ".join(f"{mean:.3g} at {place:.4g}" for place, mean in means)
    described = f"Means of {metric} by summed reward, from {len(points)} responses: {said}."
    return stylist.svg(figure, description=described, texts={})


def bin_means(ordered: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Mean reward and metric of up to eight bins of (nearly) equally many rows, in order."""
    count = max(1, min(MAX_BINS, len(ordered) // FEWEST_A_BIN))
    parts = np.array_split(np.array(ordered), count)
    return [(float(part[:, 0].mean()), float(part[:, 1].mean())) for part in parts]
