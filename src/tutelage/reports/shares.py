"""A chart of shares that add up to one, stacked over steps or words."""

from typing import NamedTuple

import numpy as np
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter

from tutelage.reports.plots import Axis, scale_steps
from tutelage.reports.svg import HEIGHT, INK, SHADES, Stylist, empty_chart, tick
from tutelage.reports.thinning import spread

MAX_POINTS = 300
LEGEND_HEIGHT = 0.1


class Shares(NamedTuple):
    """Shares of one run over the units of the x-axis; a unit that it did not count is empty."""

    places: dict[str, np.ndarray]
    parts: dict[str, np.ndarray]


def share_chart(shares: Shares, axis: Axis, stylist: Stylist, *, name: str) -> str | None:
    """The shares as stacked areas, each darker than the one before; without those always 0.

    The names of the shades come with the last share of each.
    """
    places = shares.places[axis.unit]
    drawable = np.flatnonzero(places > 0) if axis.is_log else np.arange(len(places))
    if not len(drawable):
        return None
    kept = np.array(spread(drawable.tolist(), MAX_POINTS))
    shades = dict(zip(shares.parts, SHADES, strict=True))
    parts = {part: values[kept] for part, values in shares.parts.items() if values.any()}
    figure, axes = empty_chart(HEIGHT)
    box = axes.get_position()
    axes.set_position((box.x0, box.y0, box.width, box.height - LEGEND_HEIGHT))
    x = places[kept]
    scale_steps(axes, [x], is_log=axis.is_log)
    if len(x) == 1:  # an area needs two points: half a step to both sides
        x, parts = x + np.array([-0.5, 0.5]), {part: np.repeat(v, 2) for part, v in parts.items()}
    axes.stackplot(x, *parts.values(), colors=[shades[part] for part in parts], linewidth=0)
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))
    axes.yaxis.set_major_formatter(FuncFormatter(tick))
    axes.set_xlabel(axis.label, color=INK, labelpad=2)
    figure.legend(
        handles=[
            Patch(color=shades[part], label=f"{part} {100 * values[-1]:.0f} %", linewidth=0)
            for part, values in parts.items()
        ],
        loc="upper left", bbox_to_anchor=(box.x0 - 0.02, 1.03), ncols=len(parts), frameon=False,
        labelcolor=INK, handlelength=0.9, handleheight=0.9, handletextpad=0.4, columnspacing=1.2,
    )  # fmt: skip
    said = "; ".join(f"{part} from {v[0]:.3g} to {v[-1]:.3g}" for part, v in parts.items())
    description = f"Stacked areas of {name} by {axis.label}: {said}."
    return stylist.svg(figure, description=description, texts={})
