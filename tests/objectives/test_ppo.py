"""Proximal policy optimization: losses, advantages, statistics."""

import math

import hypothesis
import pytest
import torch
from hypothesis import strategies

from tutelage.objectives.clm import masked_sum
from tutelage.objectives.moments import moments, whiten
from tutelage.objectives.ppo import (
    clamp_fraction,
    clip_fraction,
    clipped_surrogate,
    clipped_value_loss,
    explained_variance,
    gae,
    ratio_range,
)
from tutelage.objectives.scores import token_rewards

NAN = math.nan
LN2 = math.log(2)

# Columns: log-ratio, advantage, loss, its derivative by the log-probability, held back by the clip.
SURROGATES = [
    (0.0, 2.0, -2.0, -2.0, 0.0),  # on policy: −A · 1
    (math.log(1.1), 2.0, -2.2, -2.2, 0.0),  # within 1 ± 0.2: −A · 1.1
    (LN2, 2.0, -2.4, 0.0, 1.0),  # a good token beyond: −A · 1.2, and no further
    (LN2, -2.0, 4.0, 4.0, 0.0),  # a bad token that became likelier: −A · 2, all of it
    (-LN2, 2.0, -1.0, -1.0, 0.0),  # a good token that became rarer: −A · ½, all of it
    (-LN2, -2.0, 1.6, 0.0, 1.0),  # a bad token beyond: −A · 0.8, and no further
    (math.log(5), -2.0, 10.0, 10.0, 0.0),  # no bound without dual clip: −A · 5
    (LN2, 0.0, 0.0, 0.0, 0.0),
]


@pytest.mark.parametrize(("log_ratio", "advantage", "loss", "slope", "held"), SURROGATES)
def test_clipped_surrogate_by_hand(log_ratio, advantage, loss, slope, held):
    """P19."""
    old, advantages = torch.tensor([-1.5]), torch.tensor([advantage])
    logprobs = (old + log_ratio).requires_grad_()
    losses = clipped_surrogate(logprobs, old, advantages, clip=0.2)
    losses.sum().backward()
    assert losses.item() == pytest.approx(loss, rel=1e-6)
    assert logprobs.grad.item() == pytest.approx(slope, rel=1e-6)
    assert clip_fraction(logprobs.detach(), old, advantages, clip=0.2).item() == held


@pytest.mark.parametrize(
    ("log_ratio", "advantage", "loss", "slope"),
    [
        (math.log(5), -2.0, 6.0, 0.0),  # a bad token at ratio 5 counts as at ratio 3: −A · 3
        (LN2, -2.0, 4.0, 4.0),  # not there yet
        (math.log(5), 2.0, -2.4, 0.0),  # good tokens know the inner clip only
        (-LN2, 2.0, -1.0, -1.0),
    ],
)
def test_dual_clip_by_hand(log_ratio, advantage, loss, slope):
    """P19: bounded for tokens of negative advantage."""
    old, advantages = torch.tensor([-1.5]), torch.tensor([advantage])
    logprobs = (old + log_ratio).requires_grad_()
    losses = clipped_surrogate(logprobs, old, advantages, clip=0.2, dual_clip=3.0)
    losses.sum().backward()
    assert losses.item() == pytest.approx(loss, rel=1e-6)
    assert logprobs.grad.item() == pytest.approx(slope, rel=1e-6)


def test_on_policy_gradient_is_the_policy_gradient():
    """P19: at ratio 1 the loss's gradient is that of −A · ln π, whatever the clip."""
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 5, generator=rng, requires_grad=True)
    chosen = torch.randint(5, (6, 1), generator=rng)
    advantages = torch.randn(6, generator=rng)

    def logprobs():
        return logits.log_softmax(1).gather(1, chosen).squeeze(1)

    losses = clipped_surrogate(logprobs(), logprobs().detach(), advantages, clip=0.2)
    (gradient,) = torch.autograd.grad(losses.sum(), logits)
    (expected,) = torch.autograd.grad(-(advantages * logprobs()).sum(), logits)
    torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-7)


