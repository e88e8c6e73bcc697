"""From scores of responses to rewards of tokens."""

import math

import pytest
import torch

from tutelage.objectives.ppo import gae
from tutelage.objectives.scores import (
    episodes,
    penalise_missing_end,
    place_scores,
    token_rewards,
    token_weights,
)

NAN = math.nan


@pytest.mark.parametrize(
    ("how", "expected"),
    [("replace", [3.0, -1.0]), ("subtract", [3.0, 1.0])],  # −1, or 2 − 1
)
def test_a_missing_end_is_penalised(how, expected):
    """P8."""
    scores, ended = torch.tensor([3.0, 2.0]), torch.tensor([True, False])
    assert penalise_missing_end(scores, ended, penalty=1.0, how=how).tolist() == expected


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        ([True, True, True], [0, 0, 5]),
        ([True, True, False], [0, 5, 0]),  # on the end token, not on the padding after it
        ([False, True, False], [0, 5, 0]),
        ([True, False, True], [0, 0, 5]),
        ([False, False, False], [0, 0, 0]),  # nowhere to put it
    ],
)
def test_scores_are_placed_on_the_last_token(mask, expected):
    """P9."""
    assert place_scores(torch.tensor([5.0]), torch.tensor([mask])).tolist() == [expected]


def test_each_row_gets_its_own_score():
    """P9: and the NaN of a row without tokens goes nowhere."""
    mask = torch.tensor([[True, False], [True, True], [False, False]])
    placed = place_scores(torch.tensor([1.0, 2.0, NAN]), mask)
    assert placed.tolist() == [[1, 0], [0, 2], [0, 0]]


def test_rewards_are_the_score_less_the_kl():
    """P10: −½·1, −½·(−2) + 5; masked tokens have none."""
    kl = torch.tensor([[1.0, -2.0, NAN]])
    mask = torch.tensor([[True, True, False]])
    rewards = token_rewards(torch.tensor([5.0]), kl, mask, kl_coef=0.5)
    assert rewards.tolist() == [[-0.5, 6.0, 0.0]]


@pytest.mark.parametrize(
    ("truncation", "scores", "mask", "bootstraps"),
    [
        ("terminal", [1, 2], [[True, True], [True, True]], [False, False]),
        ("bootstrap", [1, 0], [[True, True], [True, True]], [False, True]),
        ("mask", [1, 2], [[True, True], [False, False]], [False, False]),
    ],
)
def test_truncation_by_hand(truncation, scores, mask, bootstraps):
    """P17: the first row ended, the second was cut off."""
    result = episodes(
        torch.tensor([1.0, 2.0]),
        torch.ones(2, 2).bool(),
        torch.tensor([True, False]),
        truncation=truncation,
    )
    assert result.scores.tolist() == scores
    assert result.mask.tolist() == mask
    assert result.bootstraps.tolist() == bootstraps


@pytest.mark.parametrize("truncation", ["terminal", "bootstrap", "mask"])
def test_a_critic_that_is_right_sees_no_advantage_in_being_cut_off(truncation):
    """P17: where every response is worth 3, no token of any is better than expected."""
    scores, ended = torch.full((2,), 3.0), torch.tensor([True, False])
    result = episodes(scores, torch.ones(2, 4).bool(), ended, truncation=truncation)
    rewards = token_rewards(result.scores, torch.zeros(2, 4), result.mask, kl_coef=0.0)
    advantages, _ = gae(
        rewards,
        torch.full((2, 4), 3.0),
        result.mask,
        gamma=1.0,
        lam=0.95,
        bootstrap=torch.where(result.bootstraps, torch.full((2,), 3.0), 0),
    )
    assert not advantages.any()


@pytest.mark.parametrize(
    ("per", "expected", "num_terms"),
    [
        ("token", [[1, 1, 1, 1], [0, 1, 0, 0], [0, 0, 0, 0]], 5),
        ("sequence", [[0.25, 0.25, 0.25, 0.25], [0, 1, 0, 0], [0, 0, 0, 0]], 2),
    ],
)
def test_weights_by_hand(per, expected, num_terms):
    """P18: losses 1 on four tokens and 5 on one have mean 9/5 per token, 6/2 per sequence."""
    mask = torch.tensor([[True] * 4, [False, True, False, False], [False] * 4])
    weights = token_weights(mask, per=per)
    assert weights.tolist() == expected
    assert weights.sum() == num_terms
