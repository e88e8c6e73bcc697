import math

import pytest
import torch

from tutelage.rewards.random import Random

TEXTS = [f"text {i}" for i in range(10_000)]


def scores(prompts, responses, seed=0):
    return Random(seed=seed).build()(prompts, responses).scores


def test_scores_are_uniform():
    """PPO-2: mean 1/2, variance 1/12, a tenth in each tenth."""
    found = scores(TEXTS, TEXTS).double()
    error = math.sqrt(1 / 12 / len(TEXTS))
    assert found.mean().item() == pytest.approx(1 / 2, abs=4 * error)
    assert found.var().item() == pytest.approx(1 / 12, rel=0.04)
    counts = torch.histc(found, 10, 0, 1)
    assert ((counts - 1000) ** 2 / 1000).sum() < 27.9  # chi-square, 9 degrees, p = 0.001
    assert found.min() >= 0
    assert found.max() < 1


def test_a_text_keeps_its_score_in_any_batch():
    """X-3: what was called before makes no difference."""
    some = [7, 3, 3, 9000]
    texts = [TEXTS[i] for i in some]
    torch.testing.assert_close(scores(texts, texts), scores(TEXTS, TEXTS)[some], rtol=0, atol=0)


def test_seed_prompt_and_response_each_change_the_score():
    """PPO-2."""
    found = {scores(["a"], ["b"], seed=seed).item() for seed in range(3)}
    found |= {scores(["a"], ["c"]).item(), scores(["c"], ["b"]).item(), scores(["ab"], [""]).item()}
    assert len(found) == 6


def test_text_that_is_no_unicode_has_a_score():
    """PPO-2."""
    assert 0 <= scores([""], ["\ud800"]).item() < 1
