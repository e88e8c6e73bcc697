"""`--reward.kind recovered`: the sum of the rewards that a language model reveals (IRL-3)."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from rewards.classifiers import CONTEXT, save_classifier, tokenizer_of
from tutelage.config import UserError
from tutelage.rewards.combine import as_part
from tutelage.rewards.protocol import RewardError
from tutelage.rewards.recovered import Recovered


def save_model(folder: Path, *, ends: bool = True) -> Path:
    """A small causal language model of 23 tokens that reads 16."""
    from tutelage.models.student import StudentConfig

    sizes = StudentConfig(layers=2, heads=2, width=16, context=CONTEXT)
    student = sizes.build(tokenizer_of(), seed=0)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    student.save(folder, tokenizer_of(ends=ends))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("recovered") / "model")


def reward(folder: Path, **options):
    config = Recovered(path=str(folder), **options)
    config.check()
    assert config.columns() == ()
    return config.build(torch.device("cpu"))


def by_hand(folder: Path, prompt: list[int], response: list[int], gamma: float) -> float:
    """From the model's own logits: Σ Q − γ V', V' = 0 after the last token."""
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        logits = model(torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1]
    chosen = logits.gather(-1, torch.tensor(response)[:, None]).sum()
    return (chosen - gamma * logits.logsumexp(-1)[1:].sum()).item()


PROMPTS, RESPONSES = ["w1 w2", "w3", ""], ["w4 w5 w6", "", "w7 <end>"]
TOKENS = [([1, 2], [4, 5, 6, 21]), ([3], [21]), ([21], [7, 21])]


@pytest.mark.parametrize("gamma", [1.0, 0.5])
def test_a_score_is_the_sum_of_token_rewards(folder, gamma):
    """IRL-3: the end token is there once and counts; an empty response ends at once."""
    found = reward(folder, gamma=gamma)(PROMPTS, RESPONSES)
    expected = [by_hand(folder, *row, gamma) for row in TOKENS]
    assert found.scores.tolist() == pytest.approx(expected, abs=1e-4)
    assert found.terms["recovered"].tolist() == found.scores.tolist()
    assert found.notes is None
    means = reward(folder, gamma=gamma, average=True)(PROMPTS, RESPONSES).scores.tolist()
    by_length = [score / n for score, n in zip(expected, (4, 1, 2), strict=True)]
    assert means == pytest.approx(by_length, abs=1e-4)
    assert reward(folder)([], []).scores.shape == (0,)


def test_batches_do_not_change_the_scores(folder):
    """IRL-3: neither padding nor order nor neighbours; and the scores may take part in training."""
    prompts = [" ".join(f"w{n}" for n in range(1, 2 + k % 5)) for k in range(20)]
    responses = [" ".join(f"w{n}" for n in range(k % 7)) for k in range(20)]
    whole = reward(folder)(prompts, responses).scores
    single = reward(folder, batch_tokens=1)(prompts, responses).scores
    back = reward(folder)(prompts[::-1], responses[::-1]).scores.flip(0)
    for other in (single, back):
        torch.testing.assert_close(other, whole, rtol=0, atol=1e-4)
    (torch.ones(1, requires_grad=True) * whole).sum().backward()


def test_of_a_prompt_that_is_too_long_the_end_is_read(folder):
    """IRL-3: and the note says so; a response that is too long by itself stops the run."""
    words = [1 + k % 19 for k in range(40)]
    prompt = " ".join(f"w{n}" for n in words)
    found = reward(folder)([prompt, "w1"], ["w4 w5", "w4"])
    kept = words[-(CONTEXT - 3) :]
    assert found.scores[0].item() == pytest.approx(by_hand(folder, kept, [4, 5, 21], 1), abs=1e-4)
    assert found.notes == [f"only {CONTEXT - 3} tokens of the prompt were read", ""]
    with pytest.raises(RewardError, match="at most 16 tokens, and with its end a response has 41 "):
        reward(folder)(["w1"], [prompt])


def test_it_is_a_part_of_combinations(folder):
    """PPO-2."""
    part = as_part(f"0.5 recovered path={folder} average=true")
    assert part.reward == Recovered(path=str(folder), average=True)


def test_folders_without_a_language_model_are_refused(tmp_path):
    """X-1: cheaply, and in the words of rewards."""
    with pytest.raises(UserError, match=r"^The recovered reward's path .* holds no model"):
        Recovered(path=str(tmp_path)).check()
    with pytest.raises(UserError, match="is not a folder"):
        Recovered(path=str(tmp_path / "nowhere")).check()
    classifier = save_classifier(tmp_path / "classifier", "GPT2", tokenizer_of())
    with pytest.raises(UserError, match=r"holds GPT2ForSequenceClassification, trained to score"):
        Recovered(path=str(classifier)).check()


def test_a_model_without_weights_or_end_token_is_refused(tmp_path):
    """X-1."""
    endless = save_model(tmp_path / "endless", ends=False)
    with pytest.raises(UserError, match="has no end-of-text token"):
        reward(endless)
    whole = save_model(tmp_path / "whole")
    (whole / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"loaded from the recovered reward's path .*whole"):
        reward(whole)


def test_config_json_without_architectures_is_left_to_transformers(tmp_path):
    """X-4: other programs write less."""
    for content in ({"model_type": "gpt2"}, {"architectures": []}, []):
        (tmp_path / "config.json").write_text(json.dumps(content))
        Recovered(path=str(tmp_path)).check()
