"""IQ-Learn on texts: by hand, against a naive definition, by its fixed point (IRL-2)."""

import math

import pytest
import torch

from tutelage.objectives.iqlearn import (
    has_reward,
    next_soft_values,
    q_values,
    td_penalty,
    td_weight,
    token_rewards,
)

YES, NO = True, False


def test_a_q_value_is_the_logit_of_its_token():
    logits = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    chosen = torch.tensor([0, 4, 2])
    logprobs = logits.log_softmax(1).gather(1, chosen[:, None])[:, 0]
    expected = logits.gather(1, chosen[:, None])[:, 0]
    torch.testing.assert_close(q_values(logprobs, logits.logsumexp(1)), expected)


def test_the_next_state_has_no_value_after_an_end_wherever_in_the_row_that_is():
    values = torch.tensor([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]])
    ends = torch.tensor([[NO, NO, NO, YES], [NO, YES, NO, NO]])
    expected = torch.tensor([[2.0, 3.0, 4.0, 0.0], [6.0, 0.0, 8.0, 0.0]])
    assert next_soft_values(values, ends).tolist() == expected.tolist()


def test_a_text_that_was_cut_has_no_last_reward_unless_the_state_after_it_was_read():
    mask = torch.tensor([[NO, YES, YES, NO]] * 3)
    states = torch.tensor([[NO, YES, YES, NO], [NO, YES, YES, NO], [NO, YES, YES, YES]])
    ends = torch.tensor([[NO, NO, YES, NO], [NO] * 4, [NO] * 4])
    found = has_reward(mask, states, ends)
    assert found.tolist() == [[NO, YES, YES, NO], [NO, YES, NO, NO], [NO, YES, YES, NO]]


def test_rewards_by_hand():
    """Q − γ V' with V of two states 2 and 1, log π −½ and −¼, an end after the second token."""
    logprobs, values = torch.tensor([[-0.5, -0.25]]), torch.tensor([[2.0, 1.0]])
    following = next_soft_values(values, torch.tensor([[NO, YES]]))
    rewards = token_rewards(logprobs, values, following, gamma=0.5)
    assert rewards.tolist() == [[2.0 - 0.5 - 0.5 * 1.0, 1.0 - 0.25]]
    assert td_penalty(rewards).tolist() == [[1.0, 0.5625]]


@pytest.mark.parametrize("alpha", [0.25, 1.0, 2.5])
def test_the_weight_of_the_penalty_is_that_of_the_chi_squared_divergence(alpha: float):
    """φ(x) = x − x² / (4 α): its negative, less x, is weight · x²."""
    x = 1.7
    assert td_weight(alpha) * x**2 == pytest.approx(x - (x - x**2 / (4 * alpha)))


def test_rewards_of_a_text_sum_to_its_log_likelihood_and_the_value_of_its_beginning():
    """With γ = 1 the values telescope: Σ r = V(s₀) + Σ log π (Q7)."""
    rng = torch.Generator().manual_seed(1)
    logprobs, values = -torch.rand(2, 6, generator=rng), torch.randn(2, 6, generator=rng)
    ends = torch.zeros(2, 6, dtype=torch.bool)
    ends[:, 5] = True
    rewards = token_rewards(logprobs, values, next_soft_values(values, ends), gamma=1.0)
    torch.testing.assert_close(rewards.sum(1), values[:, 0] + logprobs.sum(1))


def naive_loss(logits: list[torch.Tensor], texts: list[list[int]], weight: float, gamma: float):
    """The loss of ended texts, token by token, each with logits of its own (time, vocab)."""
    total, count = torch.zeros((), dtype=torch.float64), 0
    for rows, text in zip(logits, texts, strict=True):
        for t, token in enumerate(text):
            q = rows[t, token]
            value = torch.log(torch.exp(rows[t]).sum())
            after = torch.log(torch.exp(rows[t + 1]).sum()) if t + 1 < len(text) else 0.0
            total = total - (q - value) + weight * (q - gamma * after) ** 2
            count += 1
    return total / count


def batched_loss(
    logits: torch.Tensor, token_ids: torch.Tensor, lengths: list[int], weight: float, gamma: float
):
    """The same by the functions, with padding on the right."""
    time = torch.arange(logits.shape[1])
    mask = time < torch.tensor(lengths)[:, None]
    ends = time == torch.tensor(lengths)[:, None] - 1
    values = logits.logsumexp(-1)
    logprobs = logits.gather(-1, token_ids[..., None])[..., 0] - values
    rewards = token_rewards(logprobs, values, next_soft_values(values, ends), gamma=gamma)
    known = has_reward(mask, mask, ends)
    assert known.equal(mask)
    return torch.where(mask, -logprobs + weight * td_penalty(rewards), 0).sum() / mask.sum()


@pytest.mark.parametrize("padding", [0, 1, 5])
def test_the_loss_of_padded_rows_is_the_naive_one_with_its_gradient(padding: int):
    rng = torch.Generator().manual_seed(2)
    lengths, vocab = [4, 2], 6
    logits = torch.randn(2, 4 + padding, vocab, generator=rng, dtype=torch.float64)
    token_ids = torch.randint(vocab, (2, 4 + padding), generator=rng)
    ours = logits.clone().requires_grad_()
    loss = batched_loss(ours, token_ids, lengths, 0.3, 0.9)
    loss.backward()
    theirs = logits.clone().requires_grad_()
    rows = [theirs[0, :4], theirs[1, :2]]
    texts = [token_ids[0, :4].tolist(), token_ids[1, :2].tolist()]
    expected = naive_loss(rows, texts, 0.3, 0.9)
    expected.backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_gradients_agree_with_finite_differences():
    logits = torch.randn(
        2, 3, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64
    ).requires_grad_()
    token_ids = torch.tensor([[1, 0, 3], [2, 2, 0]])
    assert torch.autograd.gradcheck(
        lambda x: batched_loss(x, token_ids, [3, 2], 0.5, 0.8), (logits,)
    )


@pytest.mark.parametrize("gamma", [1.0, 0.7])
def test_on_a_chain_the_penalty_drives_a_value_to_the_surprisal_that_remains(gamma: float):
    """Q8: where r = 0, V(s_t) = Σ_k γ^k (−log π(a_{t+k}|s_{t+k}))."""
    logits = torch.randn(
        1, 5, 4, generator=torch.Generator().manual_seed(4), dtype=torch.float64
    ).requires_grad_()
    token_ids = torch.tensor([[1, 0, 3, 2, 2]])
    optimizer = torch.optim.LBFGS([logits], max_iter=200, line_search_fn="strong_wolfe")

    def penalty():
        optimizer.zero_grad()
        both, likelihood = (batched_loss(logits, token_ids, [5], w, gamma) for w in (1.0, 0.0))
        (both - likelihood).backward()
        return both - likelihood

    optimizer.step(penalty)
    values = logits.detach().logsumexp(-1)[0]
    surprisals = values - logits.detach()[0].gather(-1, token_ids[0, :, None])[:, 0]
    remaining = [
        math.fsum(gamma**k * float(surprisals[t + k]) for k in range(5 - t)) for t in range(5)
    ]
    assert min(remaining) > 0.1  # the claim is about more than zeros
    torch.testing.assert_close(values, torch.tensor(remaining).double(), atol=1e-3, rtol=0)