def test_absurd_ratios_are_clamped_and_counted():
    """P12: a log-ratio of 1000 makes neither the loss nor a gradient infinite."""
    logprobs = torch.tensor([0.0, -1000.0, -3.0], requires_grad=True)
    old = torch.tensor([-1000.0, 0.0, -3.1])
    losses = clipped_surrogate(logprobs, old, torch.tensor([-1.0, 1.0, -1.0]), clip=0.2)
    losses.sum().backward()
    assert losses[0].item() == pytest.approx(math.exp(20))
    assert losses.isfinite().all()
    assert logprobs.grad.isfinite().all()
    assert clamp_fraction(logprobs.detach(), old).tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    ("value", "old_value", "target", "loss"),
    [
        (1.0, 1.0, 3.0, 2.0),  # ½ · 2²
        (2.0, 1.0, 3.0, 1.62),  # moved 1 towards the return, may gain by 0.2: ½ · 1.8²
        (0.0, 1.0, 3.0, 4.5),  # moved away: ½ · 3², larger than the clipped ½ · 2.2²
        (1.1, 1.0, 3.0, 1.805),  # within reach: ½ · 1.9²
        (2.0, 3.0, 1.0, 1.62),  # the same downwards: clipped to 2.8, ½ · 1.8²
    ],
)
def test_clipped_value_loss_by_hand(value, old_value, target, loss):
    """P19: the larger of clipped and unclipped, times ½."""
    arguments = [torch.tensor([number]) for number in (value, old_value, target)]
    assert clipped_value_loss(*arguments, clip=0.2).item() == pytest.approx(loss, rel=1e-6)
    unclipped = clipped_value_loss(*arguments, clip=None).item()
    assert unclipped == pytest.approx((value - target) ** 2 / 2, rel=1e-6)


def test_gae_by_hand():
    """P16, P17: γ = ½, λ = ½, so that each step further counts a quarter."""
    rewards = torch.tensor([[1.0, 9.0, 2.0]])
    values = torch.tensor([[4.0, 9.0, 8.0]])
    mask = torch.tensor([[True, False, True]])
    advantages, returns = gae(rewards, values, mask, gamma=0.5, lam=0.5)
    # δ₁ = 2 + 0 − 8 = −6; δ₀ = 1 + ½·8 − 4 = 1; A₀ = 1 + ¼·(−6) = −½
    assert advantages.tolist() == [[-0.5, 0.0, -6.0]]
    assert returns.tolist() == [[3.5, 0.0, 2.0]]
    bootstrap = torch.tensor([4.0])
    advantages, returns = gae(rewards, values, mask, gamma=0.5, lam=0.5, bootstrap=bootstrap)
    # δ₁ = 2 + ½·4 − 8 = −4; A₀ = 1 + ¼·(−4) = 0
    assert advantages.tolist() == [[0.0, 0.0, -4.0]]
    assert returns.tolist() == [[4.0, 0.0, 4.0]]


def naive_gae(rewards, values, gamma, lam, bootstrap):
    """The definition: Aᵢ = Σ_{j≥i} (γλ)^{j−i} (rⱼ + γ Vⱼ₊₁ − Vⱼ)."""
    following = [*values, bootstrap][1:]
    deltas = [r + gamma * n - v for r, v, n in zip(rewards, values, following, strict=True)]
    return [
        sum((gamma * lam) ** (j - i) * deltas[j] for j in range(i, len(deltas)))
        for i in range(len(deltas))
    ]


numbers = strategies.floats(-4, 4, width=32)
fractions = strategies.floats(0, 1)


