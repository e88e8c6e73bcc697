"""Rewards conditioned on age, by hand."""

import pytest
import torch

from tutelage.objectives.ages import age_reward


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("difference", [2.0, -1.0, 0.0]),  # log2(4096 / 1024); log2(512 / 1024)
        ("ratio", [1.2, 0.9, 1.0]),
        ("raw", [12.0, 9.0, 10.0]),
        ("binary", [12.0, -1.0, 10.0]),  # as old as the learner is old enough
    ],
)
def test_the_worth_of_a_text_at_step_1024(shape, expected):
    """TND-3: texts of 2^12, 2^9 and 2^10 steps."""
    ages = torch.tensor([4096.0, 512.0, 1024.0]).log2()
    own = torch.full((3,), 1024.0).log2()
    assert age_reward(ages, own, shape).tolist() == pytest.approx(expected)


def test_the_paper_s_shape_is_the_log_of_a_ratio_of_steps():
    """TND-3, Eq. 1: r = log(n̂ / n)."""
    predicted, step = torch.tensor([3000.0, 70.0]), torch.tensor([100.0, 900.0])
    found = age_reward(predicted.log2(), step.log2(), "difference")
    torch.testing.assert_close(found, (predicted / step).log2())


def test_ages_may_be_compared_with_each_row_s_own():
    """TND-3: the twin's."""
    found = age_reward(torch.tensor([5.0, 5.0]), torch.tensor([4.0, 6.0]), "binary")
    assert found.tolist() == [5.0, -1.0]


def test_a_ratio_is_to_a_learner_of_step_2_at_least():
    """TND-3: a text of age 3 beside one of age 2, 1, 0.77, 0.01, 0 and −2."""
    own = torch.tensor([2.0, 1.0, 0.77, 0.01, 0.0, -2.0])
    found = age_reward(torch.full((6,), 3.0), own, "ratio")
    assert found.tolist() == [1.5, 3.0, 3.0, 3.0, 3.0, 3.0]
    assert age_reward(torch.tensor([-3.0]), torch.tensor([-2.0]), "ratio").tolist() == [-3.0]
