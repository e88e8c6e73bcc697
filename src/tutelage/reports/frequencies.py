"""How often words occur in trials and demonstrations, beside what a student knows of them (TND-6).

RUN/frequencies/<milestone>.csv counts each token in the corpus, the trials and the demonstrations
up to a milestone. Words of several tokens have no count.
"""

import csv
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tutelage.config import UserError

SOURCES: tuple[str, ...] = ("trials", "demonstrations", "corpus")
SPACES = ("Ġ", "▁", " ")
"""How tokenizers write the blank that a token begins with."""


class Frequencies(NamedTuple):
    """Counts of the words whose surprisal is known at the same milestone."""

    milestone: str
    bits: np.ndarray
    counts: dict[str, np.ndarray]
    num_words: int
    """Words with a surprisal, with or without a count."""


class RankCorrelation(NamedTuple):
    """Spearman's, with its p; `given` is that of what the corpus' frequency leaves of both."""

    n: int
    rho: float
    p: float
    given: float | None
    given_p: float | None


def read_frequencies(folder: Path, milestone: str, bits: dict[str, float]) -> Frequencies | None:
    """The counts stored for a milestone, of the words that have a surprisal there."""
    path = folder / f"{milestone}.csv"
    if not path.is_file() or not bits:
        return None
    by_token: dict[str, list[int]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            for row in csv.DictReader(handle):
                by_token[row["token"]] = [int(row[source]) for source in SOURCES]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} cannot be read: it lacks a token or a count ({error}). Mend or restore it."
        ) from error
    found = {word: token for word in bits if (token := _token(word, by_token)) is not None}
    counts = np.array([by_token[token] for token in found.values()], dtype=float)
    columns = dict(zip(SOURCES, counts.reshape(-1, len(SOURCES)).T, strict=True))
    return Frequencies(milestone, np.array([bits[word] for word in found]), columns, len(bits))


def correlation(found: Frequencies, source: str) -> RankCorrelation | None:
    """How the frequency in a source goes with surprisal; None if one of them does not vary."""
    from scipy.stats import spearmanr, t

    counts, n = found.counts[source], len(found.bits)
    if n < 4 or np.ptp(counts) == 0 or np.ptp(found.bits) == 0:
        return None
    result = spearmanr(counts, found.bits)
    rho, p = (float(value) for value in result)  # pyright: ignore[reportArgumentType]
    corpus = found.counts["corpus"]
    if source == "corpus" or np.ptp(corpus) == 0:
        return RankCorrelation(n, rho, p, None, None)
    with_count, with_bits = (
        float(spearmanr(corpus, other)[0])  # pyright: ignore[reportArgumentType]
        for other in (counts, found.bits)
    )
    rest = (1 - with_count**2) * (1 - with_bits**2)
    if rest < 1e-12:
        return RankCorrelation(n, rho, p, None, None)
    given = max(-1.0, min(1.0, (rho - with_count * with_bits) / math.sqrt(rest)))
    size = abs(given) * math.sqrt((n - 3) / max(1 - given**2, 1e-12))
    return RankCorrelation(n, rho, p, given, 2 * float(t.sf(size, n - 3)))


def _token(word: str, by_token: dict[str, list[int]]) -> str | None:
    """The token that is a word: with the blank before it, or else without."""
    return next((start + word for start in (*SPACES, "") if start + word in by_token), None)
