"""What cards of reward and age models store beside their measures, as the reports read it."""

import math
from typing import Any, NamedTuple


class Rival(NamedTuple):
    """A baseline of a reward model, and how far the model is above it, with its interval."""

    name: str
    accuracy: float
    difference: float
    low: float
    high: float
    verdict: str


class Subset(NamedTuple):
    """Accuracies on the pairs of one subset: the model's, and those of the baselines."""

    name: str
    n: int
    accuracy: float
    baselines: dict[str, float]


class Bin(NamedTuple):
    """Pairs that a model is about equally sure of."""

    n: int
    confidence: float
    accuracy: float


class Margins(NamedTuple):
    """Counts of margins between edges; ties, and those beyond the edges, are in no bin."""

    edges: list[float]
    counts: list[int]
    ties: int
    below: int
    above: int


class WrongPair(NamedTuple):
    """A pair that a model decides wrongly, with its scores and lengths."""

    subset: str
    prompt: str
    chosen: str
    rejected: str
    margin: float
    chosen_score: float
    rejected_score: float
    chosen_tokens: int
    rejected_tokens: int


class PairCard(NamedTuple):
    """The content of evals/reward-card/<milestone>.json."""

    n: int
    accuracy: float
    ece: float
    rivals: list[Rival]
    subsets: list[Subset]
    margins: Margins
    bins: list[Bin]
    worst: list[WrongPair]


class AgeFit(NamedTuple):
    """How well ages are told, by the model or a baseline; NaN where it is not defined."""

    name: str
    mse: float
    r2: float
    spearman: float


class Ranks(NamedTuple):
    """Spearman's ρ over checkpoints, and the interval of that over texts; NaN if not defined."""

    spearman_checkpoints: float
    spearman_low: float
    spearman_high: float


class StepAges(NamedTuple):
    """What is predicted for the texts of one training step, in log2 steps."""

    step: int
    n: int
    mean: float
    low: float
    high: float


class MissedAge(NamedTuple):
    """A text whose age is missed by much."""

    text: str
    step: int
    true: float
    predicted: float
    characters: int


class AgeCard(NamedTuple):
    """The content of evals/age-card/<milestone>.json."""

    n: int
    ranks: Ranks
    verdicts: list[str]
    fits: list[AgeFit]
    by_step: list[StepAges]
    worst: list[MissedAge]


def card_of(eval_name: str, content: dict[str, Any]) -> PairCard | AgeCard | None:
    """The card in a stored result, if it is one of a reward or age model with more than measures.

    Raises ValueError, KeyError, TypeError or AttributeError if it does not have its form.
    """
    if "verdict" not in content:
        return None
    if eval_name == "reward-card":
        return _pair_card(content)
    return _age_card(content) if eval_name == "age-card" else None


def _pair_card(content: dict[str, Any]) -> PairCard:
    measures, margins = content["measures"], content["histogram"]
    found = PairCard(
        n=int(content["counts"]["accuracy"]),
        accuracy=float(measures["accuracy"]),
        ece=float(measures["ece"]),
        rivals=[_row(Rival, row) for row in content["baselines"]],
        subsets=[
            Subset(
                str(row["name"]),
                int(row["n"]),
                float(row["accuracy"]),
                {str(name): float(share) for name, share in row["baselines"].items()},
            )
            for row in content["subsets"]
        ],
        margins=Margins(
            [float(edge) for edge in margins["edges"]],
            [int(count) for count in margins["counts"]],
            *(int(margins[name]) for name in ("ties", "below", "above")),
        ),
        bins=[_row(Bin, row) for row in content["calibration"]],
        worst=[_row(WrongPair, row) for row in content["worst"]],
    )
    edges, counts = found.margins[:2]
    if len(edges) != len(counts) + bool(edges):
        raise ValueError("the edges and counts of its histogram don't fit")
    shares = [
        found.accuracy,
        *(row.accuracy for row in (*found.rivals, *found.subsets, *found.bins)),
    ]
    shares += [share for subset in found.subsets for share in subset.baselines.values()]
    if found.n < 1 or not all(0 <= share <= 1 for share in shares):
        raise ValueError("an accuracy is not between 0 and 1, or of no pairs")
    return found


def _age_card(content: dict[str, Any]) -> AgeCard:
    measures = content["measures"]
    rows = [{"name": "model", **measures}, *content["baselines"]]
    return AgeCard(
        n=int(measures["texts"]),
        ranks=_row(Ranks, {**dict.fromkeys(Ranks._fields), **measures}),
        verdicts=[str(row["verdict"]) for row in content["baselines"]],
        fits=[_row(AgeFit, {"r2": None, "spearman": None, **row}) for row in rows],
        by_step=[_row(StepAges, row) for row in content["by_step"]],
        worst=[_row(MissedAge, row) for row in content["worst"]],
    )


def _row(kind: Any, row: dict[str, Any]) -> Any:
    """A named tuple from the fields of that name, each of its type; null is NaN."""
    fields = kind.__annotations__
    return kind(*(_typed(row[name], of) for name, of in fields.items()))


def _typed(value: Any, kind: type) -> Any:
    return math.nan if value is None and kind is float else kind(value)
