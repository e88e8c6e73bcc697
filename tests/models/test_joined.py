"""Pairs read as one row: the very same scores, and refused where they would not be."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BloomConfig,
    BloomForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    LlamaModel,
    MistralConfig,
    MistralForSequenceClassification,
    PreTrainedModel,
)

from models.reward_models import READOUTS, readout_of, small_model
from tutelage.models.joined import (
    BOTH,
    FIRST,
    SECOND,
    can_join,
    join,
    mask_of,
    num_shared,
    positions_of,
)
from tutelage.models.reward_folder import Facts
from tutelage.models.reward_module import RewardModel

CPU = torch.device("cpu")
MOST = 10
"""Tokens of the longest text, and all that the trunks here have positions for."""
PAIRS = [
    ([5, 6, 7, 8, 9, 10], [5, 6, 7, 3, 4, 2, 8, 9, 6, 4]),  # a prompt in common
    ([5, 6, 7], [5, 6, 7, 8]),  # the first begins the second
    ([4, 4, 4, 9], [4, 4]),
    ([3], [3, 3, 3]),
    ([2], [9]),  # nothing in common
]
SHAPE = {
    "vocab_size": 12,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_labels": 1,
    "pad_token_id": 0,
}


def gpt2() -> PreTrainedModel:
    shape = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": MOST}
    config = GPT2Config(vocab_size=12, **shape, num_labels=1, pad_token_id=0, resid_pdrop=0,
                        embd_pdrop=0, attn_pdrop=0)  # fmt: skip
    return GPT2ForSequenceClassification(config)


def llama(**options) -> PreTrainedModel:
    config = LlamaConfig(**{**SHAPE, "num_key_value_heads": 1, **options})
    return LlamaForSequenceClassification(config)


def reward_model(make) -> RewardModel:
    """A reward model over a classifier whose scores tell texts apart."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        classifier = make()
        for parameter in classifier.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.3)
    facts = Facts(readout=readout_of("last_token"), max_tokens=MOST, add_eos=True)
    return RewardModel.of(classifier, facts)


@pytest.mark.parametrize("make", [gpt2, llama])
def test_scores_and_gradients_are_those_of_the_texts_read_apart(make):
    """RM-2, X-6."""
    model = reward_model(make)
    token_ids, owners = join(PAIRS, CPU)
    together = model(token_ids, owners=owners)
    weights = torch.arange(1.0, len(together) + 1)
    (together * weights).sum().backward()
    grads = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    texts = [first for first, _ in PAIRS] + [second for _, second in PAIRS]
    apart = torch.cat([model(torch.tensor([text])) for text in texts])
    (apart * weights).sum().backward()
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-5)
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(grads[name], parameter.grad, rtol=1e-4, atol=1e-4)
    assert apart.std() > 0.1


@given(st.lists(st.integers(0, 2), min_size=1), st.lists(st.integers(0, 2), min_size=1))
def test_what_two_texts_share_ends_before_the_last_token_of_each(first, second):
    """RM-2."""
    most = min(len(first), len(second)) - 1
    naive = max(n for n in range(most + 1) if first[:n] == second[:n])
    assert num_shared(first, second) == naive


def test_each_token_sees_what_is_before_it_in_its_own_text():
    """RM-2: by hand."""
    token_ids, owners = join([([1, 2, 3], [1, 4]), ([5], [6])], CPU)
    assert token_ids.tolist() == [[1, 2, 3, 4], [5, 6, 0, 0]]
    assert owners.tolist() == [[BOTH, FIRST, FIRST, SECOND], [FIRST, SECOND, 0, 0]]
    assert positions_of(owners).tolist() == [[0, 1, 2, 1], [0, 0, 0, 0]]
    seen = mask_of(owners, torch.float32)[:, 0] == 0
    assert seen[0].int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 0, 1]]
    assert seen[1, :2].int().tolist() == [[1, 0, 0, 0], [0, 1, 0, 0]]
    assert seen[1].any(1).all()  # padding sees something, or it would be NaN


class Deaf(LlamaModel):
    """A trunk that takes an attention mask, and does not use it."""

    def forward(self, input_ids, attention_mask=None, position_ids=None, **options):
        """Hidden states."""
        return super().forward(input_ids, position_ids=position_ids, **options)


def deaf() -> PreTrainedModel:
    classifier = llama()
    classifier.model = Deaf(classifier.config)
    return classifier


def mistral() -> PreTrainedModel:
    config = MistralConfig(**SHAPE, num_key_value_heads=1, sliding_window=8)
    return MistralForSequenceClassification(config)


def bloom() -> PreTrainedModel:
    shape = {"vocab_size": 12, "hidden_size": 16, "n_layer": 1, "n_head": 2}
    return BloomForSequenceClassification(BloomConfig(**shape, num_labels=1, pad_token_id=0))


def bert() -> PreTrainedModel:
    return BertForSequenceClassification(BertConfig(**SHAPE))


@pytest.mark.parametrize("make", [gpt2, llama])
def test_decoders_with_attention_alone_can_read_pairs_joined(make):
    """RM-2."""
    model = reward_model(make).train()
    assert can_join(model, 10_000)
    assert model.training


@pytest.mark.parametrize("make", [deaf, bloom, bert])
def test_trunks_whose_scores_would_change_can_not(make):
    """RM-2: a mask not used, positions not told, a head of its own."""
    assert not can_join(reward_model(make), 4)


def test_a_sliding_window_must_hold_a_pair():
    """RM-2."""
    model = reward_model(mistral)
    assert can_join(model, 8)
    assert not can_join(model, 9)


def test_attention_must_take_a_mask():
    """RM-2: flash attention takes none of this shape."""
    model = reward_model(llama)
    model.base.config._attn_implementation = "flash_attention_2"
    assert not can_join(model, 4)


@pytest.mark.parametrize("kind", [kind for kind in READOUTS if kind != "last_token"])
def test_read_outs_of_a_t5_can_not(kind):
    """RM-2: an encoder's tokens see all others."""
    assert not can_join(small_model(kind), 4)