@strategies.composite
def rows(draw):
    """Rewards, values, mask and bootstraps of a few rows, with holes and rows of nothing."""
    batch, time = draw(strategies.integers(1, 3)), draw(strategies.integers(0, 6))

    def table(cell):
        line = strategies.lists(cell, min_size=time, max_size=time)
        return draw(strategies.lists(line, min_size=batch, max_size=batch))

    bootstrap = draw(strategies.lists(numbers, min_size=batch, max_size=batch))
    return table(numbers), table(numbers), table(strategies.booleans()), bootstrap


def shaped(table, dtype=torch.float64):
    return torch.tensor(table, dtype=dtype).reshape(len(table), -1)


@hypothesis.settings(max_examples=150, derandomize=True)
@hypothesis.given(rows(), fractions, fractions)
def test_gae_is_its_definition(example, gamma, lam):
    """P16: over the tokens that count, as if the masked ones were not there."""
    rewards, values, mask, bootstrap = example
    advantages, returns = gae(
        shaped(rewards),
        shaped(values),
        shaped(mask, torch.bool),
        gamma=gamma,
        lam=lam,
        bootstrap=torch.tensor(bootstrap, dtype=torch.float64),
    )
    for row, counts in enumerate(mask):
        places = [t for t, counted in enumerate(counts) if counted]
        kept = [[table[row][t] for t in places] for table in (rewards, values)]
        expected = torch.zeros(len(counts), dtype=torch.float64)
        expected[places] = torch.tensor(
            naive_gae(*kept, gamma, lam, bootstrap[row]), dtype=torch.float64
        )
        torch.testing.assert_close(advantages[row], expected, rtol=1e-9, atol=1e-9)
        baseline = torch.where(shaped(mask, torch.bool)[row], shaped(values)[row], 0)
        torch.testing.assert_close(returns[row], expected + baseline, rtol=1e-9, atol=1e-9)


@hypothesis.settings(max_examples=50, derandomize=True)
@hypothesis.given(rows(), fractions)
def test_returns_of_lambda_one_are_monte_carlo(example, gamma):
    """P16: discounted sums of what really came, whatever the critic thought of it on the way."""
    rewards, values, mask, bootstrap = example
    time = len(rewards[0])
    _, returns = gae(
        shaped(rewards),
        shaped(values),
        torch.ones(len(mask), time, dtype=torch.bool),
        gamma=gamma,
        lam=1.0,
        bootstrap=torch.tensor(bootstrap, dtype=torch.float64),
    )
    for row in range(len(rewards)):
        following = bootstrap[row]
        for t in reversed(range(time)):
            following = rewards[row][t] + gamma * following
            assert returns[row, t].item() == pytest.approx(following, abs=1e-9)


def test_advantages_of_lambda_zero_are_td_errors():
    """P16."""
    rng = torch.Generator().manual_seed(1)
    rewards, values = torch.randn(2, 3, 7, generator=rng)
    advantages, _ = gae(rewards, values, torch.ones(3, 7).bool(), gamma=0.9, lam=0.0)
    following = torch.cat([values[:, 1:], torch.zeros(3, 1)], dim=1)
    torch.testing.assert_close(advantages, rewards + 0.9 * following - values)


def pipeline(scores, kl, values, logprobs, old_logprobs, mask, shards=1):
    """From scores to the policy's gradient as a lesson does it, in any number of shards."""
    rewards = token_rewards(scores, kl, mask, kl_coef=0.1)
    advantages, _ = gae(rewards, values, mask, gamma=1.0, lam=0.95)
    parts = list(zip(advantages.chunk(shards), mask.chunk(shards), strict=True))
    total = sum(moments(*part) for part in parts)
    whitened = torch.cat([whiten(*part, center=True, total=total) for part in parts])
    leaf = logprobs.clone().requires_grad_()
    losses = clipped_surrogate(leaf, old_logprobs, whitened, clip=0.2)
    loss = masked_sum(losses, mask) / mask.sum()
    loss.backward()
    return loss.detach(), leaf.grad


