"""What a page tells of arms that are compared by their last measures."""

from typing import NamedTuple

from markupsafe import Markup

from tutelage.reports.arms import run_table, told
from tutelage.reports.groups import Arm, Estimate, Group, TradeOff
from tutelage.reports.svg import Stylist
from tutelage.reports.tables import Table, number
from tutelage.reports.trade_off_plot import Mark, trade_off_chart


class EvalTable(NamedTuple):
    """The last measures of one eval."""

    name: str
    finals: Table
    differences: Table


class TradeOffSection(NamedTuple):
    """The section on arms."""

    sentences: list[str]
    plot: Markup | None
    name: str
    """Of the plot."""
    tables: list[EvalTable]
    runs: Table


def trade_off_section(group: Group, traded: TradeOff, stylist: Stylist) -> TradeOffSection:
    """Everything about a group's arms."""
    x_label, y_label = plain(traded.diversity), plain(traded.score or "")
    marks = [
        Mark(name, group.colour(name), point.diversity, point.score, name in traded.front)
        for name, point in traded.points.items()
        if name in {arm.name for arm in group.arms}
    ]
    plot = None
    if marks:
        plot = Markup(trade_off_chart(marks, stylist, x_label=x_label, y_label=y_label))
    return TradeOffSection(
        sentences=traded.sentences,
        plot=plot,
        name=f"{y_label} against {x_label}",
        tables=_tables(group),
        runs=run_table(group),
    )


def plain(measure: str) -> str:
    """A measure's name as axes show it."""
    own = measure.rpartition(" ")[2]
    if own.startswith("rouge_"):
        return f"ROUGE-{own[-1].upper()}"
    return "Self-BLEU" if own == "self_bleu" else own.replace("_", " ")


def _tables(group: Group) -> list[EvalTable]:
    """For each eval its measures of all arms, and how they differ from the baseline's."""
    names = dict.fromkeys(name for arm in group.arms for name in arm.finals)
    by_eval: dict[str, list[str]] = {}
    for name in names:
        by_eval.setdefault(name.partition(" ")[0], []).append(name)
    return [
        EvalTable(
            name,
            _table(group.arms, measures),
            _table(group.arms, measures, is_difference=True),
        )
        for name, measures in by_eval.items()
    ]


def _table(arms: list[Arm], measures: list[str], *, is_difference: bool = False) -> Table:
    rows = []
    for arm in arms:
        found: dict[str, Estimate] = arm.differences if is_difference else arm.finals
        cells = [_tied(told(found.get(name), is_difference=is_difference)) for name in measures]
        if any(name in found for name in measures):
            rows.append([arm.name, number(len(arm.seeds)), *cells])
    return Table(["arm", "seeds", *map(plain, measures)], rows)


def _tied(cell: str) -> str:
    """The same with one place only where a line may end: behind the mean."""
    mean, _, rest = cell.partition(" ")
    return f"{mean} {rest.replace(' ', chr(0xA0))}" if rest else mean
