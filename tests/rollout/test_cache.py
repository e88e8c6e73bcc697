"""The key-value cache that has room from the start."""

import pytest
import torch

from models.students import gpt2, tokenizer_of
from tutelage.rollout import cache
from tutelage.rollout.cache import RoomyCache
from tutelage.rollout.engine import Sampling, sample


def test_single_tokens_are_shown_a_multiple_of_places_with_zeros_behind():
    """Prompts are shown as they are; then shapes change every 16 tokens only."""
    (layer,) = RoomyCache(1, 32).layers
    prompts = torch.ones(2, 1, 3, 4)
    keys, values = layer.update(prompts, 2 * prompts)
    assert keys.shape == values.shape == (2, 1, 3, 4)
    widths = []
    for number in range(29):
        keys, values = layer.update(*2 * [torch.full((2, 1, 1, 4), float(number))])
        widths.append(keys.shape[2])
        assert (keys[:, :, 3 + number] == number).all()
        assert not keys[:, :, 4 + number :].any()
        assert not values[:, :, 4 + number :].any()
    assert widths == [16] * 13 + [32] * 16
    assert layer.get_seq_length() == 32


def test_keys_can_be_kept_in_another_type():
    """Values stay what they are."""
    (layer,) = RoomyCache(1, 16, key_dtype=torch.float32).layers
    state = torch.full((1, 1, 2, 4), 0.1, dtype=torch.bfloat16)
    keys, values = layer.update(state, state)
    assert (keys.dtype, values.dtype) == (torch.float32, torch.bfloat16)
    assert torch.equal(keys, state.float())


@pytest.mark.parametrize("bfloat16", [True, False])
def test_places_behind_the_text_take_no_part(monkeypatch, bfloat16):
    """PPO-3: the same texts and log-probabilities as without any such places."""
    found = []
    for places in (1, 16):
        monkeypatch.setattr(cache, "_PLACES", places)
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            sampling = Sampling(max_tokens=12, min_tokens=3)
            prompts = [[1, 2, 3], [4], [5, 6, 7, 8, 9, 1, 2]]
            found.append(sample(gpt2(), tokenizer_of(), prompts, sampling, seed=0))
    first, second = found
    assert first.response_ids == second.response_ids
    torch.testing.assert_close(first.logprobs, second.logprobs, rtol=1e-5, atol=1e-5)
