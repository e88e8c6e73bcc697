"""What an age model is worth on held-out texts: does it know how long their writer had trained?

Its predictions and the truth are log2 of the training step (TND-4). See docs/reward-cards.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tutelage.config import UserError
from tutelage.evals.card_examples import MAX_WORST, cut
from tutelage.evals.paired import Z

VERSION = 1
NAMES = {"train_mean": "the mean", "length": "length", "bag_of_words": "a bag of words"}
"""Baselines as they are called in sentences."""

Array = NDArray[np.float64]


def age_card(
    steps: Sequence[int],
    predicted: Sequence[float],
    texts: Sequence[str],
    baselines: Mapping[str, Sequence[float]],
) -> dict[str, Any]:
    """Everything about an age model on test texts, as JSON.

    Args:
        steps: The training step of the writer of each text, 1 or more.
        predicted: The model's log2 step of each.
        texts: The texts.
        baselines: Of each baseline its prediction of every text (`age_baselines`); one is called
            `length`.
    """
    _check(steps, predicted)
    true, guess = np.log2(np.array(steps, dtype=float)), np.array(predicted, dtype=float)
    assert len(true) == len(guess) == len(texts)
    by_step = _by_step(steps, guess)
    measures = fit(true, guess)
    measures |= spearman_interval(measures.get("spearman"), len(true))
    means = np.array([row["mean"] for row in by_step])
    checkpoints = spearman(np.log2([row["step"] for row in by_step]), means)
    if checkpoints is not None:
        measures["spearman_checkpoints"] = checkpoints
    measures |= {"texts": len(true), "checkpoints": len(by_step)}
    compared = [_compared(name, true, guess, np.array(b, float)) for name, b in baselines.items()]
    for row in compared:
        measures[f"mse_{row['name']}"] = row["mse"]
    return {
        "version": VERSION,
        "measures": measures,
        "counts": {},
        "verdict": {row["name"]: row["verdict"] for row in compared}["length"],
        "baselines": compared,
        "by_step": by_step,
        "worst": _worst(steps, guess, true, texts),
    }


def fit(true: Array, predicted: Array) -> dict[str, float]:
    """Mean squared error, R² and Spearman's ρ, as far as they are defined."""
    errors = (true - predicted) ** 2
    found = {"mse": float(errors.mean())}
    spread = float(((true - true.mean()) ** 2).sum())
    if spread > 0:
        found["r2"] = 1 - float(errors.sum()) / spread
    rank = spearman(true, predicted)
    return found if rank is None else found | {"spearman": rank}


def spearman(one: Array, other: Array) -> float | None:
    """Spearman's ρ, or none if either is all the same."""
    from scipy.stats import spearmanr

    if len(set(one)) < 2 or len(set(other)) < 2:
        return None
    return float(spearmanr(one, other).statistic)  # pyright: ignore[reportAttributeAccessIssue]


def spearman_interval(rho: float | None, n: int) -> dict[str, float]:
    """The 95 % interval of Spearman's ρ by Fisher's z; none for fewer than 4 texts or |ρ| = 1.

    Its variance is that of Bonett and Wright (2000, doi:10.1007/BF02294183), (1 + ρ²/2)/(n − 3),
    as Fisher's own is too small for ranks.
    """
    if rho is None or n < 4 or abs(rho) >= 1:
        return {}
    half = Z * math.sqrt((1 + rho**2 / 2) / (n - 3))
    middle = math.atanh(rho)
    return {"spearman_low": math.tanh(middle - half), "spearman_high": math.tanh(middle + half)}


def _check(steps: Sequence[int], predicted: Sequence[float]) -> None:
    if not len(steps):
        raise UserError(
            "There are no test texts, so the age model can't be judged. "
            "Give more texts, or a larger --data.test-fraction."
        )
    if min(steps) < 1:
        raise UserError(
            f"A test text is of step {min(steps)}, and log2 of that is not defined. "
            "Leave out texts of a student that has not been trained."
        )
    bad = sum(not math.isfinite(value) for value in predicted)
    if bad:
        raise UserError(
            f"The age model predicts no finite age of {bad} of {len(predicted)} test texts, so it "
            "can't be judged. Its training diverged: lower the learning rate."
        )


def _by_step(steps: Sequence[int], predicted: Array) -> list[dict[str, Any]]:
    """Predictions for the texts of each step: mean, and 10 % and 90 % quantiles."""
    of = np.array(steps)
    rows = []
    for step in sorted(set(steps)):
        some = predicted[of == step]
        low, high = np.quantile(some, (0.1, 0.9))
        row = {"step": int(step), "n": len(some), "mean": float(some.mean())}
        rows.append(row | {"low": float(low), "high": float(high)})
    return rows


def _compared(name: str, true: Array, predicted: Array, baseline: Array) -> dict[str, Any]:
    """A baseline's fit; how much smaller the model's squared error is, on the same texts."""
    gains = (true - baseline) ** 2 - (true - predicted) ** 2
    found = {"name": name, **fit(true, baseline), "gain": float(gains.mean())}
    own, other = float(((true - predicted) ** 2).mean()), found["mse"]
    said, errors = NAMES.get(name, name), f"a mean squared error of {own:.3g} against {other:.3g}"
    if len(gains) < 2:
        return found | {"verdict": f"Does not beat {said}: one text shows nothing ({errors})."}
    low, high = _mean_interval(gains)
    interval = f"{errors}, 95 % interval of the gain {_signed(low)} to {_signed(high)}"
    if low > 0:
        verdict = f"Beats {said}: {interval}."
    elif high < 0:
        verdict = f"Does not beat {said}, but is worse: {interval}."
    else:
        verdict = f"Does not beat {said}: the difference may be chance ({interval})."
    return found | {"low": low, "high": high, "verdict": verdict}


def _mean_interval(values: Array) -> tuple[float, float]:
    """The 95 % interval of a mean, by Student's t."""
    from scipy.stats import t

    half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
    return float(values.mean()) - half, float(values.mean()) + half


def _signed(value: float) -> str:
    return f"{value + 0.0:.3g}".replace("-", "−")


def _worst(
    steps: Sequence[int], predicted: Array, true: Array, texts: Sequence[str]
) -> list[dict[str, Any]]:
    """The texts whose ages are missed by most; of equal ones the first."""
    errors = np.abs(predicted - true).tolist()
    worst = sorted(range(len(texts)), key=lambda index: -errors[index])
    return [
        {
            "number": index,
            "text": cut(texts[index]),
            "step": int(steps[index]),
            "true": float(true[index]),
            "predicted": float(predicted[index]),
            "characters": len(texts[index]),
        }
        for index in worst[:MAX_WORST]
    ]
