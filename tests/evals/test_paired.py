"""Intervals of the difference between two judges of the same items (R11, X-4)."""

from itertools import product
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutelage.evals.paired import paired_difference, wilson

judged = st.lists(st.tuples(*[st.sampled_from([0.0, 0.5, 1.0])] * 2), min_size=1, max_size=60)


def table(both, one, other, neither):
    """Two judges who are both right so often, one alone, the other alone, neither."""
    first = [1.0] * (both + one) + [0.0] * (other + neither)
    return first, [1.0] * both + [0.0] * one + [1.0] * other + [0.0] * neither


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        # Bentur et al. (2009), interval of Fagerland, Lydersen and Laake (2014): −0.507 to −0.026.
        ((1, 1, 7, 12), -0.507, -0.026),
        # Newcombe (1998), 36 + 12 + 2 + 0 of 50: 0.0569 to 0.3404.
        ((36, 12, 2, 0), 0.0569, 0.3404),
    ],
)
def test_intervals_are_those_published(counts, low, high):
    """R11."""
    found = paired_difference(*table(*counts))
    assert (found.low, found.high) == (
        pytest.approx(low, abs=6e-4),
        pytest.approx(high, abs=6e-4),
    )


@pytest.mark.parametrize(
    "chances", [(0.5, 0.2, 0.1, 0.2), (0.3, 0.2, 0.2, 0.3), (0.7, 0.2, 0, 0.1)]
)
def test_intervals_hold_the_truth_about_as_often_as_they_say(chances):
    """R11: the chance over every table of 25 items, not a simulation."""
    n, covered = 25, 0.0
    truth = chances[1] - chances[2]
    for a, b, c in product(range(n + 1), repeat=3):
        d = n - a - b - c
        if d < 0:
            continue
        ways = comb(n, a) * comb(n - a, b) * comb(n - a - b, c)
        chance = ways * chances[0] ** a * chances[1] ** b * chances[2] ** c * chances[3] ** d
        if chance > 1e-7:
            found = paired_difference(*table(a, b, c, d))
            covered += chance * (found.low <= truth <= found.high)
    assert 0.94 < covered < 0.985


@given(judged)
def test_swapping_the_judges_turns_the_interval_round(pairs):
    """R11: and it holds the difference, and stays between −1 and 1."""
    one, other = zip(*pairs, strict=True)
    found, turned = paired_difference(one, other), paired_difference(other, one)
    assert (found.low, found.high) == (pytest.approx(-turned.high), pytest.approx(-turned.low))
    assert -1 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1


@given(judged)
def test_half_right_counts_as_half_an_item_each_way(pairs):
    """R11: of twice as many whole items with the same table, the same difference."""
    one, other = zip(*pairs, strict=True)
    value = sum(a - b for a, b in pairs) / len(pairs)
    assert paired_difference(one, other).value == pytest.approx(value)
    # One tie against a right answer: half of it is both right, half is the other alone.
    halves = paired_difference([0.5, 0.5], [1.0, 1.0])
    assert halves == paired_difference([1.0, 0.0], [1.0, 1.0])


def test_judges_that_never_differ_may_still_differ_elsewhere():
    """R11: five items without a difference prove little, a thousand prove more."""
    few, many = paired_difference(*table(5, 0, 0, 0)), paired_difference(*table(600, 0, 0, 400))
    assert few.low < -0.4
    assert few.high > 0.4
    assert 0 < many.high < 0.01


def test_agreement_makes_an_interval_narrower():
    """R11: that is what pairing is for."""
    together, apart = (paired_difference(*table(*t)) for t in [(50, 10, 0, 40), (20, 40, 30, 10)])
    assert together.value == pytest.approx(apart.value)
    assert together.high - together.low < 0.6 * (apart.high - apart.low)


@pytest.mark.parametrize(("share", "trials"), [(0.0, 1), (1.0, 7), (0.5, 10), (0.25, 2.0)])
def test_wilson_is_the_one_of_statsmodels(share, trials):
    """R11."""
    from statsmodels.stats.proportion import proportion_confint

    expected = proportion_confint(share * trials, trials, method="wilson")
    assert wilson(share, trials) == pytest.approx(expected, abs=1e-12)
