"""The loss of preferences, by hand and by definition."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tutelage.objectives.bradley_terry import centring, is_right, preference_nll
from tutelage.objectives.regression import squared_error

SCORES = st.lists(
    st.tuples(st.floats(-8, 8), st.floats(-8, 8), st.floats(0, 3)), min_size=1, max_size=5
)


@pytest.mark.parametrize(
    ("chosen", "rejected", "margin", "expected"),
    [
        (0.0, 0.0, None, math.log(2)),  # σ(0) = ½
        (math.log(3), 0.0, None, math.log(4 / 3)),  # σ(ln 3) = ¾
        (0.0, math.log(3), None, math.log(4)),  # σ(−ln 3) = ¼
        (math.log(3), 0.0, math.log(3), math.log(2)),  # the lead is just the margin
        (0.0, 200.0, None, 200.0),  # log(sigmoid) would be −∞ here
    ],
)
def test_the_loss_is_minus_the_log_of_the_leads_sigmoid(chosen, rejected, margin, expected):
    """RM-2, R1, R2."""
    margins = None if margin is None else torch.tensor([margin])
    found = preference_nll(torch.tensor([chosen]), torch.tensor([rejected]), margin=margins)
    assert found.item() == pytest.approx(expected, rel=1e-6)


@given(SCORES)
def test_the_loss_is_its_definition(rows):
    """RM-2."""
    chosen, rejected, margin = torch.tensor(rows).unbind(1)
    found = preference_nll(chosen, rejected, margin=margin)
    by_hand = [math.log1p(math.exp(-(a - b - m))) for a, b, m in rows]
    torch.testing.assert_close(found, torch.tensor(by_hand), rtol=1e-4, atol=1e-5)


@given(SCORES)
def test_what_both_scores_gain_changes_no_preference(rows):
    """RM-2: only centring says where 0 is."""
    chosen, rejected, _ = torch.tensor(rows).unbind(1)
    moved = preference_nll(chosen + 1.5, rejected + 1.5)
    torch.testing.assert_close(moved, preference_nll(chosen, rejected), rtol=1e-3, atol=1e-5)


def test_centring_is_the_squared_sum():
    """RM-2, R3: (2 − 3)² and (1 + 1)²."""
    found = centring(torch.tensor([2.0, 1.0]), torch.tensor([-3.0, 1.0]))
    assert found.tolist() == [1.0, 4.0]


def test_a_tie_is_half_right():
    """RM-2."""
    found = is_right(torch.tensor([1.0, 0.0, 2.0]), torch.tensor([0.0, 1.0, 2.0]))
    assert found.tolist() == [1.0, 0.0, 0.5]


def test_the_squared_error_is_squared():
    """TND-4."""
    found = squared_error(torch.tensor([1.0, 3.0]), torch.tensor([3.0, 0.0]))
    assert found.tolist() == [4.0, 9.0]
