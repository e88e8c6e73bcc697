"""What no age model should lose to: the mean, length alone, and words without their order.

All are fitted on the training texts and predict log2 of the training step of the writer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tutelage.evals.pair_baselines import MAX_WORDS, TOKENS

PENALTY = 1.0
"""Strength of the L2 penalty of the ridge regression."""


def age_baselines(
    train: Sequence[str], steps: Sequence[int], test: Sequence[str]
) -> dict[str, list[float]]:
    """The predictions of each baseline for the test texts, by its name.

    Args:
        train: Texts to fit on.
        steps: The training step of the writer of each, 1 or more.
        test: Texts to predict.
    """
    ages = [math.log2(step) for step in steps]
    mean = math.fsum(ages) / len(ages)
    return {
        "length": length_ages(train, ages, test),
        "bag_of_words": bag_of_words_ages(train, ages, test),
        "train_mean": [mean] * len(test),
    }


def length_ages(train: Sequence[str], ages: Sequence[float], test: Sequence[str]) -> list[float]:
    """Least squares on log2(1 + characters) of a text; the mean if all texts are as long."""
    from sklearn.linear_model import LinearRegression

    def sizes(texts: Sequence[str]) -> list[list[float]]:
        return [[math.log2(1 + len(text))] for text in texts]

    if len(set(map(len, train))) == 1:  # rounding would make a slope of nothing
        return [math.fsum(ages) / len(ages)] * len(test)
    return LinearRegression().fit(sizes(train), ages).predict(sizes(test)).tolist()


def bag_of_words_ages(
    train: Sequence[str], ages: Sequence[float], test: Sequence[str]
) -> list[float]:
    """Ridge regression on which words a text has, as tf-idf of unit length.

    Repetitions count by their logarithm; the 20,000 most frequent words are used.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import Ridge

    weights = TfidfVectorizer(token_pattern=TOKENS, max_features=MAX_WORDS, sublinear_tf=True)
    try:
        rows = weights.fit_transform(train)
    except ValueError:  # no text has a word
        return [math.fsum(ages) / len(ages)] * len(test)
    model = Ridge(alpha=PENALTY, solver="sparse_cg", tol=1e-6)
    return model.fit(rows, ages).predict(weights.transform(test)).tolist()
