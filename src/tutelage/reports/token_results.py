"""What the suite token-reward stored, as the reports read it: correlations, and a few responses."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from tutelage.reports.thinning import spread

MAX_SHOWN = 6


class TokenCorrelation(NamedTuple):
    """Spearman's ρ of a metric with a read-out of the student; NaN where it is not known."""

    metric: str
    by: str
    rows: int
    spearman: float
    low: float
    high: float
    reward_above: float
    above_low: float
    above_high: float
    reason: str
    """Why something is not known, or nothing."""


class Reranked(NamedTuple):
    """The mean metric of the responses that a read-out ranks first, and its gain over chance."""

    metric: str
    by: str
    mean: float
    gain: float
    low: float
    high: float


class Told(NamedTuple):
    """A response, token by token."""

    prompt: str
    tokens: list[str]
    rewards: list[float]
    logprobs: list[float]
    reward: float
    logprob: float
    metrics: dict[str, float]
    rank: int
    of: int


class TokenResults(NamedTuple):
    """The content of evals/token_reward/<milestone>.json, with some of its responses."""

    gamma: float
    num_rows: int
    verdicts: list[str]
    correlations: list[TokenCorrelation]
    reranking: list[Reranked]
    points: dict[str, list[tuple[float, float]]]
    """Of each metric: summed reward and metric of each row that has it."""
    shown: list[Told]
    """A few responses, from the highest summed reward to the lowest."""


def token_results(content: dict[str, Any]) -> TokenResults | None:
    """The rewards of tokens in a stored result; None if it holds measures alone.

    Raises ValueError, KeyError, TypeError or AttributeError if it does not have its form.
    """
    if "items" not in content:
        return None
    items = content["items"]
    correlations = [_row(TokenCorrelation, row) for row in content["correlations"]]
    metrics = list(dict.fromkeys(row.metric for row in correlations))
    points = {
        metric: [
            (float(item["reward"]), float(item["metrics"][metric]))
            for item in items
            if item["metrics"][metric] is not None
        ]
        for metric in metrics
    }
    return TokenResults(
        gamma=float(content["gamma"]),
        num_rows=len(items),
        verdicts=[str(verdict) for verdict in content["verdicts"]],
        correlations=correlations,
        reranking=[_row(Reranked, row) for row in content["reranking"]],
        points=points,
        shown=[_told(item) for item in _chosen(items, metrics[0] if metrics else None)],
    )


def _chosen(items: Sequence[dict[str, Any]], metric: str | None) -> list[dict[str, Any]]:
    """Items over the range of rewards: with a metric, of its highest and of its lowest value."""
    ordered = sorted(items, key=lambda item: -item["reward"])
    known = [] if metric is None else [i for i in ordered if i["metrics"][metric] is not None]
    values = [item["metrics"][metric] for item in known]
    if not values or min(values) == max(values):
        return spread(ordered, MAX_SHOWN)
    good = [item for item, value in zip(known, values, strict=True) if value == max(values)]
    bad = [item for item, value in zip(known, values, strict=True) if value == min(values)]
    some = [*spread(good, MAX_SHOWN // 2), *spread(bad, MAX_SHOWN // 2)]
    return sorted(some, key=lambda item: -item["reward"])


def _told(item: dict[str, Any]) -> Told:
    told = Told(
        prompt=str(item["prompt"]),
        tokens=[str(token) for token in item["tokens"]],
        rewards=[float(value) for value in item["rewards"]],
        logprobs=[float(value) for value in item["logprobs"]],
        reward=float(item["reward"]),
        logprob=float(item["logprob"]),
        metrics={str(k): float(v) for k, v in item["metrics"].items() if v is not None},
        rank=int(item["rank"]),
        of=int(item["of"]),
    )
    if not len(told.tokens) == len(told.rewards) == len(told.logprobs) > 0:
        raise ValueError("the numbers of tokens, rewards and logprobs of an item differ")
    return told


def _row(kind: Any, row: dict[str, Any]) -> Any:
    """A named tuple from the fields of that name, each of its type; null is NaN, or no text."""
    fields = kind.__annotations__
    return kind(*(_typed(row[name], of) for name, of in fields.items()))


def _typed(value: Any, kind: type) -> Any:
    if value is None:
        return math.nan if kind is float else kind()
    return kind(value)
