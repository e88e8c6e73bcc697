"""The value head of a student that learns by trials, and what else such a student says."""

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from models.students import OTHERS, gpt2, student_of, tokenizer_of, tokens
from tutelage.models.student import StudentConfig
from tutelage.models.student_module import VALUE_HEAD, Student, new_value_head


def with_values(student: Student) -> Student:
    """The same student with a value head."""
    return Student(student.model, new_value_head(student.base, folder=None, seed=3))


@pytest.mark.parametrize("name", ["GPT2", *OTHERS])
def test_values_are_read_from_the_state_before_each_token(name):
    """PPO-3: V of the state in which a token is chosen, from the trunk's last hidden state."""
    student, token_ids = with_values(student_of(name)), tokens(2, 7)
    hidden = student.base(token_ids, output_hidden_states=True).hidden_states[-1]
    assert student.value_head is not None
    expected = student.value_head(hidden[:, :-1]).squeeze(-1)
    torch.testing.assert_close(student(token_ids).values, expected, rtol=2e-6, atol=2e-6)
    keep = torch.zeros(2, 6, dtype=torch.bool)
    keep[0, 2:5] = keep[1, 1] = True
    kept = student(token_ids, keep=keep).values
    torch.testing.assert_close(kept, expected * keep, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("name", ["GPT2", *OTHERS])
def test_temperature_divides_the_logits(name):
    """PPO-3: in log-probabilities, log-sum-exps and entropies alike."""
    student, token_ids = student_of(name), tokens(2, 7)
    scores = student(token_ids, temperature=0.7, entropy=True)
    logits = student.model(token_ids).logits[:, :-1].float() / 0.7
    logprobs = logits.log_softmax(-1)
    chosen = logprobs.gather(-1, token_ids[:, 1:, None]).squeeze(-1)
    entropies = -(logprobs.exp() * logprobs).sum(-1)
    for part, expected in zip(scores, (chosen, logits.logsumexp(-1), entropies), strict=False):
        torch.testing.assert_close(part, expected, rtol=3e-6, atol=3e-6)


def test_new_heads_depend_on_the_seed_only():
    """PPO-3: N(0, 1/√(width + 1)) and bias 0."""
    config = StudentConfig(layers=1, heads=2, width=256, context=32)
    heads = [
        config.build(tokenizer_of(), seed=seed, value_head=True).value_head for seed in (1, 1, 2)
    ]
    assert torch.equal(heads[0].weight, heads[1].weight)
    assert not torch.equal(heads[0].weight, heads[2].weight)
    assert heads[0].bias.item() == 0
    # 256 draws: the deviation's own standard error is a factor 1 / √512.
    assert heads[0].weight.std().item() == pytest.approx(257**-0.5, rel=0.15)


@pytest.mark.parametrize("rank", [0, 2])
def test_value_heads_are_saved_beside_a_plain_checkpoint(tmp_path, rank):
    """X-4: Transformers loads the folder as if there were no value head."""
    tokenizer = tokenizer_of()
    config = StudentConfig(size="tiny", context=32, lora={"rank": rank})
    student = config.build(tokenizer, seed=1, value_head=True)
    torch.nn.init.constant_(student.value_head.bias, 0.25)
    student.save(tmp_path / "saved", tokenizer)
    model, info = AutoModelForCausalLM.from_pretrained(tmp_path / "saved", output_loading_info=True)
    assert not info["unexpected_keys"]
    assert not info["missing_keys"]
    token_ids = tokens(2, 5)
    torch.testing.assert_close(
        Student(model)(token_ids).logprobs, student(token_ids).logprobs, rtol=1e-5, atol=1e-5
    )
    assert load_file(tmp_path / "saved" / VALUE_HEAD)["bias"].item() == 0.25
    again = StudentConfig(path=str(tmp_path / "saved")).build(tokenizer, seed=9, value_head=True)
    torch.testing.assert_close(again(token_ids).values, student(token_ids).values)


def test_students_without_a_value_head_give_no_values():
    """PRE-1."""
    assert gpt2()(tokens(2, 5)).values is None
    assert gpt2()(tokens(2, 5)).entropies is None
