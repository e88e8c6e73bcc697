"""Drawing by inverse CDF over whole vocabularies, and attention of one token."""

import pytest
import torch

from models.students import gpt2, student_of, tokenizer_of
from tutelage.rollout.attention import single_query_attention
from tutelage.rollout.drawing import Choices, largest
from tutelage.rollout.engine import Sampling, sample


@pytest.mark.parametrize("vocab", [5, 128, 129, 1_000])
def test_a_token_is_where_the_cumulative_sum_passes_the_number(vocab):
    """PPO-3: for vocabularies shorter than a block of sums, longer, and no multiple of it."""
    rng = torch.Generator().manual_seed(0)
    # Multiples of 1/16 add up without rounding in any order.
    probs = torch.randint(0, 16, (1, vocab), generator=rng).float() / 16
    cumulative = probs.double().cumsum(1)[0]
    uniforms = torch.arange(0, 512) / 512
    drawn = Choices(probs.expand(512, -1), None, torch.ones(512)).draw(uniforms)
    for uniform, token in zip(uniforms.tolist(), drawn.tolist(), strict=True):
        share = uniform * float(cumulative[-1])
        assert token == next(t for t, end in enumerate(cumulative.tolist()) if end > share)


def test_what_has_no_probability_is_never_drawn():
    """PPO-3: not by the least and the largest number either, whatever is rounded."""
    rng = torch.Generator().manual_seed(0)
    probs = torch.rand(200, 700, generator=rng) ** 8
    probs[:, ::3] = 0.0
    probs[:, 650:] = 0.0
    for uniform in (0.0, 0.5, 1 - 2**-24):
        drawn = Choices(probs, None, torch.ones(200)).draw(torch.full((200,), uniform))
        assert bool((probs.gather(1, drawn[:, None]) > 0).all())


@pytest.mark.parametrize("vocab", [40, 1_024, 1_061])
@pytest.mark.parametrize("number", [1, 3])
def test_the_largest_numbers_are_those_of_a_whole_order(vocab, number):
    """PPO-3: with equal numbers, all in one block, in what no block holds, and with bans."""
    rng = torch.Generator().manual_seed(vocab)
    rows = torch.randint(0, 500, (30, vocab), generator=rng).float()
    rows[0, 5:8] = 600
    rows[1, -3:] = 700
    rows[2, :] = -torch.inf
    rows[3, 1:] = -torch.inf
    values, columns = largest(rows, number)
    assert torch.equal(values, rows.topk(number).values)
    assert torch.equal(rows.gather(1, columns), values)
    assert all(len(set(row)) == number for row in columns.tolist())


@pytest.mark.parametrize("name", ["GPT2", "Llama"])
def test_one_token_attends_as_in_the_fused_attention(name):
    """PPO-3: with padding, and with heads that share keys."""
    model = student_of(name).base.eval()
    token_ids, last = torch.tensor([[1, 2, 3], [0, 4, 5]]), torch.tensor([[6], [7]])
    mask = torch.tensor([[1, 1, 1, 1], [0, 1, 1, 1]])

    def logits():
        with torch.no_grad():
            past = model(token_ids, attention_mask=mask[:, :3], use_cache=True).past_key_values
            seen = torch.where(mask.bool(), 0.0, torch.finfo(torch.float32).min)[:, None, None]
            return model(last, attention_mask=seen, past_key_values=past).logits

    fused = logits()
    with single_query_attention(model):
        assert model.config._attn_implementation != "sdpa"
        torch.testing.assert_close(logits(), fused, rtol=0, atol=1e-5)


def test_the_model_keeps_its_attention():
    """X-3: after sampling, and after a failure."""
    student = gpt2()
    sample(student, tokenizer_of(), [[1, 2]], Sampling(max_tokens=2), seed=0)
    assert student.base.config._attn_implementation == "sdpa"
    with pytest.raises(KeyError), single_query_attention(student.base):
        raise KeyError
    assert student.base.config._attn_implementation == "sdpa"
