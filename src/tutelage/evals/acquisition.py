"""Which words a student acquires when, from its surprisal at all milestones (EV-4, TND-6)."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from tutelage.config import UserError
from tutelage.evals.naoa import (
    FRACTIONS,
    Array,
    Refusal,
    babylm_2025_age,
    chang_bergen_age,
    fit_double_sigmoid,
    fit_sigmoid,
    mean_naoa,
    naoa,
)

VERSION = 1
DEFINITIONS = ("tnd", "chang_bergen", "babylm_2025")
Unit = Literal["steps", "words"]


class Acquisition(NamedTuple):
    """Ages of all words, how many words are known when, and how the ages go with people's."""

    steps: list[int]
    """Those of the milestones; or the words read by then, if steps are not known."""
    vocab_size: int
    words: dict[str, dict[str, Any]]
    """Of each word: its category, curve (`surprisal`, in bits, at each step) and for each
    definition its `age` and `parameters`, or the `reason` why it has none."""
    effective_vocabulary: list[int]
    """At each step, the words whose nAoA at 0.5 is past."""
    correlations: list[dict[str, Any]]
    units: dict[str, Unit]
    """What the ages under each definition count, before the logarithm: steps or words."""

    def measures(self) -> dict[str, float]:
        """Mean age and number of words under each definition, and the vocabulary at the end."""
        found: dict[str, float] = {}
        for definition in DEFINITIONS:
            ages = list(self.ages(definition).values())
            if ages:
                found[definition] = math.fsum(ages) / len(ages)
            if len(ages) > 1:
                error = float(np.std(ages, ddof=1)) / math.sqrt(len(ages))
                found[f"{definition}_standard_error"] = error
            found[f"{definition}_words"] = len(ages)
        averages = [word["tnd"]["average"] for word in self.words.values() if "age" in word["tnd"]]
        if averages:
            found["tnd_average"] = math.fsum(averages) / len(averages)
        found["effective_vocabulary"] = self.effective_vocabulary[-1]
        found["words"] = len(self.words)
        return found

    def ages(self, definition: str) -> dict[str, float]:
        """The words that have an age under a definition, and the age."""
        rows = {name: word[definition] for name, word in self.words.items()}
        return {name: row["age"] for name, row in rows.items() if "age" in row}

    def result(self) -> dict[str, Any]:
        """Everything as JSON."""
        return {"version": VERSION, "measures": self.measures(), **self._asdict()}


def acquisition(
    results: Sequence[tuple[int, Mapping[str, Any]]],
    *,
    human: Mapping[str, Mapping[str, float]] | None = None,
    unit: Unit = "steps",
) -> Acquisition:
    """Ages of acquisition of all words under all three definitions.

    Args:
        results: Training step and stored result of the suite `surprisal`, of each milestone. Where
            all of them say how many words were read (`words`), `babylm_2025` counts in these.
        human: Ages at which people acquire words, by the name of their source.
        unit: What stands in the place of steps, if those are not known.
    """
    if not results:
        raise UserError(
            "There is no milestone with word surprisals, so no word has an age. "
            "Run `tutelage eval RUN --suite surprisal` on a run with milestones first."
        )
    results = sorted(results, key=lambda result: result[0])
    for step, result in results:
        if "word_surprisals" not in result or "vocab_size" not in result:
            raise UserError(f"The result of step {step} is not one of the suite surprisal.")
    vocab_sizes = {result["vocab_size"] for _, result in results}
    if len(vocab_sizes) > 1:
        sizes = " and ".join(map(str, sorted(vocab_sizes)))
        raise UserError(
            f"The milestones have vocabularies of {sizes} tokens, so their surprisals can't be "
            "compared. Give milestones of one run."
        )
    curves = _curves([result for _, result in results])
    steps = [step for step, _ in results]
    has_words = all("words" in result for _, result in results)
    amounts = [result["words"] if has_words else step for step, result in results]
    chance = math.log2(vocab_sizes.pop())
    words = {name: _word(curve, steps, amounts, chance) for name, curve in curves.items()}
    ages = [word["tnd"]["age"] for word in words.values() if "age" in word["tnd"]]
    vocabulary = [sum(step > 0 and 10**age <= step for age in ages) for step in steps]
    units: dict[str, Unit] = dict.fromkeys(DEFINITIONS, unit)
    if has_words:
        units["babylm_2025"] = "words"
    found = Acquisition(steps, results[0][1]["vocab_size"], words, vocabulary, [], units)
    for source, known in (human or {}).items():
        for definition in DEFINITIONS:
            row = correlate(found.ages(definition), known)
            found.correlations.append({"human": source, "definition": definition, **row})
    return found


