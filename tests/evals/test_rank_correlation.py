"""Intervals by resampling prompts: exact ranks, whole prompts, honest gaps (IRL-3)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr

from tutelage.evals.rank_correlation import (
    DRAWS,
    Resampling,
    correlations,
    less,
    mean,
    weighted_correlation,
    weighted_ranks,
)


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_ranks_and_correlations_of_draws_are_those_of_repeated_rows(data):
    """IRL-3: against scipy on rows that are written out."""
    n = data.draw(st.integers(2, 8))
    numbers = st.lists(st.integers(0, 3), min_size=n, max_size=n)
    one, two, times = (np.array(data.draw(numbers), dtype=float) for _ in range(3))
    if times.sum() < 2:
        times += 1
    weights = times[None]
    every = np.repeat(np.arange(n), times.astype(int))
    ranks = weighted_ranks(one, weights)[0]
    np.testing.assert_allclose(ranks[every], rankdata(one[every]))
    other = weighted_ranks(two, weights)
    found = weighted_correlation(ranks[None], other, weights)[0]
    if len(set(one[every])) < 2 or len(set(two[every])) < 2:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(spearmanr(one[every], two[every]).statistic, abs=1e-9)


def rows_of(prompts: int, each: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(prompts), each)
    metric = rng.normal(size=len(groups))
    return groups, metric, metric + rng.normal(size=len(groups))


def test_values_are_scipys_and_intervals_hold_them():
    """IRL-3: with the difference of two, drawn together."""
    groups, metric, good = rows_of(60, 2)
    bad = good + np.random.default_rng(9).normal(size=len(good)) * 3
    found = correlations({"good": good, "bad": bad}, metric, Resampling(groups, 0))
    assert found["good"].value == pytest.approx(spearmanr(good, metric).statistic)
    gap = found[less("good", "bad")]
    assert gap.value == pytest.approx(found["good"].value - found["bad"].value)
    for estimate in found.values():
        assert estimate.low < estimate.value < estimate.high
    assert gap.low > 0
    again = correlations({"good": good, "bad": bad}, metric, Resampling(groups, 0))
    assert again == found
    assert correlations({"good": good, "bad": bad}, metric, Resampling(groups, 1)) != found


def test_repeating_each_row_in_its_prompt_tells_nothing_new():
    """IRL-3: responses to one prompt are no independent rows."""
    groups, metric, good = rows_of(40, 1)
    once = correlations({"good": good}, metric, Resampling(groups, 0))["good"]
    four = [np.repeat(part, 4) for part in (groups, metric, good)]
    copied = correlations({"good": four[2]}, four[1], Resampling(four[0], 0))["good"]
    assert copied.value == pytest.approx(once.value)
    assert copied.high - copied.low == pytest.approx(once.high - once.low, rel=1e-6)


def test_intervals_are_about_those_of_normal_theory():
    """IRL-3: Bonett and Wright (2000) on independent rows."""
    from tutelage.evals.age_card import spearman_interval

    groups, metric, good = rows_of(300, 1, seed=4)
    found = correlations({"good": good}, metric, Resampling(groups, 0))["good"]
    theory = spearman_interval(found.value, 300)
    assert found.low == pytest.approx(theory["spearman_low"], abs=0.03)
    assert found.high == pytest.approx(theory["spearman_high"], abs=0.03)


def test_what_is_not_defined_is_none():
    """IRL-3: constant read-outs, few prompts; no warning, no NaN."""
    groups, metric, good = rows_of(12, 1)
    found = correlations({"good": good, "flat": np.ones(12)}, metric, Resampling(groups, 0))
    assert found["flat"] == found[less("good", "flat")] == (None, None, None)
    few = correlations({"good": good}, metric, Resampling([0] * 6 + [1] * 6, 0))["good"]
    assert few.value is not None
    assert (few.low, few.high) == (None, None)
    rare = np.zeros(12)
    rare[0] = 1  # a third of the draws lack the one row that differs
    one = correlations({"rare": rare}, metric, Resampling(groups, 0))["rare"]
    assert one.value is not None
    assert one.low is None


def test_draws_are_of_whole_prompts_and_do_not_depend_on_how_many_are_made_at_once(monkeypatch):
    """IRL-3."""
    from tutelage.evals import rank_correlation

    resampling = Resampling([0, 0, 1, 2, 1], 0)
    whole = np.concatenate(list(resampling.draws()))
    assert whole.shape == (DRAWS, 5)
    assert (whole[:, 0] == whole[:, 1]).all()
    assert (whole[:, 2] == whole[:, 4]).all()
    assert (whole[:, [0, 2, 3]].sum(axis=1) == 3).all()
    monkeypatch.setattr(rank_correlation, "NUMBERS_AT_ONCE", 35)
    parts = list(resampling.draws())
    assert len(parts[0]) == 7
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_the_interval_of_a_mean_is_about_students():
    """IRL-3."""
    values = np.random.default_rng(0).normal(size=100)
    found = mean(values, Resampling(range(100), 0))
    assert found.value == pytest.approx(values.mean())
    half = 1.96 * values.std(ddof=1) / 10
    assert found.low == pytest.approx(values.mean() - half, abs=0.03)
    assert found.high == pytest.approx(values.mean() + half, abs=0.03)
    assert mean(values[:5], Resampling(range(5), 0)).low is None
