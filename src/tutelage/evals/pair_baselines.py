"""What no reward model should lose to: length alone, and words without their order (R11).

Both are fitted on the training pairs of the same split. They give margins, as a reward model does:
the score of the chosen response less that of the rejected one.
"""

from __future__ import annotations

from collections.abc import Sequence

from tutelage.evals.pair_card import PairTexts

TOKENS = r"\w+|[^\w\s]"
"""A word, or one mark."""
MAX_WORDS = 20_000
PENALTY = 0.1
"""Inverse strength of the L2 penalty, for summed losses."""


def pair_baselines(
    train: Sequence[PairTexts],
    test: Sequence[PairTexts],
    train_lengths: Sequence[tuple[int, int]],
    test_lengths: Sequence[tuple[int, int]],
) -> dict[str, list[float]]:
    """The margins of each baseline on the test pairs, by its name.

    Args:
        train: Pairs to fit on.
        test: Pairs to decide.
        train_lengths: Tokens of each chosen and rejected response.
        test_lengths: The same of the test pairs.
    """
    return {
        "length": length_margins(train_lengths, test_lengths),
        "bag_of_words": bag_of_words_margins(train, test),
    }


def length_margins(
    train: Sequence[tuple[int, int]], test: Sequence[tuple[int, int]]
) -> list[float]:
    """How much longer chosen responses are; shorter, if the training pairs prefer those."""
    longer = sum((chosen > rejected) - (chosen < rejected) for chosen, rejected in train)
    sign = -1.0 if longer < 0 else 1.0
    return [sign * (chosen - rejected) for chosen, rejected in test]


def bag_of_words_margins(train: Sequence[PairTexts], test: Sequence[PairTexts]) -> list[float]:
    """Logistic regression on which words a response has, chosen less rejected, without intercept.

    A word counts as the logarithm of 1 + how often it is there; the 20,000 most frequent are used.
    """
    import numpy as np
    from scipy.sparse import csr_matrix, vstack
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    responses = [text for pair in train for text in (pair.chosen, pair.rejected)]
    counter = CountVectorizer(token_pattern=TOKENS, max_features=MAX_WORDS)
    try:
        counter.fit(responses)
    except ValueError:  # no response has a word
        return [0.0] * len(test)

    def differences(pairs: Sequence[PairTexts]) -> csr_matrix:
        sides = ([pair.chosen for pair in pairs], [pair.rejected for pair in pairs])
        chosen, rejected = (csr_matrix(counter.transform(side)) for side in sides)
        return chosen.log1p() - rejected.log1p()  # pyright: ignore[reportAttributeAccessIssue]

    rows = differences(train)
    # Each pair is seen both ways round, as a classifier wants two classes; so half the weight.
    labels = np.repeat([1, 0], len(train))
    model = LogisticRegression(C=PENALTY / 2, fit_intercept=False, max_iter=1000)
    model.fit(vstack([rows, -rows]), labels)
    return model.decision_function(differences(test)).tolist()
