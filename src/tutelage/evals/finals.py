"""The arms of a group by their last measures, beside the baseline: the first arm of the group.

Differences are taken seed by seed, so that what two runs of one seed share does not blur them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from tutelage.evals.over_seeds import estimated
from tutelage.evals.run_results import Unusable, has_begun, read_object, unfinished
from tutelage.evals.trade_off import TradeOff, trade_off

VERSION = 1
SAID = {
    "responses accuracy": "accuracy",
    "responses rouge_l": "ROUGE-L",
    "responses self_bleu": "Self-BLEU",
}
"""Names of measures in sentences; those of others are as they are stored."""

Finals: TypeAlias = dict[str, float]
"""Last measures of a run, by the name of their eval and their own."""
Estimate: TypeAlias = dict[str, Any]
Seeds: TypeAlias = dict[int, Finals]
"""The usable runs of an arm, by seed."""


def compare_finals(group: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """How the arms of a group folder compare by their last measures, as JSON."""
    arms: dict[str, Seeds] = {row["arm"]: {} for row in rows}
    left_out = []
    for row in rows:
        found = read_finals(group / row["run"])
        if isinstance(found, Unusable):
            left_out.append({**row, "reason": found.reason})
        else:
            arms[row["arm"]][row["seed"]] = found
    arms = {name: dict(sorted(seeds.items())) for name, seeds in arms.items()}
    baseline = next(iter(arms))
    facts = {
        name: {
            "seeds": list(seeds),
            "runs": {str(row["seed"]): row["run"] for row in rows if row["arm"] == name},
            "finals": _estimates(seeds),
            "differences": _estimates(less(seeds, arms[baseline])) if name != baseline else {},
        }
        for name, seeds in arms.items()
    }
    traded = trade_off(arms)
    return {
        "version": VERSION,
        "baseline": baseline,
        "arms": facts,
        "trade_off": traded._asdict(),
        "sentences": sentences(baseline, facts, traded),
        "left_out": left_out,
    }


def read_finals(folder: Path) -> Finals | Unusable:
    """The measures of a finished run's last milestone, or why they can't be compared."""
    if not has_begun(folder):
        return Unusable("it has not begun")
    paths = sorted((folder / "evals").glob("*/[!.]*.json"))
    results = {path: read_object(path) for path in paths}
    steps = [result["step"] for result in results.values() if result.get("step")]
    if not steps:
        return Unusable("it has no evaluations yet")
    if why := unfinished(folder, max(steps)):
        return why
    return {
        name if name == measure else f"{name} {measure}": float(value)
        for path, result in results.items()
        if result.get("step") == max(steps)
        for name in [path.parent.name]
        for measure, value in result.get("measures", {}).items()
        if value is not None
    }


def less(own: Seeds, other: Seeds) -> Seeds:
    """Each measure of one arm less that of another, of the seeds that both have."""
    return {
        seed: {
            name: own[seed][name] - other[seed][name] for name in own[seed] if name in other[seed]
        }
        for seed in own
        if seed in other
    }


def sentences(baseline: str, arms: Mapping[str, Any], traded: TradeOff) -> list[str]:
    """What each arm came to, in a sentence; and which of them are on the front."""
    told = []
    for name, facts in arms.items():
        # Without a score or diversity, the first measure of all must do.
        both = [measure for measure in (traded.score, traded.diversity) if measure]
        about = [measure for measure in both if measure in facts["finals"]]
        about = about or list(facts["finals"])[:1]
        if not about:
            told.append(f"{name}: no finished run.")
            continue
        ending = _against(baseline, facts["differences"], about, is_it=name == baseline)
        told.append(f"{name}: {_listed(facts['finals'], about)}{ending}")
    return [*told, *([traded.sentence] if traded.sentence else [])]


def _against(baseline: str, gaps: Mapping[str, Estimate], about: list[str], *, is_it: bool) -> str:
    """The end of an arm's sentence."""
    shared = [measure for measure in about if measure in gaps]
    if is_it:
        return "."
    if not shared:
        return f"; no seed was run for both it and {baseline}."
    return f"; against {baseline}: {_listed(gaps, shared, is_difference=True)}."


def _listed(
    estimates: Mapping[str, Estimate], names: list[str], *, is_difference: bool = False
) -> str:
    """Measures with their values, and of how many seeds."""
    n = estimates[names[0]]["n"]
    said = (
        f"{SAID.get(name, name)} {_number(estimates[name], is_difference=is_difference)}"
        for name in names
    )
    return f"{', '.join(said)} ({'one seed' if n == 1 else f'{n} seeds'})"


def _number(estimate: Estimate, *, is_difference: bool) -> str:
    """A mean with its interval: 0.62 [0.55, 0.69]."""
    low, high = estimate["low"], estimate["high"]
    digits = 3 if low is not None and high - low < 0.02 else 2
    sign = "+" if is_difference else ""
    ends = () if low is None else (low, high)
    # Rounded before it is told, for there is no −0.00.
    rounded = (round(value, digits) + 0.0 for value in (estimate["mean"], *ends))
    mean, *ends = (f"{value:{sign}.{digits}f}".replace("-", "−") for value in rounded)
    return f"{mean} [{ends[0]}, {ends[1]}]" if ends else mean


def _estimates(seeds: Seeds) -> dict[str, Estimate]:
    names = dict.fromkeys(name for finals in seeds.values() for name in finals)
    return {
        name: estimated({s: finals[name] for s, finals in seeds.items() if name in finals})
        for name in names
    }
