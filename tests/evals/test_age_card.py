"""The card of an age model (TND-4)."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import mean_squared_error, r2_score

from tutelage.config import UserError
from tutelage.evals.age_card import age_card, fit, spearman_interval

texts_of = st.lists(
    st.tuples(st.sampled_from([1, 2, 10, 300]), st.floats(-5, 20).map(lambda x: round(x, 2))),
    min_size=1,
    max_size=60,
)


def card(steps, predicted, **baselines):
    texts = [f"text {i}" for i in range(len(steps))]
    return age_card(steps, predicted, texts, baselines or {"length": [0.0] * len(steps)})


def test_a_small_card_by_hand():
    """TND-4: two texts of step 4 (log2 is 2), two of step 8 (log2 is 3)."""
    found = card([8, 4, 4, 8], [3.0, 2.0, 1.0, 5.0], length=[2.5] * 4, train_mean=[2.0] * 4)
    measures = found["measures"]
    assert measures["mse"] == (0 + 0 + 1 + 4) / 4
    assert measures["r2"] == 1 - 5 / 1
    # Ranks of the truth 3.5 1.5 1.5 3.5, of predictions 3 2 1 4.
    rank = np.corrcoef([3.5, 1.5, 1.5, 3.5], [3, 2, 1, 4])[0, 1]
    assert measures["spearman"] == pytest.approx(rank)
    assert measures["spearman_checkpoints"] == pytest.approx(1.0)
    assert (measures["texts"], measures["checkpoints"]) == (4, 2)
    assert measures["mse_length"] == 0.25
    assert measures["mse_train_mean"] == 0.5
    assert found["by_step"] == [
        {"step": 4, "n": 2, "mean": 1.5, "low": pytest.approx(1.1), "high": pytest.approx(1.9)},
        {"step": 8, "n": 2, "mean": 4.0, "low": pytest.approx(3.2), "high": pytest.approx(4.8)},
    ]
    assert [row["number"] for row in found["worst"]] == [3, 2, 0, 1]
    assert found["worst"][0] == {
        "number": 3, "text": "text 3", "step": 8, "true": 3.0, "predicted": 5.0, "characters": 6,
    }  # fmt: skip
    assert next(iter(measures)) == "mse"
    json.dumps(found, allow_nan=False)


@given(texts_of)
def test_measures_are_those_of_scikit_learn_and_scipy(rows):
    """TND-4: and left out where they are not defined."""
    steps, predicted = zip(*rows, strict=True)
    true = np.log2(steps)
    found = fit(true, np.array(predicted))
    assert found["mse"] == pytest.approx(mean_squared_error(true, predicted))
    if len(set(steps)) > 1:
        assert found["r2"] == pytest.approx(r2_score(true, predicted))
    if len(set(steps)) > 1 and len(set(predicted)) > 1:
        assert found["spearman"] == pytest.approx(spearmanr(true, predicted).statistic)
    assert ("r2" in found) == (len(set(steps)) > 1)


@given(texts_of)
def test_steps_hold_every_text_once_and_their_quantiles_hold_the_middle(rows):
    """TND-4."""
    steps, predicted = zip(*rows, strict=True)
    found = card(steps, predicted)["by_step"]
    assert [row["step"] for row in found] == sorted(set(steps))
    assert sum(row["n"] for row in found) == len(rows)
    for row in found:
        own = [p for s, p in rows if s == row["step"]]
        assert row["mean"] == pytest.approx(sum(own) / len(own))
        assert (row["low"], row["high"]) == pytest.approx(tuple(np.quantile(own, (0.1, 0.9))))


def test_the_interval_of_spearman_is_the_one_by_hand():
    """TND-4: ρ = 0.5, n = 28: atanh ½ = 0.5493 ± 1.96 √(1.125/25) = 0.4158."""
    found = spearman_interval(0.5, 28)
    assert found["spearman_low"] == pytest.approx(math.tanh(0.5493 - 0.4158), abs=1e-4)
    assert found["spearman_high"] == pytest.approx(math.tanh(0.5493 + 0.4158), abs=1e-4)
    assert (
        spearman_interval(0.5, 3) == spearman_interval(1.0, 9) == spearman_interval(None, 9) == {}
    )


def test_the_interval_of_spearman_holds_the_truth_about_as_often_as_it_says():
    """TND-4: pairs of normal numbers, r = 0.6, whose ρ is 6/π asin(r/2)."""
    rng, truth, hits = np.random.default_rng(1), 6 / math.pi * math.asin(0.3), 0
    for _ in range(400):
        one, noise = rng.normal(size=(2, 60))
        found = fit(one, 0.6 * one + 0.8 * noise)
        bounds = spearman_interval(found["spearman"], 60)
        hits += bounds["spearman_low"] <= truth <= bounds["spearman_high"]
    assert 0.92 < hits / 400 < 0.98


@pytest.mark.parametrize(
    ("noise", "length_noise", "sentence"),
    [
        (0.1, 1.0, "Beats length: a mean squared error of 0.0"),
        (1.0, 0.1, "Does not beat length, but is worse: a mean squared error of"),
        (1.0, 1.0, "Does not beat length: the difference may be chance (a mean squared error of"),
    ],
)
def test_the_verdict_says_whether_the_model_beats_length(noise, length_noise, sentence):
    """TND-4."""
    rng = np.random.default_rng(0)
    steps = [2**k for k in range(10)] * 20
    true = np.log2(steps)
    model, length = (true + rng.normal(size=200) * size for size in (noise, length_noise))
    found = card(steps, model.tolist(), length=length.tolist())
    assert found["verdict"].startswith(sentence)
    (row,) = found["baselines"]
    gains = (true - length) ** 2 - (true - model) ** 2
    from scipy.stats import ttest_1samp

    expected = ttest_1samp(gains, 0).confidence_interval(0.95)
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high))
    assert row["gain"] == pytest.approx(gains.mean())


def test_one_text_makes_a_card():
    """X-3: with nothing that takes two."""
    found = card([8], [2.0])
    assert found["measures"] == {"mse": 1.0, "texts": 1, "checkpoints": 1, "mse_length": 9.0}
    assert found["verdict"].startswith("Does not beat length: one text shows nothing")


def test_equal_predictions_have_no_correlation():
    """X-3: no NaN, no warning."""
    measures = card([1, 2, 4, 8], [1.0] * 4)["measures"]
    assert not {"spearman", "spearman_low", "spearman_checkpoints"} & measures.keys()


def test_long_texts_are_cut_and_ten_are_shown():
    """TND-4."""
    found = age_card([2] * 12, [*range(12)], ["x" * 601] * 12, {"length": [1.0] * 12})
    assert [row["number"] for row in found["worst"]] == [11, 10, 9, 8, 7, 6, 5, 4, 3, 0]
    assert found["worst"][0]["text"] == "x" * 599 + "…"
    assert found["worst"][0]["characters"] == 601


def test_what_can_not_be_judged_is_refused():
    """RM-7."""
    with pytest.raises(UserError, match="There are no test texts"):
        card([], [])
    with pytest.raises(UserError, match="is of step 0, and log2 of that is not defined"):
        card([0, 1], [0.0, 0.0])
    with pytest.raises(UserError, match="no finite age of 1 of 2 test texts"):
        card([1, 1], [math.nan, 0.0])
