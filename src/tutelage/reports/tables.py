"""Tables of a report: what a run came to, its ledger, its configuration, its environment."""

import json
import math
import re
from typing import Any, NamedTuple

from tutelage.reports.curves import Curve
from tutelage.reports.runs import Evaluation, Run

_SECRET_NAME = re.compile(
    r"((^|[.-])|(hub|hf|access|auth|api)[_-]?)token$|(passwo?r?d|secret|api[_-]?key|credentials?)$",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(
    r"\b(hf_|sk-|ghp_|github_pat_)\w[\w-]{8,}|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
)
HIDDEN = "(hidden)"
HEADLINES = ("reward/total", "trial/kl")


class Table(NamedTuple):
    """A table: column heads, and rows whose first cell is their head."""

    heads: list[str]
    rows: list[list[str]]


class Fact(NamedTuple):
    """One number of a run's summary."""

    label: str
    value: str


def number(value: float) -> str:
    """A number as people read it: 1,234,567; 3.214; 0.0003; 1.2e-05."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:,.1f}"
    return f"{value:.4g}"


def ending(run: Run) -> str:
    """How far a run came: finished, running, or stopped before its last step."""
    sessions = run.environment.get("sessions") or [{}]
    steps = sessions[-1].get("steps", run.config.get("steps"))
    limits = {name: limit for name, limit in (run.config.get("budget") or {}).items() if limit}
    for name, limit in limits.items():
        if _used(run.ledger, name) >= limit:
            return f"finished its budget of {number(limit)} {name.replace('_', ' ')}"
    if isinstance(steps, int) and run.last_step >= steps > 0:
        return f"finished all {number(steps)} steps"
    # A budget without a number of rounds allows a million of them, which tells nobody anything.
    is_endless = limits and not run.config.get("rounds")
    of = f" of {number(steps)}" if isinstance(steps, int) and not is_endless else ""
    where = f"at step {number(run.last_step)}{of}" if run.metrics else "before its first metrics"
    return f"{'still running' if run.is_running else 'ended'} {where}"


def summary(
    run: Run, index: int, curves: dict[str, list[Curve]], evals: dict[str, dict[str, list[Curve]]]
) -> list[Fact]:
    """Steps, exposure, reward and its price, final losses, and the first measure of each eval."""
    facts = [Fact("steps", number(run.last_step))]
    for key in ("read_words", "generated_words"):
        if run.ledger.get(key):
            facts.append(Fact(f"words {key.partition('_')[0]}", number(run.ledger[key])))
    # The loss of a trial says nothing: it need not fall while the student learns.
    keys = [*HEADLINES, *(k for k in curves if k.endswith("/loss") and k != "trial/loss")]
    told = {key: curves[key] for key in keys if key in curves}
    for name, by_measure in evals.items():
        measure = next(iter(by_measure))
        told[name if name == measure else f"{name} {measure}"] = by_measure[measure]
    for label, drawn in told.items():
        facts += [Fact(label, number(curve.final)) for curve in drawn if curve.run == index]
    return facts


def sentence(run: Run, facts: list[Fact]) -> str:
    """The summary as one line of text."""
    recipe = run.config.get("recipe", "unknown recipe")
    numbers = [f"{fact.label} {fact.value}" for fact in facts if fact.label != "steps"]
    return " · ".join([str(recipe), ending(run), *numbers])


def comparison(runs: list[Run], summaries: list[list[Fact]]) -> Table:
    """One row for each run, one column for each fact that any of them has."""
    labels = list(dict.fromkeys(fact.label for facts in summaries for fact in facts))
    rows = []
    for run, facts in zip(runs, summaries, strict=True):
        by_label = {fact.label: fact.value for fact in facts}
        rows.append([run.name, *(by_label.get(label, "–") for label in labels), ending(run)])
    return Table(["run", *labels, "state"], rows)


def ledger(runs: list[Run]) -> Table | None:
    """The exposure ledger: words and tokens read, prompts, demonstrated, generated, judged."""
    if not any(run.ledger for run in runs):
        return None
    kinds = ("read", "prompt", "demonstrated", "generated", "judged")
    if len(runs) == 1:
        counts = runs[0].ledger
        rows = [
            [k, *(number(counts.get(f"{k}_{u}", 0)) for u in ("words", "tokens"))] for k in kinds
        ]
        return Table(["exposure", "words", "tokens"], rows)
    names = [f"{kind}_{unit}" for kind in kinds for unit in ("words", "tokens")]
    used = [name for name in names if any(run.ledger.get(name) for run in runs)]
    rows = [[run.name, *(number(run.ledger.get(name, 0)) for name in used)] for run in runs]
    return Table(["run", *(name.replace("_", " ") for name in used)], rows)


def differences(runs: list[Run]) -> Table:
    """The fields whose values are not the same in all runs (where a run lies is no difference)."""
    flat = [flattened(run.config) for run in runs]
    keys = [key for key in _union(flat) if len({config.get(key) for config in flat}) > 1]
    rows = [[key, *(config.get(key, "–") for config in flat)] for key in keys if key != "out"]
    return Table(["field", *(run.name for run in runs)], rows)


def configuration(runs: list[Run]) -> Table:
    """Every field of every run's configuration."""
    flat = [flattened(run.config) for run in runs]
    rows = [[key, *(config.get(key, "–") for config in flat)] for key in _union(flat)]
    return Table(["field", *(run.name for run in runs)], rows)


def environment(runs: list[Run]) -> Table:
    """Versions, revision, host and command of every run; the uncommitted diff as its length."""
    flat = []
    for run in runs:
        facts = {key: value for key, value in run.environment.items() if key != "sessions"}
        git = facts.get("git")
        if isinstance(git, dict):
            lines = str(git.get("diff") or "").count("\n")
            facts["git"] = {**git, "diff": f"{number(lines)} lines" if lines else "none"}
        if isinstance(facts.get("command"), list):
            facts["command"] = " ".join(_visible_arguments(facts["command"]))
        sessions = run.environment.get("sessions") or []
        if sessions and isinstance(sessions[0], dict):
            facts["started"] = sessions[0].get("started")
            facts["times resumed"] = len(sessions) - 1
        flat.append(flattened(facts))
    rows = [[key, *(facts.get(key, "–") for facts in flat)] for key in _union(flat)]
    return Table(["fact", *(run.name for run in runs)], rows)


def last_evaluations(run: Run) -> dict[str, Evaluation]:
    """Each eval's result at its last milestone."""
    return {evaluation.eval: evaluation for evaluation in run.evaluations}


def measures(runs: list[Run], eval_name: str) -> Table:
    """Each measure of an eval at each run's last milestone, with its interval if it has counts."""
    last = {run.name: last_evaluations(run).get(eval_name) for run in runs}
    results = {name: result for name, result in last.items() if result}
    names = list(dict.fromkeys(m for result in results.values() for m in result.measures))
    heads = [f"{name} ({result.milestone})" for name, result in results.items()]
    rows = [[measure, *(_measured(r, measure) for r in results.values())] for measure in names]
    return Table(["measure", *heads], rows)


def milestones(run: Run, eval_name: str) -> Table:
    """Each measure of an eval at every milestone of one run."""
    results = [result for result in run.evaluations if result.eval == eval_name]
    names = list(dict.fromkeys(m for result in results for m in result.measures))
    rows = [
        [m, *(number(r.measures[m]) if m in r.measures else "–" for r in results)] for m in names
    ]
    return Table(["measure", *(result.milestone for result in results)], rows)


def wilson(proportion: float, trials: float) -> tuple[float, float]:
    """The 95 % interval of a proportion (Wilson, 1927, doi:10.1080/01621459.1927.10502953)."""
    z = 1.959963984540054
    centre = proportion + z**2 / (2 * trials)
    half = z * math.sqrt(proportion * (1 - proportion) / trials + z**2 / (4 * trials**2))
    scale = 1 + z**2 / trials
    return (centre - half) / scale, (centre + half) / scale


def interval(result: Evaluation, measure: str) -> tuple[float, float] | None:
    """The interval of a measure that is a proportion with a count of trials."""
    trials, value = result.counts.get(measure, 0), result.measures[measure]
    return wilson(value, trials) if trials and 0 <= value <= 1 else None


def flattened(value: Any, name: str = "") -> dict[str, str]:
    """Nested fields as `section.option: text`, without what looks like a secret."""
    if isinstance(value, dict) and (value or not name):
        parts = [flattened(v, f"{name}.{k}" if name else str(k)) for k, v in value.items()]
        return {key: text for part in parts for key, text in part.items()}
    if value is not None and _SECRET_NAME.search(name):
        return {name: HIDDEN}
    if value is None or value == []:
        return {name: "none"}
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return {name: _SECRET_VALUE.sub(HIDDEN, text)}


def _used(ledger: dict[str, float], limit: str) -> float:
    """How much of a budget's limit is used; what goes in are prompts and the judge's output."""
    kind, _, unit = limit.partition("_")
    kinds = ("prompt", "judged") if kind == "input" else (kind,)
    return sum(ledger.get(f"{kind}_{unit}", 0) for kind in kinds)


def _visible_arguments(arguments: list[Any]) -> list[str]:
    """A command's arguments, with the value of `--hub-token value` and its like hidden."""
    shown: list[str] = []
    for argument in map(str, arguments):
        name, equals, _ = argument.partition("=")
        if shown and shown[-1].startswith("--") and _SECRET_NAME.search(shown[-1]):
            shown.append(HIDDEN)
        elif equals and _SECRET_NAME.search(name):
            shown.append(f"{name}={HIDDEN}")
        else:
            shown.append(argument)
    return shown


def _measured(result: Evaluation, measure: str) -> str:
    if measure not in result.measures:
        return "–"
    text, bounds = number(result.measures[measure]), interval(result, measure)
    if bounds is None:
        return text
    return f"{text} [{bounds[0]:.3f}, {bounds[1]:.3f}], n = {number(result.counts[measure])}"


def _union(flat: list[dict[str, str]]) -> list[str]:
    return list(dict.fromkeys(key for fields in flat for key in fields))
