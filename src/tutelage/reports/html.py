"""The report: one HTML file that needs nothing else, made from run folders."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jinja2
from markupsafe import Markup

from tutelage import __version__
from tutelage.config import UserError
from tutelage.reports.groups import Group, group_in, read_group
from tutelage.reports.runs import Run, read_runs
from tutelage.run_folder import write_text

if TYPE_CHECKING:
    from tutelage.reports.curves import Curve
    from tutelage.reports.plots import Axis, Bar
    from tutelage.reports.svg import Stylist

MAX_SAMPLE_STEPS = 40
MAX_SAMPLES_A_STEP = 20
MAX_SAMPLE_CHARACTERS = 2000
MAX_PROMPT_CHARACTERS = 600
MAX_EVAL_CHARTS = 12
BARS_A_CHART = 16


class SampleStep(NamedTuple):
    """What a student said at one step."""

    step: int
    samples: list[dict[str, Any]]
    num_left_out: int


def write_report(runs: list[Path], out: Path, words: Sequence[str] = ()) -> None:
    """Write the page about these run folders; an old page of that name is replaced.

    Args:
        runs: Run folders; or one group folder.
        out: The page.
        words: Those whose learning curves are drawn; without any, some are chosen.
    """
    refuse_out(out)
    folder = group_in(runs)
    group = read_group(folder) if folder else None
    page = page_of(group.runs if group else read_runs(runs), words, group)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_text(out, page)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"--out {out} cannot be written: {reason}. Choose another.") from error


def refuse_out(out: Path) -> None:
    """Raise unless a page can be called that."""
    if out.is_dir():
        raise UserError(f"--out {out} is a folder. Give a file, for example {out / 'report.html'}.")
    if out.suffix.lower() not in (".html", ".htm"):
        raise UserError(
            f"--out {out} does not end in .html, and the report is an HTML page. "
            f"Give for example {out.with_suffix('.html') if out.name else 'report.html'}."
        )


def page_of(runs: list[Run], words: Sequence[str] = (), group: Group | None = None) -> str:
    """The whole page as text: the same for the same runs."""
    from tutelage.reports import tables
    from tutelage.reports.arms import arms_section
    from tutelage.reports.charts import axes_of, groups_of
    from tutelage.reports.curves import eval_curves, training_curves
    from tutelage.reports.rollouts import middle_of, terms_of, text_of
    from tutelage.reports.svg import Stylist
    from tutelage.reports.trade_offs import trade_off_section
    from tutelage.reports.words import chosen

    stylist = Stylist()
    curves, evals = training_curves(runs), eval_curves(runs)
    axes = axes_of(runs)
    if group:  # whose runs are many: charts are drawn over steps only
        axes = [axis for axis in axes if axis.unit == "steps"]
    traded = group.trade_off if group else None
    summaries = [tables.summary(run, index, curves, evals) for index, run in enumerate(runs)]
    content = {
        "group": group,
        "arms": arms_section(group, stylist) if group and not traded else None,
        "trade_off": trade_off_section(group, traded, stylist) if group and traded else None,
        "runs": runs,
        "sentences": [
            tables.sentence(run, facts) for run, facts in zip(runs, summaries, strict=True)
        ],
        "summaries": summaries,
        "comparison": tables.comparison(runs, summaries),
        "ledger": tables.ledger(runs),
        "differences": tables.differences(runs) if len(runs) > 1 else None,
        "axes": axes,
        "groups": groups_of(curves, axes, stylist, runs),
        "evals": _evals(evals, runs, axes, stylist, chosen(runs, words)),
        "samples": [run for run in runs if run.samples.others or run.samples.rounds],
        "sample_steps": _sample_steps,
        "text_of": text_of,
        "middle_of": middle_of,
        "terms_of": terms_of,
        "max_characters": MAX_SAMPLE_CHARACTERS,
        "max_prompt": MAX_PROMPT_CHARACTERS,
        "configuration": tables.configuration(runs),
        "environment": tables.environment(runs),
        "number": tables.number,
        "version": __version__,
    }
    return _filled(content, stylist)


def _filled(content: dict[str, Any], stylist: "Stylist") -> str:
    """The template with its content and style sheet; the page allows that style sheet alone."""
    page = jinja2.Environment(
        loader=jinja2.PackageLoader("tutelage.reports", "page"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    css = page.get_template("page.css").render() + stylist.css()
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return page.get_template("page.html.j2").render(css=Markup(css), policy=policy, **content)


def _evals(
    evals: dict[str, dict[str, list["Curve"]]],
    runs: list[Run],
    axes: list["Axis"],
    stylist: "Stylist",
    words: list[str],
) -> list[dict[str, Any]]:
    """For each eval: curves over milestones, bars of the last one, and tables of the rest."""
    from tutelage.reports import tables
    from tutelage.reports.cards import cards
    from tutelage.reports.charts import chart
    from tutelage.reports.frequency_panels import frequency_panels
    from tutelage.reports.plots import bar_chart
    from tutelage.reports.token_rewards import token_sections
    from tutelage.reports.word_panels import learning_panels

    sections = []
    for name, curves in evals.items():
        bars = list(_bars(runs, name).items())
        chunks = [dict(bars[i : i + BARS_A_CHART]) for i in range(0, len(bars), BARS_A_CHART)]
        ages = _ages(runs, axes, stylist) if name == "acquisition" else None
        found = cards(runs, name, stylist)
        tokens = token_sections(runs, name, stylist)
        # Ages are found once for all milestones, and so are most cards: no curve of one point.
        is_curved = not ages and not ((found or tokens) and _has_one_milestone(runs, name))
        drawn = list(curves.items())[: MAX_EVAL_CHARTS if is_curved else 0]
        sections.append(
            {
                "name": name,
                "charts": [chart(key, some, axes, stylist, runs) for key, some in drawn],
                "num_undrawn": len(curves) - len(drawn) if drawn else 0,
                "words": learning_panels(words, runs, stylist) if name == "surprisal" else [],
                "frequencies": frequency_panels(runs, stylist) if name == "surprisal" else [],
                "ages": ages,
                "cards": found,
                "tokens": tokens,
                "bars": []
                if found  # which draw the same shares
                else [Markup(bar_chart(chunk, stylist, name=name)) for chunk in chunks],
                "last": tables.measures(runs, name),
                "milestones": [(run.name, tables.milestones(run, name)) for run in runs],
            }
        )
    return sections


def _ages(runs: list[Run], axes: list["Axis"], stylist: "Stylist") -> dict[str, Any] | None:
    """What the suite acquisition found: distributions, vocabulary, correlations."""
    from tutelage.reports import words
    from tutelage.reports.charts import chart
    from tutelage.reports.curves import vocabulary_curves
    from tutelage.reports.word_panels import age_panels

    if not any(map(words.ages_of, runs)):
        return None
    name, curves = "effective vocabulary", vocabulary_curves(runs)
    return {
        "histograms": age_panels(runs, stylist),
        "reasons": words.reasons(runs),
        "vocabulary": chart(name, curves, axes, stylist, runs, is_count=True),
        "correlations": words.correlations(runs),
    }


def _has_one_milestone(runs: list[Run], eval_name: str) -> bool:
    return all(sum(e.eval == eval_name for e in run.evaluations) < 2 for run in runs)


def _bars(runs: list[Run], eval_name: str) -> dict[str, list["Bar"]]:
    """The measures that have counts, at each run's last milestone."""
    from tutelage.reports.plots import Bar
    from tutelage.reports.tables import interval, last_evaluations

    bars: dict[str, list[Bar]] = {}
    for index, run in enumerate(runs):
        result = last_evaluations(run).get(eval_name)
        for measure in result.measures if result else ():
            bounds = interval(result, measure) if result else None
            if result and bounds:
                bars.setdefault(measure, []).append(Bar(index, result.measures[measure], bounds))
    return bars


def _sample_steps(samples: list[dict[str, Any]]) -> list[SampleStep]:
    """Samples by step; of many steps, evenly spaced ones with the first and the last."""
    from tutelage.reports.thinning import spread

    by_step: dict[int, list[dict[str, Any]]] = {}
    for sample in samples:
        by_step.setdefault(sample["step"], []).append(sample)
    steps = spread(sorted(by_step), MAX_SAMPLE_STEPS)
    shown = [(step, by_step[step][:MAX_SAMPLES_A_STEP]) for step in steps]
    return [SampleStep(step, some, len(by_step[step]) - len(some)) for step, some in shown]
