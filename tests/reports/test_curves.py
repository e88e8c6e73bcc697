import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutelage.reports.curves import (
    eval_curves,
    is_log_spaced,
    training_curves,
)
from tutelage.reports.runs import read_run
from tutelage.reports.thinning import smoothed, thinned


def run_with(tmp_path, rows):
    (tmp_path / "config.yaml").write_text("recipe: pretrain\n")
    return read_run(tmp_path)._replace(metrics=rows)


@pytest.mark.parametrize("count", [1, 2, 99, 100, 350])
def test_smoothing_is_a_moving_mean_taken_twice(count):
    """X-2."""

    def once(values):
        means = []
        for i in range(count):
            half = min(count // 100, i)
            means.append(values[i - half : i + half + 1].mean())
        return np.array(means)

    values = np.random.default_rng(0).normal(size=count)
    np.testing.assert_allclose(smoothed(values), once(once(values)), rtol=0, atol=1e-12)


def test_smoothing_keeps_a_line_up_to_its_end():
    """X-2."""
    line = np.linspace(3, 9, 1000)
    np.testing.assert_allclose(smoothed(line)[:-20], line[:-20], rtol=1e-12)


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300),
    st.integers(1, 40),
)
def test_thinning_keeps_every_extreme_of_every_stretch(values, num_bins):
    """X-2."""
    y, x = np.array(values), np.arange(len(values), dtype=float) ** 1.5
    kept = thinned(x, y, num_bins)
    assert kept[0] == 0
    assert kept[-1] == len(x) - 1
    assert (np.diff(kept) > 0).all()
    assert len(kept) <= 2 * num_bins + 2
    if len(x) > 2 * num_bins:
        bins = (x / x[-1] * num_bins).astype(int)
        for one in set(bins):
            stretch = y[bins == one]
            drawn = y[kept][bins[kept] == one]
            assert (drawn.min(), drawn.max()) == (stretch.min(), stretch.max())


@pytest.mark.parametrize(
    ("steps", "is_log"),
    [
        ([1, 3, 10, 30, 100, 300, 1000], True),
        ([*range(1, 10), *range(10, 100, 10), *range(100, 1001, 100)], True),
        ([100 * i for i in range(1, 21)], False),
        ([10, 100, 1000], False),  # three points show no rule
        ([100, 130, 170, 220], False),  # within a factor of ten nothing is gained
        ([0, 1, 10, 100, 1000], True),  # zero has no logarithm and does not count
        ([], False),
    ],
)
def test_milestones_are_seen_to_be_log_spaced(steps, is_log):
    """TND-6."""
    assert is_log_spaced(steps) is is_log


def test_every_number_logged_becomes_a_curve(tmp_path):
    """X-2."""
    rows = [
        {"step": 1, "round": 1, "lesson": "trial", "trial/loss": 2, "epoch": 0.5, "flag": True},
        {"step": 2, "round": 2, "lesson": "trial", "trial/loss": 1, "eval/p/q": 3},
    ]
    curves = training_curves([run_with(tmp_path, rows)])
    assert list(curves) == ["trial/loss", "epoch"]
    assert curves["trial/loss"][0].steps.tolist() == [1, 2]
    assert curves["trial/loss"][0].values.tolist() == [2, 1]


def test_lessons_come_first_with_their_loss_and_machinery_last(tmp_path):
    """X-2."""
    keys = [
        "time/x", "budget/read_words", "optim/lr", "reward/total", "trial/clip", "trial/loss",
        "demonstration/accuracy", "demonstration/loss",
    ]  # fmt: skip
    curves = training_curves([run_with(tmp_path, [{"step": 1, **dict.fromkeys(keys, 1.0)}])])
    assert list(curves) == [
        "demonstration/loss", "demonstration/accuracy", "trial/loss", "trial/clip",
        "reward/total", "optim/lr", "budget/read_words", "time/x",
    ]  # fmt: skip


def test_values_that_are_not_finite_are_counted_and_not_drawn(tmp_path):
    """X-2."""
    values = [1.0, None, math.nan, math.inf, 2.0]
    rows = [{"step": i, "a/b": value} for i, value in enumerate(values)]
    (curve,) = training_curves([run_with(tmp_path, rows)])["a/b"]
    assert curve.values.tolist() == [1, 2]
    assert curve.num_dropped == 3


def test_a_metric_that_is_never_finite_has_no_curve(tmp_path):
    """X-2."""
    assert training_curves([run_with(tmp_path, [{"step": 1, "a/b": None}])]) == {}


def test_words_between_two_counts_are_interpolated(tmp_path):
    """X-7."""
    rows = [
        {"step": 5, "eval/p/q": 0.4},
        {"step": 10, "budget/read_words": 1000},
        {"step": 15, "eval/p/q": 0.5},
        {"step": 20, "budget/read_words": 3000},
    ]
    (curve,) = eval_curves([run_with(tmp_path, rows)])["p"]["q"]
    assert curve.words.tolist() == [500, 2000]


def test_an_eval_stored_and_logged_is_one_point(make_run):
    """X-2."""
    run = read_run(make_run())
    row = {"step": 2000, "eval/minimal_pairs/mean": 0.0}
    (curve,) = eval_curves([run._replace(metrics=[row])])["minimal_pairs"]["mean"]
    assert curve.steps.tolist() == [1, 3, 10, 30, 100, 300, 1000, 2000]
    assert curve.values[-1] == run.evaluations[-1].measures["mean"]


def test_only_noisy_metrics_are_smoothed(make_run):
    """X-2."""
    curves = training_curves([read_run(make_run())])
    noisy = {key for key, (curve,) in curves.items() if curve.is_noisy}
    assert noisy == {
        "demonstration/loss", "demonstration/accuracy", "optim/grad_norm",
        "time/tokens_per_second",
    }  # fmt: skip


def test_a_noisy_metric_ends_with_the_mean_of_its_last_twentieth(make_run):
    """X-2."""
    run = read_run(make_run())
    curves = training_curves([run])
    losses = [row["demonstration/loss"] for row in run.metrics if "demonstration/loss" in row]
    assert len(losses) == 200
    assert curves["demonstration/loss"][0].final == pytest.approx(sum(losses[-10:]) / 10)
    assert curves["budget/read_words"][0].final == 2000 * 1900
