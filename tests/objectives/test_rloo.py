"""REINFORCE with a leave-one-out baseline."""

import math

import pytest
import torch

from tutelage.objectives.rloo import leave_one_out, reinforce_loss, sequence_logprobs


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([1.0, 3.0], [-2.0, 2.0]),  # 1 − 3, 3 − 1
        ([0.0, 3.0, 6.0], [-4.5, 0.0, 4.5]),  # 0 − (3 + 6)/2, 3 − (0 + 6)/2, 6 − (0 + 3)/2
        ([2.0, 2.0, 2.0], [0.0, 0.0, 0.0]),
    ],
)
def test_leave_one_out_by_hand(scores, expected):
    """P18."""
    assert leave_one_out(torch.tensor([scores])).tolist() == [pytest.approx(expected)]


def test_prompts_are_compared_with_themselves_only():
    """P18: a constant that a prompt adds to all its scores is no advantage."""
    scores = torch.tensor([[1.0, 3.0, 8.0], [101.0, 103.0, 108.0]])
    first, second = leave_one_out(scores)
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize("group_size", [0, 1])
def test_a_lone_response_is_refused(group_size):
    """P18: there is nothing to compare it with."""
    with pytest.raises(ValueError, match=f"at least 2 responses per prompt.* got {group_size}"):
        leave_one_out(torch.zeros(4, group_size))


def test_log_probability_of_a_response_is_the_sum_over_its_tokens():
    """P1: and over nothing else, in value and gradient."""
    logprobs = torch.tensor([[-1.0, -2.0, math.nan], [-4.0, math.nan, -8.0]], requires_grad=True)
    mask = torch.tensor([[True, True, False], [True, False, True]])
    summed = sequence_logprobs(logprobs, mask)
    assert summed.tolist() == [-3, -12]
    summed.sum().backward()
    assert logprobs.grad.tolist() == mask.float().tolist()


@pytest.mark.parametrize("has_ratio", [True, False])
def test_expected_gradient_is_the_policy_gradient(has_ratio):
    """P18: over all pairs of responses that could be sampled, so the baseline adds no bias."""
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(3, generator=rng, dtype=torch.float64, requires_grad=True)
    worth = torch.tensor([1.0, -2.0, 5.0], dtype=torch.float64)
    objective = (logits.softmax(0) * worth).sum()
    (expected,) = torch.autograd.grad(-objective, logits)
    logprobs = logits.log_softmax(0)
    pairs = torch.cartesian_prod(torch.arange(3), torch.arange(3))
    advantages = leave_one_out(worth[pairs])
    chosen = logprobs[pairs]
    old = chosen.detach().flatten() if has_ratio else None
    losses = reinforce_loss(chosen.flatten(), advantages.flatten(), old_logprobs=old)
    likelihoods = chosen.detach().sum(1).exp()
    mean = (likelihoods * losses.view(9, 2).mean(1)).sum()
    (gradient,) = torch.autograd.grad(mean, logits)
    torch.testing.assert_close(gradient, expected)


def test_the_ratio_keeps_older_samples_unbiased():
    """P18: samples of another policy, weighed by the ratio, give this policy's gradient."""
    rng = torch.Generator().manual_seed(1)
    logits, old_logits = torch.randn(2, 4, generator=rng, dtype=torch.float64)
    logits.requires_grad_()
    advantages = torch.tensor([1.0, -2.0, 5.0, 0.5], dtype=torch.float64)
    old = old_logits.log_softmax(0)
    losses = reinforce_loss(logits.log_softmax(0), advantages, old_logprobs=old)
    (gradient,) = torch.autograd.grad((old.exp() * losses).sum(), logits)
    (expected,) = torch.autograd.grad(-(logits.softmax(0) * advantages).sum(), logits)
    torch.testing.assert_close(gradient, expected)


def test_losses_by_hand():
    """P18: −A · ln π, and −A · π/π_old."""
    logprobs, advantages = torch.tensor([-3.0, -1.0]), torch.tensor([2.0, -4.0])
    assert reinforce_loss(logprobs, advantages).tolist() == [6, -4]
    old = logprobs - math.log(2)
    weighed = reinforce_loss(logprobs, advantages, old_logprobs=old)
    assert weighed.tolist() == pytest.approx([-4, 8])
