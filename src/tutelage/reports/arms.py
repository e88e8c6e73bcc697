"""What a page tells of the arms of a group: sentences, tables, and charts of their means."""

from itertools import chain
from typing import NamedTuple

from markupsafe import Markup

from tutelage.reports.arm_plots import Dots, Line, band_chart, dot_chart
from tutelage.reports.groups import AXES, MEASURES, Estimate, Group
from tutelage.reports.svg import Stylist
from tutelage.reports.tables import Table, number

SIDE_BY_SIDE = ("steps", "words")
MAX_FINALS = 6
ARMS_TOLD = 3


class Figure(NamedTuple):
    """A chart under its name."""

    name: str
    plot: Markup


class AxisTable(NamedTuple):
    """The table of one axis."""

    name: str
    rows: Table


class ArmsSection(NamedTuple):
    """The section on arms."""

    sentences: list[str]
    """On the first arms; `further` are those on the others."""
    further: list[str]
    differences: list[Figure]
    tables: list[AxisTable]
    words: Table
    vocabulary: list[Figure]
    surprisal: list[Figure]
    finals: list[Figure]
    last: Table
    runs: Table


def arms_section(group: Group, stylist: Stylist) -> ArmsSection:
    """Everything about a group's arms; without arms.json, its runs alone."""
    told_of = [
        [arm.comparisons[axis].sentence for axis in AXES if axis in arm.comparisons]
        for arm in group.arms
        if arm.name != group.baseline
    ]
    return ArmsSection(
        sentences=list(chain(*told_of[:ARMS_TOLD])),
        further=list(chain(*told_of[ARMS_TOLD:])),
        differences=_differences(group, stylist),
        tables=[AxisTable(AXES[axis], _ages(group, axis)) for axis in AXES],
        words=_words(group),
        vocabulary=_bands(group, "vocabulary", stylist),
        surprisal=_bands(group, "surprisal", stylist),
        finals=_finals(group, stylist),
        last=_last(group),
        runs=run_table(group),
    )


def told(estimate: Estimate | None, *, is_difference: bool = False) -> str:
    """A mean with its interval, as a table tells it."""
    if estimate is None:
        return "–"
    low, high = estimate.low, estimate.high
    digits = 3 if low is not None and high is not None and high - low < 0.02 else 2
    ends = () if low is None or high is None else (low, high)
    mean, *ends = (_shown(value, digits, is_difference) for value in (estimate.mean, *ends))
    return f"{mean} [{ends[0]}, {ends[1]}]" if ends else f"{mean} (one seed)"


def _shown(value: float, digits: int, is_difference: bool) -> str:
    value = 0.0 if round(value, digits) == 0 else value  # there is no −0.00
    if is_difference:
        return f"{value:+.{digits}f}".replace("-", "−")
    return (f"{value:.{digits}f}" if abs(value) < 100 else number(value)).replace("-", "−")


def _differences(group: Group, stylist: Stylist) -> list[Figure]:
    """For each axis, how much earlier or later than the baseline each arm is."""
    figures = []
    for axis, unit in AXES.items():
        dots = [
            Dots(arm.name, group.colour(arm.name), [gaps[name] for name in MEASURES])
            for arm in group.arms
            if axis in arm.comparisons and (gaps := arm.comparisons[axis].difference)
        ]
        if dots:
            name = f"on equal {unit}"
            label = f"earlier ←  log10 {unit}  → later"
            svg = dot_chart(dots, stylist, name=name, x_label=label, is_difference=True)
            figures.append(Figure(name, Markup(svg)))
    return figures


def _ages(group: Group, axis: str) -> Table:
    """Ages of each arm, and how they differ from the baseline's over the same words."""
    heads = ["arm", "seeds", "words"]
    for measure in MEASURES.values():
        heads += [measure, f"less {group.baseline}’s"]
    rows = []
    for arm in group.arms:
        found = arm.comparisons.get(axis)
        if found is None or not found.ages:
            why = f"– ({found.reason})" if found and found.reason else "–"
            cells = [why, *["–"] * 2 * len(MEASURES)]
        else:
            cells = [number(found.num_words)]
            for measure in MEASURES:
                gap = found.difference.get(measure)
                cells += [told(found.ages[measure]), told(gap, is_difference=True)]
        rows.append([arm.name, number(len(arm.seeds)), *cells])
    return Table(heads, rows)


def _words(group: Group) -> Table:
    """Of each arm, how many words it acquires in every run, in some, and in none."""
    rows = []
    for arm in group.arms:
        if arm.words:
            measured, every, never = (
                arm.words[name] for name in ("measured", "in_every_run", "in_no_run")
            )
            cells = (len(arm.seeds), measured, every, measured - every - never, never)
            rows.append([arm.name, *map(number, cells)])
    heads = ["arm", "seeds", "words", "acquired in every run", "in some", "in none"]
    return Table(heads, rows)


def _bands(group: Group, curve: str, stylist: Stylist) -> list[Figure]:
    """A curve of all arms over steps, and beside it over words seen."""
    figures = []
    name = "effective vocabulary" if curve == "vocabulary" else "mean surprisal, bits"
    for axis in SIDE_BY_SIDE:
        bands = {arm.name: getattr(arm, curve).get(axis) for arm in group.arms}
        lines = [Line(arm, group.colour(arm), band) for arm, band in bands.items() if band]
        label = AXES[axis]
        svg = band_chart(lines, stylist, name=name, x_label=label, is_count=curve == "vocabulary")
        if svg:
            figures.append(Figure(f"{name}, over {label}", Markup(svg)))
    return figures


def _finals(group: Group, stylist: Stylist) -> list[Figure]:
    figures = []
    for name in _final_names(group)[:MAX_FINALS]:
        dots = [
            Dots(arm.name, group.colour(arm.name), [arm.finals[name]])
            for arm in group.arms
            if name in arm.finals
        ]
        svg = dot_chart(dots, stylist, name=name, x_label=name, is_difference=False)
        figures.append(Figure(name, Markup(svg)))
    return figures


def _last(group: Group) -> Table:
    """The first measure of each eval at the last milestone, for each arm."""
    names = _final_names(group)
    rows = [
        [arm.name, number(len(arm.seeds)), *(told(arm.finals.get(name)) for name in names)]
        for arm in group.arms
        if arm.seeds
    ]
    return Table(["arm", "seeds", *names], rows)


def _final_names(group: Group) -> list[str]:
    """Perplexity first, as it is asked for most."""
    names = dict.fromkeys(name for arm in group.arms for name in arm.finals)
    return sorted(names, key=lambda name: name != "perplexity")


def run_table(group: Group) -> Table:
    """Which runs count, and why others do not."""
    state = "counts" if group.arms else "not compared yet"
    rows = [
        [row["run"], row["arm"], str(row["seed"]), group.left_out.get(row["run"], state)]
        for row in group.rows
    ]
    return Table(["run", "arm", "seed", "state"], rows)
