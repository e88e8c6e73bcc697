"""Rewards of tokens as the page holds them: texts in colours, tables, and pictures."""

import math
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from tutelage.reports.runs import Run
from tutelage.reports.svg import Stylist, colour_of
from tutelage.reports.tables import Table, last_evaluations, number
from tutelage.reports.token_plots import metric_chart
from tutelage.reports.token_results import Reranked, TokenCorrelation, TokenResults, Told

EVAL = "token_reward"
LEVELS = 5
"""Shades on either side of 0; the style sheet has a class for each, `reward-5` to `reward5`."""
MAX_TOKENS = 300
MAX_CHARTS = 3
NAMES = {
    "reward": "reward, summed",
    "reward_per_token": "reward per token",
    "logprob": "log-probability",
    "logprob_per_token": "log-probability per token",
    "length": "length",
    "random": "chance",
    "best": "the best there is",
}


class Shaded(NamedTuple):
    """A token: its text, its level of colour, and what is said where one points at it."""

    text: str
    level: int
    title: str


class Response(NamedTuple):
    """A response with its tokens in colours, and its numbers."""

    prompt: str
    tokens: list[Shaded]
    num_left_out: int
    facts: list[str]


class Swatch(NamedTuple):
    """A colour of the legend, and the reward in its middle."""

    level: int
    reward: str


class Picture(NamedTuple):
    """A chart with its name."""

    name: str
    plot: Markup


class TokenSection(NamedTuple):
    """All about one run's token rewards at its last milestone."""

    run: str
    milestone: str
    gamma: str
    verdicts: list[str]
    legend: list[Swatch]
    responses: list[Response]
    num_rows: int
    pictures: list[Picture]
    correlations: Table | None
    reranking: Table | None


def token_sections(runs: list[Run], eval_name: str, stylist: Stylist) -> list[TokenSection]:
    """Those of each run's last milestone, if the eval is token_reward."""
    found = []
    for index, run in enumerate(runs):
        result = last_evaluations(run).get(eval_name) if eval_name == EVAL else None
        if result and result.tokens:
            facts = run.name, result.milestone
            found.append(_section(*facts, result.tokens, colour_of(index), stylist))
    return found


def _section(
    name: str, milestone: str, results: TokenResults, colour: str, stylist: Stylist
) -> TokenSection:
    limit = scale_of(results.shown)
    charts = list(results.points.items())[:MAX_CHARTS]
    return TokenSection(
        run=name,
        milestone=milestone,
        gamma=number(results.gamma),
        verdicts=results.verdicts,
        legend=[
            Swatch(level, _signed(level * limit / LEVELS)) for level in range(-LEVELS, LEVELS + 1)
        ],
        responses=[_response(told, limit) for told in results.shown],
        num_rows=results.num_rows,
        pictures=[
            Picture(metric, Markup(svg))
            for metric, points in charts
            if (svg := metric_chart(points, stylist, metric=metric, colour=colour))
        ],
        correlations=_correlations(results.correlations) if results.correlations else None,
        reranking=_reranking(results.reranking) if results.reranking else None,
    )


def scale_of(shown: list[Told]) -> float:
    """The reward of the strongest colours, a round number: 95 % of tokens are within it."""
    rewards = np.abs([reward for told in shown for reward in told.rewards[:MAX_TOKENS]])
    most = float(np.quantile(rewards, 0.95))
    if most == 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    return next(step * power for step in (1, 2, 3, 4, 5, 7.5, 10) if step * power >= most)


def level_of(reward: float, limit: float) -> int:
    """The shade of a reward: 0 is none."""
    return max(-LEVELS, min(LEVELS, round(reward / limit * LEVELS)))


def _response(told: Told, limit: float) -> Response:
    rows = zip(told.tokens, told.rewards, told.logprobs, strict=True)
    tokens = [
        Shaded(
            _visible(token),
            level_of(reward, limit),
            f"reward {_signed(reward)}, log-probability {_signed(logprob)}",
        )
        for token, reward, logprob in rows
    ]
    count = len(tokens)
    facts = [
        f"reward {_signed(told.reward)} nats",
        f"{_signed(told.reward / count)} per token",
        f"log-probability {_signed(told.logprob)}",
        f"{number(count)} tokens",
    ]
    if told.of > 1:
        facts.append(f"rank {told.rank} of {told.of} to this prompt")
    facts += [f"{metric} {number(value)}" for metric, value in told.metrics.items()]
    return Response(told.prompt, tokens[:MAX_TOKENS], max(0, count - MAX_TOKENS), facts)


def _visible(token: str) -> str:
    """A token's text; a mark where there would be nothing to see."""
    return token.replace("\n", "↵\n") or "▁"


def _correlations(rows: list[TokenCorrelation]) -> Table:
    heads = ["metric", "read out of the model", "rows", "Spearman’s ρ", "95 % interval"]
    heads += ["reward above it", "95 % interval"]
    cells = [
        [
            row.metric,
            NAMES.get(row.by, row.by),
            number(row.rows),
            _told(row.spearman),
            _span(row.low, row.high) or row.reason or "–",
            "" if row.by == "reward" else _told(row.reward_above),
            _span(row.above_low, row.above_high),
        ]
        for row in rows
    ]
    return Table(heads, cells)


def _reranking(rows: list[Reranked]) -> Table:
    heads = ["metric", "first of each prompt by", "mean", "gain over chance", "95 % interval"]
    cells = []
    for row in rows:
        is_chance = row.by == "random"
        gain = [] if is_chance else [_told(row.gain), _span(row.low, row.high)]
        name = NAMES.get(row.by, row.by)
        cells.append([row.metric, name, _told(row.mean), *(gain or ["", ""])])
    return Table(heads, cells)


def _signed(value: float) -> str:
    return f"{number(round(value, 2) + 0.0)}".replace("-", "−")


def _told(value: float) -> str:
    return "–" if math.isnan(value) else f"{round(value, 3) + 0.0:.3f}".replace("-", "−")


def _span(low: float, high: float) -> str:
    return "" if math.isnan(low) else f"{_told(low)} to {_told(high)}"
