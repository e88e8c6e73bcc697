"""The recovered reward is the one that the policy is best for (IRL-3)."""

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from models.students import gpt2, other, tokens
from tutelage.config import UserError
from tutelage.rewards.token_rewards import Finished, finished, pieces, token_rewards
from tutelage.tensors import TokenScores

END = 3


class Chain(torch.nn.Module):
    """A student that chooses by the last token alone: row s holds the logits after token s."""

    def __init__(self, logits: torch.Tensor):
        super().__init__()
        self.logits = logits
        self.sizes: list[int] = []

    def forward(self, token_ids, *, mask, keep):
        """Scores of the kept tokens."""
        self.sizes.append(token_ids.numel())
        assert not self.training
        logits = self.logits[token_ids[:, :-1]]
        soft = logits.logsumexp(-1)
        chosen = logits.gather(-1, token_ids[:, 1:, None]).squeeze(-1)
        keep = keep & mask[:, 1:]
        return TokenScores((chosen - soft) * keep, soft * keep)


def soft_optimum(rewards: torch.Tensor, gamma: float) -> torch.Tensor:
    """Q of the best policy for r(s, a), where the state is the last token.

    By the soft Bellman equation Q = r + γ logsumexp Q', with 0 after the end.
    """
    q_values = rewards.clone()
    for _ in range(2000):
        values = q_values.logsumexp(-1)
        values[END] = 0
        q_values = rewards + gamma * values
    return q_values


def worlds(seed: int) -> torch.Tensor:
    """Rewards of 4 tokens after each of 4, so low that values exist without a discount too."""
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(4, 4, generator=rng) - 3


@pytest.mark.parametrize("gamma", [0.0, 0.8, 1.0])
def test_the_reward_that_made_a_policy_is_recovered(gamma):
    """IRL-3: on chains where r is known, token by token, the end token's too."""
    rewards = worlds(0)
    student = Chain(soft_optimum(rewards, gamma))
    rows = [Finished((0,), (1, 2, 2, END)), Finished((2, 1), (END,)), Finished((1,), (0, 1, END))]
    for row, found in zip(rows, token_rewards(student, rows, gamma=gamma), strict=True):
        states = (row.prompt_ids[-1], *row.response_ids[:-1])
        expected = rewards[list(states), list(row.response_ids)]
        torch.testing.assert_close(found.rewards, expected, rtol=0, atol=1e-5)
        assert found.total == pytest.approx(expected.sum().item(), abs=1e-5)


def test_two_tokens_by_hand():
    """IRL-3: logits 0 and ln 3 after token 0, ln 2 and ln 2 after token 1, γ = ½."""
    nothing = -1e9
    logits = torch.full((4, 4), nothing)
    logits[0, 1], logits[0, END] = 0.0, torch.tensor(3.0).log()
    logits[1, 1], logits[1, END] = torch.tensor([2.0, 2.0]).log()
    (found,) = token_rewards(Chain(logits), [Finished((0,), (1, END))], gamma=0.5)
    ln = torch.tensor([2.0, 4.0]).log()
    # V(0) = ln 4, V(1) = ln 4; r = Q − ½ V': 0 − ½ ln 4 = −ln 2, then ln 2 − 0.
    torch.testing.assert_close(found.soft_values, ln[[1, 1]])
    torch.testing.assert_close(found.logprobs, torch.stack([-ln[1], -ln[0]]))
    torch.testing.assert_close(found.rewards, torch.stack([-ln[0], ln[0]]))


def test_a_number_added_to_a_states_logits_changes_rewards_but_no_probability():
    """IRL-3: it is what the penalty of IQ-Learn teaches."""
    logits = worlds(1)
    row = Finished((0,), (1, 2, END))
    (before,) = token_rewards(Chain(logits.clone()), [row])
    logits[2] += 5
    (after,) = token_rewards(Chain(logits), [row])
    torch.testing.assert_close(after.logprobs, before.logprobs)
    shifts = torch.tensor([0.0, -5.0, 5.0])
    torch.testing.assert_close(after.rewards - before.rewards, shifts)


def random_rows(count: int) -> list[Finished]:
    rows = []
    for seed in range(count):
        ids = tokens(1, 3 + seed % 17, seed=seed)[0].tolist()
        split = 1 + seed % (len(ids) - 1)
        rows.append(Finished(tuple(ids[:split]), (*ids[split:], 36)))
    return rows


