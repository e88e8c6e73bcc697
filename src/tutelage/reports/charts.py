"""Charts as the page holds them: drawn once for each x-axis that the page offers."""

from typing import NamedTuple

from markupsafe import Markup

from tutelage.reports.curves import Curve, is_log_spaced, word_counts
from tutelage.reports.plots import UNITS, Axis, line_chart
from tutelage.reports.runs import Run
from tutelage.reports.shares import share_chart
from tutelage.reports.svg import Stylist
from tutelage.reports.tables import number
from tutelage.reports.trials import LOWEST, finish_shares, grouped, note_of

FINISH_CHART = "finish reasons"


class Chart(NamedTuple):
    """A chart with its variants for each x-axis: pairs of a CSS class and an SVG."""

    name: str
    finals: list[tuple[int, str]]
    plots: list[tuple[str, Markup]]
    num_dropped: int


class Group(NamedTuple):
    """Charts under one head, with a note on how to read them."""

    name: str
    note: str
    charts: list[Chart]


def axes_of(runs: list[Run]) -> list[Axis]:
    """Steps; words, if any run counted them; both logarithmic too, if milestones are."""
    counts = [word_counts(run) for run in runs]
    units = [u for u in UNITS if u == "steps" or any(words[u].size for words in counts)]
    milestones = [
        [evaluation.step for evaluation in run.evaluations]
        + [row["step"] for row in run.metrics if any(key.startswith("eval/") for key in row)]
        for run in runs
    ]
    scales = [False, *([True] if any(map(is_log_spaced, milestones)) else [])]
    return [Axis(unit, is_log) for is_log in scales for unit in units]


def groups_of(
    curves: dict[str, list[Curve]], axes: list[Axis], stylist: Stylist, runs: list[Run]
) -> list[Group]:
    """Every metric in a chart, by group; the four fractions of a trial's ends are one chart."""
    groups = []
    for name, keys in grouped(list(curves)).items():
        charts = [chart(key, curves[key], axes, stylist, runs) for key in keys if key in curves]
        if name == "responses":
            charts += _finish_charts(curves, axes, stylist, runs)
        groups.append(Group(name, note_of(name), charts))
    return [group for group in groups if group.charts]


def chart(
    name: str,
    curves: list[Curve],
    axes: list[Axis],
    stylist: Stylist,
    runs: list[Run],
    *,
    is_count: bool = False,
) -> Chart:
    """The curves of one metric, with the last value of each run."""
    names = [run.name for run in runs]
    options = {"name": name, "run_names": names, "is_count": is_count, "lowest": LOWEST.get(name)}
    plots = [_variant(axis, line_chart(curves, axis, stylist, **options)) for axis in axes]
    finals = [(curve.run, number(curve.final)) for curve in curves]
    return Chart(name, finals, plots, sum(curve.num_dropped for curve in curves))


def _finish_charts(
    curves: dict[str, list[Curve]], axes: list[Axis], stylist: Stylist, runs: list[Run]
) -> list[Chart]:
    """One chart of how responses ended for each run that logged it."""
    charts = []
    for index, run in enumerate(runs):
        shares = finish_shares(curves, index)
        if shares:
            name = f"{FINISH_CHART}: {run.name}" if len(runs) > 1 else FINISH_CHART
            plots = [_variant(axis, share_chart(shares, axis, stylist, name=name)) for axis in axes]
            charts.append(Chart(name, [], plots, 0))
    return charts


def _variant(axis: Axis, svg: str | None) -> tuple[str, Markup]:
    empty = '<p class="empty">Nothing to draw on this axis.</p>'
    return f"{axis.unit} {'log' if axis.is_log else 'linear'}", Markup(svg or empty)
