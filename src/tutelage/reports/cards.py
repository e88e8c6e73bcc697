"""The cards of reward and age models as the page holds them."""

import math
from typing import NamedTuple

from markupsafe import Markup

from tutelage.reports.card_plots import (
    BASELINES,
    Accuracy,
    accuracy_chart,
    age_chart,
    calibration_chart,
    margin_histogram,
)
from tutelage.reports.card_results import AgeCard, MissedAge, PairCard, WrongPair
from tutelage.reports.runs import Run
from tutelage.reports.svg import Stylist, colour_of
from tutelage.reports.tables import Table, last_evaluations, number, wilson

SUBSETS_A_CHART = 8


class Drawing(NamedTuple):
    """A chart: its name, what it comes to, sentences below, and the SVG."""

    name: str
    aside: str
    notes: list[str]
    plot: Markup


class Card(NamedTuple):
    """The card of one run's model: what it comes to, charts, a table, examples."""

    run: str
    milestone: str
    verdicts: list[str]
    panels: list[Drawing]
    table: Table
    pairs: list[WrongPair]
    texts: list[MissedAge]


def cards(runs: list[Run], eval_name: str, stylist: Stylist) -> list[Card]:
    """The card of each run at its last milestone, if the eval is one that makes cards."""
    found = []
    for index, run in enumerate(runs):
        result = last_evaluations(run).get(eval_name)
        card = result.card if result else None
        if result is None or card is None:
            continue
        facts = run.name, result.milestone
        if isinstance(card, PairCard):
            found.append(_of_pairs(*facts, card, colour_of(index), stylist))
        else:
            found.append(_of_ages(*facts, card, colour_of(index), stylist))
    return found


def _of_pairs(name: str, milestone: str, card: PairCard, colour: str, stylist: Stylist) -> Card:
    verdicts = [rival.verdict for rival in card.rivals]
    panels = [_accuracy(card, colour, stylist), _margins(card, stylist)]
    panels += [_calibration(card, colour, stylist), *_by_subset(card, colour, stylist)]
    return Card(name, milestone, verdicts, panels, _rivals(card), card.worst, [])


def _of_ages(name: str, milestone: str, card: AgeCard, colour: str, stylist: Stylist) -> Card:
    notes = ["Points: means of a step’s texts. Bars: 10 to 90 % of them. Dashed: no error."]
    over, low, high = card.ranks
    if not math.isnan(low):
        notes.append(f"Spearman’s ρ over texts: 95 % interval {_span(low, high)}.")
    if not math.isnan(over):
        notes.append(f"Spearman’s ρ over {len(card.by_step)} checkpoints: {_told(over)}.")
    chart = Markup(age_chart(card.by_step, stylist, colour=colour))
    panels = (
        [Drawing("predicted and true age", f"n = {number(card.n)}", notes, chart)]
        if card.by_step
        else []
    )
    heads = ["ages by", "mean squared error", "R²", "Spearman’s ρ"]
    rows = [[_label(fit.name), *map(_told, fit[1:])] for fit in card.fits]
    return Card(name, milestone, card.verdicts, panels, Table(heads, rows), [], card.worst)


def _accuracy(card: PairCard, colour: str, stylist: Stylist) -> Drawing:
    groups = {"model": [Accuracy(card.accuracy, card.n, colour)]}
    for rival, shade in zip(card.rivals, BASELINES, strict=False):
        groups[_label(rival.name)] = [Accuracy(rival.accuracy, card.n, shade)]
    notes = ["Wilson’s 95 % intervals; dashed: chance."]
    plot = Markup(accuracy_chart(groups, stylist, name="accuracy"))
    return Drawing("accuracy", f"n = {number(card.n)}", notes, plot)


def _by_subset(card: PairCard, colour: str, stylist: Stylist) -> list[Drawing]:
    """The same bars, in the same order and colours, for each subset."""
    panels, names = [], [rival.name for rival in card.rivals]
    for start in range(0, len(card.subsets), SUBSETS_A_CHART):
        groups = {}
        for subset in card.subsets[start : start + SUBSETS_A_CHART]:
            bars = [Accuracy(subset.accuracy, subset.n, colour)]
            for name, shade in zip(names, BASELINES, strict=False):
                if name in subset.baselines:
                    bars.append(Accuracy(subset.baselines[name], subset.n, shade))
            groups[f"{_short(subset.name)}  (n = {number(subset.n)})"] = bars
        plot = Markup(accuracy_chart(groups, stylist, name="accuracy by subset"))
        told = ", ".join(["model", *map(_label, names)])
        panels.append(Drawing("accuracy by subset", "", [f"From above: {told}."], plot))
    return panels


def _margins(card: PairCard, stylist: Stylist) -> Drawing:
    margins, notes = card.margins, []
    svg = margin_histogram(margins, stylist)
    counts = zip(margins.edges, margins.counts, strict=False)
    wrong = margins.below + sum(count for edge, count in counts if edge < 0)
    aside = f"{number(wrong)} wrong · {number(margins.ties)} ties · "
    right = card.n - wrong - margins.ties
    if margins.below:
        notes.append(f"{number(margins.below)} below {number(margins.edges[0])} not drawn.")
    if margins.above:
        notes.append(f"{number(margins.above)} above {number(margins.edges[-1])} not drawn.")
    plot = Markup(svg or '<p class="empty">All pairs are ties: there are no margins.</p>')
    return Drawing("margins", f"{aside}{number(right)} right", notes, plot)


def _calibration(card: PairCard, colour: str, stylist: Stylist) -> Drawing:
    sizes = sorted({each.n for each in card.bins})
    span = "–".join(map(number, dict.fromkeys((sizes[0], sizes[-1])))) if sizes else "0"
    count = len(card.bins)
    of = f"{count} bin{'s'[: count != 1]} of {span} pair{'s'[: span != '1']}"
    notes = [f"{of}; dashed: as sure as right."]
    plot = Markup(calibration_chart(card.bins, stylist, colour=colour))
    return Drawing("calibration", f"ECE {_told(card.ece)}", notes, plot)


def _rivals(card: PairCard) -> Table:
    heads = ["decided by", "accuracy", "95 % interval", "model above it", "95 % interval"]
    rows = [["model", f"{card.accuracy:.3f}", _span(*wilson(card.accuracy, card.n)), "", ""]]
    for rival in card.rivals:
        own = [f"{rival.accuracy:.3f}", _span(*wilson(rival.accuracy, card.n))]
        rows.append(
            [_label(rival.name), *own, _signed(rival.difference), _span(rival.low, rival.high)]
        )
    return Table(heads, rows)


def _label(name: str) -> str:
    return name.replace("_", " ")


def _short(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:39]}…"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _span(low: float, high: float) -> str:
    return f"{low:.3f} to {high:.3f}".replace("-", "−")


def _told(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}".replace("-", "−")
