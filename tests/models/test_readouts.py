"""Read-outs: each against a naive version, and padding against none."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from models.reward_models import READOUTS, small_model
from tutelage.config import UserError
from tutelage.models.readout_modules import AttentionPooling, Scoring, WeightedPooling
from tutelage.models.readouts import (
    AttentionPooledDecoder,
    AttentionPooledEncoder,
    DecoderOutput,
    FullAttention,
    LayerwiseAttention,
)

WIDTH, BLOCKS, TIME = 8, 3, 5


def states_of(kind: str, seed: int = 0) -> torch.Tensor:
    """Hidden states of one text, as this read-out reads them (block, time, hidden)."""
    blocks = 1 if kind == "decoder_output" else BLOCKS
    time = TIME if kind in ("layerwise_attention", "full_attention") else 1
    return torch.randn(blocks, time, WIDTH, generator=torch.Generator().manual_seed(seed))


def pooled(part, rows: list[torch.Tensor]) -> torch.Tensor:
    """Attention over rows, one number at a time; then GELU(U x) V x."""
    normed = [row / (row.square().mean() + 1e-6).sqrt() * part.norm.weight for row in rows]
    powers = [(part.pooling.query @ row).exp() for row in normed]
    mixed = sum(power / sum(powers) * row for power, row in zip(powers, normed, strict=True))
    gate = F.gelu(part.projection.gate.weight @ mixed, approximate="tanh")
    return gate * (part.projection.value.weight @ mixed)


def naive(module: Scoring, kind: str, states: torch.Tensor) -> torch.Tensor:
    """The score of one text without padding, by the equations."""
    own = module.pooling
    if kind == "decoder_output":
        features = states[0, 0]
    elif kind in ("layerwise_attention", "full_attention"):
        layers = [pooled(block, list(states[i])) for i, block in enumerate(own.blocks)]
        if kind == "layerwise_attention":
            weights = own.across.weights
        else:
            weights = torch.stack([own.across.query @ layer for layer in layers]).softmax(0)
        features = sum(weight * layer for weight, layer in zip(weights, layers, strict=True))
    else:
        features = pooled(own.pooling, list(states[:, 0]))
    for norm, linear, _ in zip(*[iter(module.layers)] * 3, strict=True):
        normed = features / (features.square().mean() + 1e-6).sqrt() * norm.weight
        features = F.gelu(linear.weight @ normed, approximate="tanh")
    return module.score.weight[0] @ features


def built(kind, **options) -> Scoring:
    """A read-out with weights that are all different."""
    module = kind(**options).build(WIDTH, BLOCKS)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.7)
    return module


CASES = {
    "layerwise_attention": (
        LayerwiseAttention, {"pooling_output_dim": 6, "n_blocks_to_use": "all"}
    ),
    "full_attention": (FullAttention, {"pooling_output_dim": 6, "n_blocks_to_use": 3}),
    "decoder_output": (DecoderOutput, {}),
    "attention_pooled_encoder": (AttentionPooledEncoder, {"pooling_output_dim": 6}),
    "attention_pooled_decoder": (AttentionPooledDecoder, {"pooling_output_dim": 6}),
}  # fmt: skip


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("extra_layers", [(), (7, 4)])
def test_a_read_out_is_its_equations(kind, extra_layers):
    """RM-1."""
    config, options = CASES[kind]
    module = built(config, **options, extra_layers=extra_layers)
    texts = [states_of(kind, seed) for seed in range(4)]
    mask = torch.ones(4, texts[0].shape[1], dtype=torch.bool)
    found = module(torch.stack(texts), mask)
    expected = torch.stack([naive(module, kind, states) for states in texts])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert found.std() > 0.01


@pytest.mark.parametrize("kind", ["layerwise_attention", "full_attention"])
def test_states_that_do_not_count_change_nothing(kind):
    """RM-1, R8: the original pooled over padding."""
    config, options = CASES[kind]
    module = built(config, **options)
    states, mask = states_of(kind)[None], torch.tensor([[True, True, True, False, False]])
    other = torch.where(mask[:, None, :, None], states, 100.0)
    torch.testing.assert_close(module(states, mask), module(other, mask))
    whole = module(states[:, :, :3], mask[:, :3])
    torch.testing.assert_close(module(states, mask), whole)
    assert (module(states, torch.ones_like(mask)) - whole).abs() > 1e-3


def test_attention_pooling_with_no_preference_is_the_mean():
    """RM-1."""
    pooling = AttentionPooling(4)
    nn.init.zeros_(pooling.query)
    states = torch.randn(2, 3, 4)
    torch.testing.assert_close(pooling(states), states.mean(1))


def test_weighted_pooling_is_a_weighted_sum():
    """RM-1: by hand, 2 · (1, 0) − 1 · (0, 3)."""
    pooling = WeightedPooling(2)
    pooling.weights.data = torch.tensor([2.0, -1.0])
    assert pooling(torch.tensor([[[1.0, 0.0], [0.0, 3.0]]])).tolist() == [[2.0, -3.0]]


@settings(max_examples=10, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 7), min_size=2, max_size=4),
    width=st.integers(7, 10),
    side=st.sampled_from(["left", "right"]),
)
@pytest.mark.parametrize("kind", READOUTS)
def test_padding_never_changes_a_score(kind, lengths, width, side):
    """RM-1, R5, R8: whatever the read-out, the side and the amount."""
    model = small_model(kind)
    rng = torch.Generator().manual_seed(sum(lengths))
    rows = [torch.randint(2, 50, (length,), generator=rng) for length in lengths]
    token_ids = torch.randint(50, (len(rows), width), generator=rng)
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for index, row in enumerate(rows):
        place = slice(0, len(row)) if side == "right" else slice(width - len(row), width)
        token_ids[index, place] = row
        mask[index, place] = True
    with torch.no_grad():
        found = model(token_ids, mask)
        alone = torch.cat([model(row[None]) for row in rows])
    torch.testing.assert_close(found, alone, rtol=0, atol=1e-5)


def test_more_blocks_than_there_are_is_refused():
    """RM-1."""
    with pytest.raises(UserError, match="is 4, but this trunk has 2 blocks"):
        small_model("layerwise_attention", n_blocks_to_use=4)
