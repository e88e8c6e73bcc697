"""Baselines that decide pairs without a model (R11)."""

import re
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutelage.evals.pair_baselines import bag_of_words_margins, length_margins, pair_baselines

lengths = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=30)


def pair(chosen, rejected):
    return SimpleNamespace(prompt="p", chosen=chosen, rejected=rejected, subset="")


@given(lengths, lengths)
def test_length_decides_as_most_training_pairs_do(train, test):
    """R11: no threshold, one direction."""
    found = length_margins(train, test)
    direction = np.sign([a - b for a, b in train]).sum()
    expected = [a - b if direction >= 0 else b - a for a, b in test]
    assert found == expected


def test_words_decide_what_words_can():
    """R11: 'thanks' is preferred whatever stands beside it, in either case."""
    train = [pair(f"Thanks for the {w}!", f"No {w} for you.") for w in "abcdefgh"]
    test = [pair("many thanks", "no"), pair("no , no", "thanks !"), pair("same", "same")]
    margins = bag_of_words_margins(train, test)
    assert margins[0] > 0 > margins[1]
    assert margins[2] == 0


def test_words_are_weighed_as_logistic_regression_defines():
    """R11: the gradient of Σ log(1 + exp(−w·x)) + |w|²/(2C) is 0 at the fitted weights, C = 0.1."""
    rng = np.random.default_rng(0)
    words = ["go", "stop", "now", "then", "here"]
    texts = [" ".join(rng.choice(words, 6)) for _ in range(80)]
    train = [pair(a, b) for a, b in zip(texts[::2], texts[1::2], strict=True)]
    # A margin is linear in the words, so single words show the weights.
    weights = np.array(bag_of_words_margins(train, [pair(w, "") for w in words])) / np.log(2)

    def counts(text):
        found = Counter(re.findall(r"\w+", text))
        return np.log1p([found[word] for word in words])

    x = np.array([counts(p.chosen) - counts(p.rejected) for p in train])
    gradient = weights / 0.1 - x.T @ (1 / (1 + np.exp(x @ weights)))
    assert np.abs(weights).max() > 0.05
    assert gradient == pytest.approx(np.zeros(5), abs=2e-3)


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), min_size=1, max_size=12))
def test_any_texts_are_decided(pairs):
    """X-3: empty ones, a single one, marks, letters of any script."""
    some = [pair(a, b) for a, b in pairs]
    margins = bag_of_words_margins(some, some)
    turned = bag_of_words_margins(some, [pair(b, a) for a, b in pairs])
    assert np.isfinite(margins).all()
    assert margins == pytest.approx([-m for m in turned])


def test_without_words_nothing_is_decided():
    """X-3."""
    blank = [pair(" ", ""), pair("\n", " ")]
    assert bag_of_words_margins(blank, blank) == [0.0, 0.0]


def test_both_baselines_have_their_names():
    """R11: the names that cards know."""
    train = [pair("a b", "c")]
    found = pair_baselines(train, [pair("c", "a")], [(2, 1)], [(1, 1)])
    assert list(found) == ["length", "bag_of_words"]
    assert found["length"] == [0]
    assert found["bag_of_words"][0] < 0
