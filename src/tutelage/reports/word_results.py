"""What the suites surprisal and acquisition stored of single words, as the reports read it."""

from typing import Any, NamedTuple

DEFINITIONS = ("tnd", "chang_bergen", "babylm_2025")


class Age(NamedTuple):
    """A word's age under one definition (log10 of an amount of training), or why it has none."""

    age: float | None
    reason: str
    fitted: list[float]
    """Heights of the fitted curve, in bits, at each step but 0; empty without a fit."""


class WordAges(NamedTuple):
    """The content of evals/acquisition/all.json."""

    steps: list[int]
    words: dict[str, dict[str, Age]]
    """Of each word, its age under each definition."""
    vocabulary: list[int]
    """The words that are known at each step."""
    units: dict[str, str]
    """What each definition's ages count: steps or words."""
    correlations: list[dict[str, Any]]

    def under(self, definition: str) -> dict[str, float]:
        """The words that have an age under a definition, and the age."""
        found = {word: ages[definition].age for word, ages in self.words.items()}
        return {word: age for word, age in found.items() if age is not None}

    def reasons(self, definition: str) -> dict[str, int]:
        """Why words have no age under a definition, and how many; the most frequent one first."""
        given = [ages[definition] for ages in self.words.values()]
        counts: dict[str, int] = {}
        for age in given:
            if age.age is None:
                counts[age.reason] = counts.get(age.reason, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def word_surprisals(content: dict[str, Any]) -> dict[str, float]:
    """Mean surprisal of each word, in bits, from a result of the suite surprisal.

    Raises ValueError, KeyError, TypeError or AttributeError if it does not have its form.
    """
    rows = content.get("word_surprisals") or ()
    return {str(r["word"]): float(r["surprisal"]) for r in rows if r["surprisal"] is not None}


def word_ages(content: dict[str, Any]) -> WordAges | None:
    """The ages in a result of the suite acquisition; None if it holds measures alone.

    Raises ValueError, KeyError, TypeError or AttributeError if it does not have its form.
    """
    if "words" not in content or "effective_vocabulary" not in content:
        return None
    words = {
        str(word): {definition: _age(row[definition]) for definition in DEFINITIONS}
        for word, row in content["words"].items()
    }
    steps = [int(step) for step in content["steps"]]
    vocabulary = [int(count) for count in content["effective_vocabulary"]]
    if len(steps) != len(vocabulary):
        raise ValueError("steps and effective_vocabulary differ in length")
    units = {str(definition): str(unit) for definition, unit in content["units"].items()}
    return WordAges(steps, words, vocabulary, units, [dict(c) for c in content["correlations"]])


def _age(row: dict[str, Any]) -> Age:
    fitted = [float(height) for height in row.get("fitted", ())]
    if "age" in row:
        return Age(float(row["age"]), "", fitted)
    return Age(None, str(row["reason"]), fitted)
