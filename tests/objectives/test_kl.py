"""Estimates of the KL, the KL as a loss, and the controller of its coefficient."""

import math

import pytest
import torch

from tutelage.objectives.kl import adapted_kl_coef, k1, k2, k3, kl_loss

LN2 = math.log(2)


@pytest.fixture
def policies():
    """Logits of a policy over four tokens in three states, and a reference's log-probabilities."""
    rng = torch.Generator().manual_seed(0)
    logits, reference = torch.randn(2, 3, 4, generator=rng, dtype=torch.float64)
    return logits.requires_grad_(), reference.log_softmax(-1)


def expectation(losses, logits):
    """The mean over all tokens that the policy could sample; it does not see how it samples."""
    return (logits.detach().softmax(-1) * losses).sum()


def gradient(loss, logits):
    return torch.autograd.grad(loss, logits)[0]


def divergence(p, q):
    """KL(p‖q) by its definition, over whole distributions."""
    return (p.exp() * (p - q)).sum()


@pytest.mark.parametrize(
    ("estimate", "expected"),
    [
        (k1, [LN2, -LN2, 0.0]),
        (k2, [LN2**2 / 2, LN2**2 / 2, 0.0]),
        (k3, [0.5 - 1 + LN2, 2 - 1 - LN2, 0.0]),
    ],
)
def test_estimates_by_hand(estimate, expected):
    """P11: a token twice as likely, half as likely, and as likely as under the reference."""
    values = estimate(torch.tensor([LN2, -LN2, 0.0]) - 2, torch.full((3,), -2.0))
    assert values.tolist() == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("estimate", [k1, k3, kl_loss])
def test_estimates_are_unbiased(estimate, policies):
    """P11: their means over all tokens, as likely as they are, are the KL."""
    logits, reference = policies
    logprobs = logits.log_softmax(-1)
    mean = expectation(estimate(logprobs, reference), logits)
    torch.testing.assert_close(mean, divergence(logprobs, reference))


def test_k3_of_the_old_policy_says_how_far_the_policy_moved(policies):
    """P24: on tokens that the old policy sampled."""
    logits, moved = policies
    old = logits.detach().log_softmax(-1)
    mean = expectation(k3(old, moved), logits)
    torch.testing.assert_close(mean, divergence(old, moved))


@pytest.mark.parametrize("value", ["k1", "k3"])
def test_gradient_of_the_loss_is_the_gradient_of_the_kl(value, policies):
    """P11: on average, over all tokens."""
    logits, reference = policies
    losses = kl_loss(logits.log_softmax(-1), reference, value=value)
    expected = gradient(divergence(logits.log_softmax(-1), reference), logits)
    torch.testing.assert_close(gradient(expectation(losses, logits), logits), expected)


def test_gradients_of_the_estimates_are_not(policies):
    """P11: why the loss is none of them. k1's is 0 on average, k3's that of the reverse KL."""
    logits, reference = policies
    of_k1 = gradient(expectation(k1(logits.log_softmax(-1), reference), logits), logits)
    torch.testing.assert_close(of_k1, torch.zeros_like(of_k1))
    of_k3 = gradient(expectation(k3(logits.log_softmax(-1), reference), logits), logits)
    reverse = gradient(divergence(reference, logits.log_softmax(-1)), logits)
    torch.testing.assert_close(of_k3, reverse)


@pytest.mark.parametrize(("value", "estimate"), [("k1", k1), ("k3", k3)])
def test_the_loss_shows_the_estimate_exactly(value, estimate):
    """P11."""
    logprobs = torch.tensor([-0.1, -9.0, -2.0], requires_grad=True)
    reference = torch.tensor([-3.0, -0.2, -2.0])
    shown = kl_loss(logprobs, reference, value=value)
    assert torch.equal(shown, estimate(logprobs, reference))


def test_an_identical_reference_is_at_no_distance():
    """X-8: exactly 0, with no gradient."""
    logprobs = torch.linspace(-30, 0, 50).requires_grad_()
    loss = kl_loss(logprobs, logprobs.detach())
    loss.sum().backward()
    assert not loss.any()
    assert not logprobs.grad.any()
    assert not k1(logprobs, logprobs).any()


def test_small_distances_are_not_lost_in_rounding():
    """P11: k3 ≈ ½ k1² = 5e-9 in float32, whose 1 is rounded to 6e-8."""
    logprobs = torch.tensor([1e-4])
    assert k3(logprobs, torch.zeros(1)).item() == pytest.approx(5e-9, rel=0.01)


def test_absurd_distances_stay_finite():
    """P12: the exponential is clamped, the log-ratio itself is not."""
    logprobs, reference = torch.tensor([-1000.0, 0.0]), torch.tensor([0.0, -1000.0])
    assert k1(logprobs, reference).tolist() == [-1000, 1000]
    assert k3(logprobs, reference).tolist() == pytest.approx([math.exp(20) - 1001, 999])


@pytest.mark.parametrize(
    ("kl", "num_steps", "expected"),
    [
        (6.0, 1000, 0.5),  # on target
        (6.6, 1000, 0.505),  # a tenth too far: 1 + 0.1 · 0.1
        (60.0, 1000, 0.51),  # the error is clipped at 0.2: 1 + 0.2 · 0.1
        (0.0, 1000, 0.49),  # and at −0.2
        (-3.0, 1000, 0.49),  # estimates may be negative
        (60.0, 10_000, 0.6),  # a fifth per horizon
        (0.0, 10_000_000, 0.4),  # never more, so never negative
    ],
)
def test_adapted_kl_coef_by_hand(kl, num_steps, expected):
    """P10: target 6, coefficient ½."""
    coef = adapted_kl_coef(0.5, kl, target=6.0, horizon=10_000, num_steps=num_steps)
    assert coef == pytest.approx(expected)