def correlate(ages: Mapping[str, float], human: Mapping[str, float]) -> dict[str, Any]:
    """Pearson's and Spearman's correlation over the words that both have, with n and p."""
    from scipy.stats import pearsonr, spearmanr

    shared = [word for word in ages if word in human]
    one, two = [ages[word] for word in shared], [human[word] for word in shared]
    if len(shared) < 3 or len(set(one)) == 1 or len(set(two)) == 1:
        return {"n": len(shared), "reason": "fewer than three words with different ages"}
    linear, ranks = pearsonr(one, two), spearmanr(one, two)
    return {
        "n": len(shared),
        "pearson": float(linear.statistic),  # pyright: ignore[reportAttributeAccessIssue]
        "pearson_p": float(linear.pvalue),  # pyright: ignore[reportAttributeAccessIssue]
        "spearman": float(ranks.statistic),  # pyright: ignore[reportAttributeAccessIssue]
        "spearman_p": float(ranks.pvalue),  # pyright: ignore[reportAttributeAccessIssue]
    }


class _Curve(NamedTuple):
    category: str
    means: list[float | None]
    contexts: list[list[float]]


def _curves(results: Sequence[Mapping[str, Any]]) -> dict[str, _Curve]:
    """Each word's mean and single surprisals at every milestone, none where it was not measured."""
    curves: dict[str, _Curve] = {}
    for index, result in enumerate(results):
        for row in result["word_surprisals"]:
            empty = _Curve(row["category"], [None] * len(results), [[] for _ in results])
            curve = curves.setdefault(row["word"], empty)
            curve.means[index] = row["surprisal"]
            curve.contexts[index] = row["surprisals"]
    return curves


def _word(
    curve: _Curve, steps: Sequence[int], amounts: Sequence[int], chance: float
) -> dict[str, Any]:
    trained = [index for index, step in enumerate(steps) if step > 0]  # log10(0) has no place
    x = np.log10(np.array([steps[index] for index in trained], dtype=float))
    heights = [curve.means[index] for index in trained]
    y = np.array([math.nan if height is None else height for height in heights], dtype=float)
    pairs = zip(amounts, curve.contexts, strict=True)
    singles = [(amount, bits) for amount, contexts in pairs for bits in contexts]
    amount, bits = np.array(singles, dtype=float).reshape(-1, 2).T
    babylm = babylm_2025_age(amount, bits * math.log(2))
    return {
        "category": curve.category,
        "surprisal": curve.means,
        "tnd": _tnd(x, y),
        "chang_bergen": _chang_bergen(x, y, chance),
        "babylm_2025": babylm._asdict() if isinstance(babylm, Refusal) else {"age": babylm},
    }


def _tnd(x: Array, y: Array) -> dict[str, Any]:
    fit = fit_double_sigmoid(x, y)
    if isinstance(fit, Refusal):
        return fit._asdict()
    return {
        "age": naoa(fit, 0.5),
        "average": mean_naoa(fit),
        "ages": {f"{fraction:.2f}": naoa(fit, fraction) for fraction in FRACTIONS},
        "parameters": fit._asdict(),
        "fitted": [float(height) for height in fit(x)],
    }


def _chang_bergen(x: Array, y: Array, chance: float) -> dict[str, Any]:
    fit = fit_sigmoid(x, y)
    if isinstance(fit, Refusal):
        return fit._asdict()
    known = np.isfinite(y)
    age = chang_bergen_age(
        fit,
        minimum=float(y[known].min()),
        chance=chance,
        first=float(x[known][0]),
        last=float(x[known][-1]),
    )
    row = age._asdict() if isinstance(age, Refusal) else {"age": age}
    return {**row, "parameters": fit._asdict(), "fitted": [float(height) for height in fit(x)]}