@pytest.mark.parametrize("make", [gpt2, lambda: other("Llama"), lambda: other("Gemma2")])
def test_neither_batches_nor_padding_nor_order_change_anything(make):
    """IRL-3: GPT-2's table of positions, rotary ones, and capped logits."""
    student, rows = make(), random_rows(30)
    whole = token_rewards(student, rows, gamma=0.9)
    single = token_rewards(student, rows, gamma=0.9, batch_tokens=1)
    back = token_rewards(student, rows[::-1], gamma=0.9, batch_tokens=50)[::-1]
    for others in (single, back):
        for one, two in zip(whole, others, strict=True):
            torch.testing.assert_close(one, two, rtol=0, atol=1e-5)
    for row, found in zip(rows, whole, strict=True):
        ids = torch.tensor([[*row.prompt_ids, *row.response_ids]])
        with torch.no_grad():
            logits = student.model(ids).logits[0, len(row.prompt_ids) - 1 : -1].float()
        values = torch.cat([logits.logsumexp(-1), torch.zeros(1)])
        chosen = logits.gather(-1, torch.tensor(row.response_ids)[:, None]).squeeze(-1)
        expected = chosen - 0.9 * values[1:]
        torch.testing.assert_close(found.rewards, expected, rtol=0, atol=1e-4)


def test_without_a_discount_rewards_add_up_to_the_prompts_value_plus_the_log_probability():
    """IRL-3: so responses to one prompt are ranked as by their log-probability."""
    for found in token_rewards(gpt2(), random_rows(10)):
        assert found.total == pytest.approx(
            (found.soft_values[0] + found.logprobs.sum()).item(), abs=1e-4
        )


def test_batches_keep_to_the_budget_and_equal_rows_are_read_once():
    """IRL-3: and get equal numbers, bit for bit; the student is left as it was."""
    student = Chain(worlds(2)).train()
    rows = [Finished((0,), (1,) * (n % 5) + (END,)) for n in range(40)]
    found = token_rewards(student, rows, batch_tokens=12)
    assert sum(student.sizes) <= 2 + 3 + 4 + 5 + 6 + 4
    assert max(student.sizes) <= 12
    assert all(torch.equal(found[n].rewards, found[n % 5].rewards) for n in range(40))
    assert student.training
    assert token_rewards(student, []) == []


def tokenizer_of(*, begin: bool, end: str | None = "<end>") -> PreTrainedTokenizerFast:
    """Words w0 … w5; perhaps one that puts <begin> before each text and <end> after it."""
    words = {f"w{i}": i for i in range(6)} | {"<begin>": 6, "<end>": 7}
    backend = Tokenizer(models.WordLevel(words, unk_token="w0"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if begin:
        backend.post_processor = processors.TemplateProcessing(
            single="<begin> $A <end>", special_tokens=[("<begin>", 6), ("<end>", 7)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<begin>" if begin else None, eos_token=end
    )


def test_prompt_and_response_are_tokens_apart_and_the_end_is_there_once():
    """IRL-3: as when responses are sampled."""
    rows = finished(tokenizer_of(begin=True), ["w1 w2", ""], ["w3", ""])
    assert rows == [Finished((6, 1, 2), (3, 7)), Finished((6,), (7,))]
    rows = finished(tokenizer_of(begin=False), ["w1 w2", ""], ["w3", ""])
    assert rows == [Finished((1, 2), (3, 7)), Finished((7,), (7,))]
    assert rows[0].length == 4


def test_a_response_that_spells_its_end_has_one():
    """IRL-3."""
    (row,) = finished(tokenizer_of(begin=False), ["w1"], ["w2 w3 <end>"])
    assert row.response_ids == (2, 3, 7)


def test_a_tokenizer_without_an_end_is_refused():
    """IRL-3."""
    with pytest.raises(UserError, match="has no end token"):
        finished(tokenizer_of(begin=False, end=None), ["w1"], ["w2"])


def test_pieces_add_up_to_the_response(tmp_path):
    """IRL-3: of a character that several tokens share, the last has it."""
    from evals.scorers import small_tokenizer

    tokenizer = small_tokenizer(tmp_path)
    text = " the cats 😀 sleep\n\n ok  "
    (row,) = finished(tokenizer, [""], [text])
    found = pieces(tokenizer, row.response_ids)
    assert "".join(found) == text + tokenizer.eos_token
    assert found.count("") == 3
    assert "😀" in found
