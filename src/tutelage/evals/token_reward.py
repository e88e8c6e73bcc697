"""The reward of tokens that a student reveals, and whether it knows what responses are worth.

The reward is that of `rewards/token_rewards.py`. Its sum over a response is set against metrics of
the response, as Wulfmeier et al. (2024, https://arxiv.org/abs/2409.01369) do, and beside it what
simpler readings of the same student say: log-probability, length, and means per token.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from tutelage.config import Config, UserError
from tutelage.evals.rated_responses import Rated, read_rated

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tutelage.evals.rank_correlation import Estimate
    from tutelage.evals.scoring import Scorer
    from tutelage.rewards.token_rewards import Finished

VERSION = 1
ROWS_AT_ONCE = 256
READOUTS = {
    "reward": "the summed reward",
    "reward_per_token": "the reward per token",
    "logprob": "the log-probability",
    "logprob_per_token": "the log-probability per token",
    "length": "the length",
}
"""What is set against metrics, and how sentences call it."""


class TokenReward(Config):
    """Reward of each token that a student reveals, and its correlation with metrics."""

    data: Path
    """JSON lines with prompt, response (or completion), and columns of numbers or true and false to
    correlate with; or a run's samples.jsonl, whose scores are those columns."""
    gamma: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Discount of the value of the next state; with 1, rewards add up to the value of the prompt
    plus the log-probability of the response."""
    metrics: tuple[str, ...] = ()
    """Columns to correlate with; default: all that hold numbers."""
    seed: int = Field(default=0, ge=0)
    """Seed of the draws of prompts behind the intervals."""

    def check(self) -> None:
        """Refuse a missing file, malformed rows, and metrics that are not there."""
        self._rows()

    def tasks(self) -> list[str]:
        """Parts of 256 rows, in the order of the file."""
        count = len(self._rows())
        return [
            f"rows {first + 1} to {min(first + ROWS_AT_ONCE, count)}"
            for first in range(0, count, ROWS_AT_ONCE)
        ]

    def run_task(self, task: str, scorer: Scorer) -> dict[str, Any]:
        """Of each row: its tokens as text, their rewards and log-probabilities, and the sums."""
        from tutelage.rewards.token_rewards import finished, pieces, token_rewards

        first = self.tasks().index(task) * ROWS_AT_ONCE
        rated = self._rows()[first : first + ROWS_AT_ONCE]
        rows = finished(scorer.tokenizer, [r.prompt for r in rated], [r.response for r in rated])
        refuse_long(rated, rows, scorer.context)
        read = token_rewards(
            scorer.student,
            rows,
            gamma=self.gamma,
            device=scorer.device,
            batch_tokens=scorer.batch_tokens,
        )
        if not all(math.isfinite(one.total) for one in read):
            raise UserError(
                "The student reveals rewards that are not finite: its weights hold no numbers any "
                "more. Its training diverged; take an earlier checkpoint."
            )
        return {
            "rows": [
                {
                    "tokens": pieces(scorer.tokenizer, row.response_ids),
                    "rewards": _rounded(one.rewards.tolist()),
                    "logprobs": _rounded(one.logprobs.tolist()),
                    "reward": one.total,
                    "logprob": float(one.logprobs.double().sum()),
                }
                for row, one in zip(rows, read, strict=True)
            ]
        }

    def combine(self, parts: dict[str, dict[str, Any]]) -> dict[str, Any]:
        """Sums over responses, their correlations with metrics, re-ranking, and every token."""
        from tutelage.evals.reranking import ranks

        rated = self._rows()
        rows = [row for part in parts.values() for row in part["rows"]]
        groups = _groups(rated)
        readouts = _readouts(rows)
        found = [self._of_metric(name, rated, readouts, groups) for name in rated[0].metrics]
        places = ranks(readouts["reward"], groups)
        of = Counter(groups)
        items = [
            {"prompt": one.prompt, "response": one.response, "metrics": one.metrics}
            | {**row, "rank": place, "of": of[group]}
            for one, row, place, group in zip(rated, rows, places, groups, strict=True)
        ]
        return {
            "version": VERSION,
            "measures": {
                **{name: value for each in found for name, value in each["measures"].items()},
                "reward": float(readouts["reward"].mean()),
                "reward_per_token": float(readouts["reward_per_token"].mean()),
                "logprob": float(readouts["logprob"].mean()),
                "rows": len(rows),
                "prompts": len(of),
            },
            "counts": {},
            "seeds": {"resampling": self.seed},
            "gamma": self.gamma,
            "verdicts": [each["verdict"] for each in found]
            or [f"No column of {self.data.name} holds numbers to set the reward against."],
            "correlations": [row for each in found for row in each["correlations"]],
            "reranking": [row for each in found for row in each["reranking"]],
            "items": items,
        }

    def _rows(self) -> list[Rated]:
        return read_rated(self.data, self.metrics)

    def _of_metric(
        self,
        metric: str,
        rated: Sequence[Rated],
        readouts: dict[str, NDArray[np.float64]],
        groups: Sequence[int],
    ) -> dict[str, Any]:
        """Measures, correlations, re-ranking and a sentence about one metric."""
        import numpy as np

        from tutelage.evals.rank_correlation import FEWEST_ROWS, Resampling, correlations
        from tutelage.evals.reranking import reranked

        values = [row.metrics[metric] for row in rated]
        kept = [index for index, value in enumerate(values) if value is not None]
        known = np.array([values[index] for index in kept], dtype=np.float64)
        some = {name: column[kept] for name, column in readouts.items()}
        own = [groups[index] for index in kept]
        estimates: dict[str, Estimate] = {}
        if len(known) >= FEWEST_ROWS and len(set(known)) > 1:
            resampling = Resampling(_numbered(own), self.seed)
            estimates = correlations(some, known, resampling)
        rows = [_correlation(metric, name, known, estimates) for name in READOUTS]
        again = reranked(some, known, own, seed=self.seed) if estimates else []
        return {
            "measures": {
                f"spearman/{metric}/{row['by']}": row["spearman"]
                for row in rows
                if row["spearman"] is not None
            }
            | {f"reranked/{metric}/{row['by']}": row["mean"] for row in again},
            "correlations": rows,
            "reranking": [{"metric": metric, **row} for row in again],
            "verdict": verdict(metric, known, estimates),
        }


def refuse_long(rated: Sequence[Rated], rows: Sequence[Finished], context: int) -> None:
    """Raise if a prompt and its response are more than a student reads."""
    for one, row in zip(rated, rows, strict=True):
        if row.length > context:
            raise UserError(
                f"{one.place}: the prompt has {len(row.prompt_ids)} tokens and the response "
                f"{len(row.response_ids)} with its end, but this student reads at most {context}. "
                "Leave this row out, shorten it, or take a student with more context."
            )


def why_not(metric: str, known: Sequence[float] | NDArray[np.float64]) -> str:
    """Why nothing can correlate with the numbers of a metric."""
    from tutelage.evals.rank_correlation import FEWEST_ROWS

    count = len(known)
    if count < FEWEST_ROWS:
        rows = {0: "no row has", 1: "one row has"}.get(count, f"only {count} rows have")
        return f"{rows} {metric}, too few for a correlation"
    return f"{metric} is the same in all {count} rows"


def verdict(
    metric: str, known: Sequence[float] | NDArray[np.float64], estimates: dict[str, Estimate]
) -> str:
    """In one sentence, whether the reward goes with a metric, more so than the log-probability."""
    from tutelage.evals.rank_correlation import less

    if not estimates:
        return f"{metric}: {why_not(metric, known)}."
    own, other = estimates["reward"], estimates["logprob"]
    gap = estimates[less("reward", "logprob")]
    if own.value is None or other.value is None or gap.value is None:
        return f"All responses have the same reward, so it tells nothing of {metric}."
    said = (
        f"{metric}: Spearman's ρ with the summed reward is {_told(own)}, "
        f"with the log-probability {_told(other)}"
    )
    if gap.low is None or gap.high is None:
        return f"{said}; there are too few prompts to say which is higher."
    if gap.low <= 0 <= gap.high:
        return f"{said}; the difference may be chance: {_told(gap)}."
    which = "higher" if gap.low > 0 else "lower"
    return f"{said}; that of the reward is {which}: the difference is {_told(gap)}."


def _correlation(
    metric: str,
    by: str,
    known: Sequence[float] | NDArray[np.float64],
    estimates: dict[str, Estimate],
) -> dict[str, Any]:
    """One row of the table of correlations, with the reason for what is not there."""
    from tutelage.evals.rank_correlation import FEWEST_PROMPTS, Estimate, less

    nothing = Estimate(None)
    found = estimates.get(by, nothing)
    gap = estimates.get(less("reward", by), nothing)
    reason = None
    if not estimates:
        reason = why_not(metric, known)
    elif found.value is None:
        reason = f"{READOUTS[by]} is the same in all rows"
    elif found.low is None:
        reason = f"an interval needs at least {FEWEST_PROMPTS} prompts that differ"
    row: dict[str, Any] = {"metric": metric, "by": by, "rows": len(known)}
    row |= {"spearman": found.value, "low": found.low, "high": found.high}
    row |= {"reward_above": gap.value, "above_low": gap.low, "above_high": gap.high}
    return row | {"reason": reason}


def _readouts(rows: Sequence[dict[str, Any]]) -> dict[str, NDArray[np.float64]]:
    """What is read out of a student about each response, by the names of `READOUTS`."""
    import numpy as np

    length = np.array([len(row["tokens"]) for row in rows], dtype=np.float64)
    reward, logprob = (np.array([row[name] for row in rows]) for name in ("reward", "logprob"))
    values = (reward, reward / length, logprob, logprob / length, length)
    return dict(zip(READOUTS, values, strict=True))


def _groups(rated: Sequence[Rated]) -> list[int]:
    """The number of each row's prompt."""
    return _numbered([row.prompt for row in rated])


def _numbered(names: Sequence[Any]) -> list[int]:
    """Names as numbers from 0, in the order of their first places."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return [numbers[name] for name in names]


def _told(estimate: Estimate) -> str:
    """A number with its interval."""
    value, *ends = (f"{round(x or 0, 3) + 0.0:.3f}".replace("-", "−") for x in estimate)
    return value if estimate.low is None else f"{value} ({ends[0]} to {ends[1]})"


def _rounded(values: Sequence[float]) -> list[float]:
    """As fine as float32 is sure of, and half as long in a file."""
    return [round(value, 5) for value in values]
