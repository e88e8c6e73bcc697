"""Baselines that tell ages without a model (TND-4)."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tutelage.evals.age_baselines import age_baselines, bag_of_words_ages, length_ages


def test_the_mean_is_that_of_the_training_texts_in_log2_steps():
    """TND-4: of steps 2, 8 and 32 it is 3."""
    found = age_baselines(["a", "bb", "c d"], [2, 8, 32], ["new", ""])
    assert list(found) == ["length", "bag_of_words", "train_mean"]
    assert found["train_mean"] == pytest.approx([3.0, 3.0])
    assert {len(ages) for ages in found.values()} == {2}


@given(st.lists(st.tuples(st.text(max_size=40), st.floats(0, 15)), min_size=2, max_size=30))
@example([(10 * "0", 0.0), (10 * "0", 0.0), (10 * "0", 1.0)])
def test_length_is_a_straight_line_through_the_training_texts(rows):
    """TND-4: least squares by NumPy, if there are two lengths; else the mean."""
    texts, ages = zip(*rows, strict=True)
    x = np.log2([1 + len(text) for text in texts])
    found = length_ages(texts, ages, ["", "abc"])
    if len(set(x)) > 1:
        slope, level = np.polyfit(x, ages, 1)
        assert found == pytest.approx([level, level + slope * 2], abs=1e-6)
    else:
        assert found == pytest.approx([sum(ages) / len(ages)] * 2)


def test_words_are_weighed_as_ridge_regression_defines():
    """TND-4: (XᵀX + I)w = Xᵀ(y − ȳ) with centred columns, X tf-idf rows of length 1."""
    rng = np.random.default_rng(0)
    words = ["ball", "dog", "red", "run"]
    texts = [" ".join(rng.choice(words, 5)) for _ in range(30)]
    ages = [3.0 + 2 * text.count("dog") - text.count("red") for text in texts]
    counts = np.array([[text.split().count(word) for word in words] for text in texts])
    idf = 1 + np.log((1 + len(texts)) / (1 + (counts > 0).sum(0)))
    x = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0) * idf
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    centred = x - x.mean(0)
    weights = np.linalg.solve(centred.T @ centred + np.eye(4), centred.T @ (ages - np.mean(ages)))
    expected = np.mean(ages) + centred @ weights
    assert bag_of_words_ages(texts, ages, texts) == pytest.approx(expected.tolist(), abs=1e-4)


def test_texts_without_words_have_the_mean_age():
    """X-3."""
    assert bag_of_words_ages([" ", ""], [1.0, 4.0], ["dog", ""]) == [2.5, 2.5]
    (one,) = bag_of_words_ages(["only one"], [math.pi], ["dog"])
    assert one == pytest.approx(math.pi)
