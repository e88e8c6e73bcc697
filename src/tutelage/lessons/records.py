"""What a round leaves behind for people: metrics, samples, and what the ledger counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from tutelage.rewards.protocol import Scores
    from tutelage.rollout.engine import Rollout

FINISHES = ("eos", "stop", "length", "context")


def round_metrics(
    rollout: Rollout,
    scores: Scores,
    kl: Tensor | None,
    logprobs: Tensor,
    *,
    total: Callable[[Tensor], Tensor],
) -> dict[str, float]:
    """How a rollout went, over all processes.

    Args:
        rollout: This process's share.
        scores: What the reward said of it.
        kl: k1 of each token to the reference, if there is one (batch, time).
        logprobs: Log-probability of each token (batch, time).
        total: Sums a tensor over all processes.
    """
    rows, tokens = len(rollout.responses), int(rollout.mask.sum())
    per_row = {"reward/total": float(scores.scores.sum()), "squares": _squares(scores.scores)}
    per_row |= {f"reward/{name}": float(term.sum()) for name, term in scores.terms.items()}
    per_row |= {
        f"rollout/{finish}_fraction": float(rollout.finish.count(finish)) for finish in FINISHES
    }
    per_row["rollout/response_tokens"] = float(tokens)
    per_token = {
        "rollout/kept_mass": float(rollout.kept_mass[rollout.mask].sum()),
        "trial/sampled_entropy": -float(logprobs[rollout.mask].sum()),
    }
    if kl is not None:
        per_row["trial/kl_per_response"] = float(kl.sum())
        per_token["trial/kl"] = float(kl.sum())
    sums = [rows, tokens, *per_row.values(), *per_token.values()]
    device = rollout.mask.device
    counted = total(torch.tensor(sums, dtype=torch.float64, device=device)).tolist()
    num_rows, num_tokens, *sums = counted
    means = {name: value / num_rows for name, value in zip(per_row, sums, strict=False)}
    rest = zip(per_token, sums[len(per_row) :], strict=True)
    means |= {name: value / max(num_tokens, 1) for name, value in rest}
    variance = means.pop("squares") - means["reward/total"] ** 2
    return means | {"reward/std": max(variance, 0.0) ** 0.5}


def _squares(values: Tensor) -> float:
    return float(values.double().square().sum())


def round_samples(
    prompts: Sequence[str], rollout: Rollout, scores: Scores | None
) -> list[dict[str, Any]]:
    """Rows for samples.jsonl: every response with all that was said of it, if anything was."""
    said = [{} for _ in prompts] if scores is None else _said(scores)
    return [
        {
            "kind": "rollout",
            "prompt": prompt,
            "response": response,
            "finish": rollout.finish[index],
            "num_tokens": len(rollout.response_ids[index]),
            **said[index],
        }
        for index, (prompt, response) in enumerate(zip(prompts, rollout.responses, strict=True))
    ]


def _said(scores: Scores) -> list[dict[str, Any]]:
    """Of each response its scores, and the notes on it."""
    terms = {name: term.tolist() for name, term in scores.terms.items()}
    return [
        {
            "scores": {"total": total, **{name: values[index] for name, values in terms.items()}},
            "notes": None if scores.notes is None else scores.notes[index],
        }
        for index, total in enumerate(scores.scores.tolist())
    ]


def round_exposure(
    prompts: Sequence[str], rollout: Rollout, *, total: Callable[[Tensor], Tensor]
) -> dict[str, int]:
    """Words and tokens of prompts and responses, over all processes."""
    counts = {
        "prompt_words": sum(len(prompt.split()) for prompt in prompts),
        "prompt_tokens": sum(map(len, rollout.prompt_ids)),
        "generated_words": sum(len(response.split()) for response in rollout.responses),
        "generated_tokens": sum(map(len, rollout.response_ids)),
    }
    device = rollout.mask.device
    sums = total(torch.tensor(list(counts.values()), dtype=torch.long, device=device)).tolist()
    return dict(zip(counts, sums, strict=True))