def example(batch=6, time=9):
    rng = torch.Generator().manual_seed(2)
    lengths = torch.tensor([9, 1, 4, 6, 2, 7])[:batch]
    mask = torch.arange(time) < lengths[:, None]
    kl, values, old_logprobs, noise = torch.randn(4, batch, time, generator=rng)
    old_logprobs = -old_logprobs.abs()
    logprobs = old_logprobs + 0.3 * noise
    return torch.randn(batch, generator=rng), kl, values, logprobs, old_logprobs, mask


def test_masked_garbage_changes_nothing():
    """P1: not even NaN in what the critic or the reference said of tokens that are not there."""
    scores, kl, values, logprobs, old_logprobs, mask = example()
    loss, gradient = pipeline(scores, kl, values, logprobs, old_logprobs, mask)
    garbage = torch.where(mask, 0, NAN)
    other = pipeline(scores, kl + garbage, values + garbage, logprobs, old_logprobs, mask)
    assert torch.equal(other[0], loss)
    assert torch.equal(other[1], gradient)
    assert not gradient[~mask].any()
    assert gradient[mask].any()


def test_padding_changes_nothing():
    """P2: neither its amount nor its side."""
    *tables, mask = example()
    scores, *tables = tables
    loss, gradient = pipeline(scores, *tables, mask)
    for left, right in [(0, 5), (5, 0), (2, 3)]:
        padded = [torch.nn.functional.pad(t, (left, right), value=7) for t in tables]
        wide = torch.nn.functional.pad(mask, (left, right))
        other = pipeline(scores, *padded, wide)
        torch.testing.assert_close(other[0], loss)
        torch.testing.assert_close(other[1][:, left : left + 9], gradient)


def test_order_and_shards_change_nothing():
    """P15, P18: whitening and the mean are those of the whole batch."""
    tables = example()
    loss, gradient = pipeline(*tables)
    for shards in (2, 3, 6):
        other = pipeline(*tables, shards=shards)
        torch.testing.assert_close(other, (loss, gradient))
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    other = pipeline(*(table[order] for table in tables))
    torch.testing.assert_close(other, (loss, gradient[order]))


def test_range_of_ratios_over_shards_is_that_of_the_whole():
    """P6: micro-batches and processes take the minimum and maximum; empty ones do no harm."""
    logprobs = torch.tensor([[0.0, LN2], [-LN2, 9.0], [-9.0, 9.0]])
    mask = torch.tensor([[True, True], [True, False], [False, False]])
    smallest, largest = ratio_range(logprobs, torch.zeros(3, 2), mask)
    assert (smallest.item(), largest.item()) == pytest.approx((0.5, 2.0))
    parts = [ratio_range(logprobs[i], torch.zeros(2), mask[i]) for i in range(3)]
    assert min(part[0] for part in parts) == smallest
    assert max(part[1] for part in parts) == largest


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, 2.0, 3.0], 1.0),  # perfect
        ([0.0, 1.0, 2.0], 1.0),  # off by a constant: no variance in the error
        ([7.0, 7.0, 7.0], 0.0),  # a constant
        ([3.0, 2.0, 1.0], -3.0),  # upside down: the error is twice as large, 1 − 4
        ([1.0, 1.0, 2.0], 2 / 3),  # errors 0, 1, 1 have variance 2/9, a third of ⅔
    ],
)
def test_explained_variance_by_hand(values, expected):
    """P13: 1 − Var(R − V) / Var(R)."""
    returns = torch.tensor([1.0, 2.0, 3.0])  # variance ⅔
    errors = moments(returns - torch.tensor(values))
    assert explained_variance(errors, moments(returns)).item() == pytest.approx(expected)


def test_returns_that_do_not_vary_leave_nothing_to_explain():
    """P13: 0, not the rounding of one sum over that of another."""
    returns = torch.full((1000,), 0.1)
    assert explained_variance(moments(torch.randn(1000)), moments(returns)) == 0
