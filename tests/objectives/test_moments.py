"""Moments that add up, and whitening by them."""

import math

import hypothesis
import pytest
import torch
from hypothesis import strategies

from tutelage.objectives.moments import mean_and_variance, moments, normalise, whiten

NAN = math.nan


def whitened(values, mask=None, *, center=True):
    values = torch.tensor(values)
    mask = torch.ones_like(values).bool() if mask is None else torch.tensor(mask)
    return whiten(values, mask, center=center, total=moments(values, mask)).tolist()


@pytest.mark.parametrize(
    ("values", "mask", "expected"),
    [
        ([1.0, 3.0], [True, True], [2, 4, 10]),
        ([1.0, 3.0], [False, True], [1, 3, 9]),
        ([NAN, 3.0], [False, True], [1, 3, 9]),
        ([NAN], [False], [0, 0, 0]),
    ],
)
def test_moments_by_hand(values, mask, expected):
    """P15: count, sum, sum of squares."""
    assert moments(torch.tensor(values), torch.tensor(mask)).tolist() == expected


@pytest.mark.parametrize(
    ("values", "mask", "center", "expected"),
    [
        ([1.0, 3.0, NAN], [True, True, False], True, [-1, 1, 0]),  # mean 2, deviation 1
        ([1.0, 5.0, NAN], [True, True, False], True, [-1, 1, 0]),  # mean 3, deviation 2
        ([1.0, 5.0, NAN], [True, True, False], False, [2, 4, 0]),  # the mean stays 3 (P14)
        ([5.0, NAN], [True, False], True, [5, 0]),  # one number has no spread
        ([5.0, NAN], [True, False], False, [5, 0]),
        ([NAN], [False], True, [0]),
        ([4.0, 4.0], [True, True], True, [0, 0]),  # no spread: no 0/0
        ([4.0, 4.0], [True, True], False, [4, 4]),
    ],
)
def test_whiten_by_hand(values, mask, center, expected):
    """P14, P15."""
    assert whitened(values, mask, center=center) == pytest.approx(expected, abs=1e-6)


@hypothesis.settings(max_examples=100, derandomize=True)
@hypothesis.given(
    strategies.lists(strategies.floats(-9, 9, width=32), min_size=2, max_size=30),
    strategies.integers(1, 5),
)
def test_moments_of_shards_add_up_to_those_of_the_whole(numbers, shards):
    """P15: mean and variance are those that PyTorch finds in the whole batch."""
    values = torch.tensor(numbers)
    total = sum(moments(part) for part in values.chunk(shards))
    mean, variance = mean_and_variance(total)
    expected = torch.var_mean(values.double(), correction=0)
    torch.testing.assert_close((variance, mean), expected, rtol=1e-9, atol=1e-9)


def test_shards_are_whitened_by_the_moments_of_the_whole():
    """P15: with its own, each of these shards would become −1 and 1."""
    shards = [torch.tensor([0.0, 2.0]), torch.tensor([10.0, 12.0])]
    total = sum(moments(shard) for shard in shards)  # mean 6, variance (36 + 16 + 16 + 36) / 4
    every = torch.ones(2).bool()
    parts = [whiten(shard, every, center=True, total=total) for shard in shards]
    expected = torch.tensor([-6.0, -4.0, 4.0, 6.0]) / math.sqrt(26)
    torch.testing.assert_close(torch.cat(parts), expected)


def test_variance_survives_a_large_mean():
    """P15: sums of squares in float32 would lose it altogether."""
    values = 10_000 + torch.tensor([-0.5, 0.5]).repeat(500)
    assert mean_and_variance(moments(values))[1].item() == pytest.approx(0.25, rel=1e-6)


def test_equal_numbers_have_no_variance():
    """P15: though the sum of a thousand tenths, squared, is not that of their squares."""
    assert mean_and_variance(moments(torch.full((1000,), 0.1)))[1] == 0


def test_nothing_has_mean_and_variance_zero():
    """P15: a run that begins."""
    assert mean_and_variance(torch.zeros(3, dtype=torch.float64)) == (0, 0)


def test_a_run_is_normalised_by_all_its_scores():
    """P14: rounds add up like shards; a first score stays, and later ones are never far out."""
    rng = torch.Generator().manual_seed(0)
    rounds = (5 + 3 * torch.randn(40, 16, generator=rng)).unbind()
    total = torch.zeros(3, dtype=torch.float64)
    for scores in rounds:
        total = total + moments(scores)
        bound = math.sqrt(total[0].item() - 1)
        assert normalise(scores, total=total).abs().max() <= bound
    seen = torch.cat(rounds)
    expected = (rounds[-1] - seen.mean()) / seen.std(correction=0)
    torch.testing.assert_close(normalise(rounds[-1], total=total), expected)
    first = torch.tensor([7.0])
    assert torch.equal(normalise(first, total=moments(first)), first)
