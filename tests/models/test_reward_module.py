"""Reward models: saved with everything, loaded by one call, refused when a part is missing."""

import json

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    T5EncoderModel,
)

from models.reward_models import MAX_TOKENS, READOUTS, readout_of, small_model, word_tokenizer
from tutelage.config import UserError
from tutelage.models.lora import Lora
from tutelage.models.reward_folder import FACTS, READOUT, Facts, load_reward_model, refuse_folder
from tutelage.models.reward_model import Trunk
from tutelage.rewards.preference import Preference

PROMPTS, RESPONSES = ["w1 w2", "w3", "w4 w5 w6"], [" w7", " w8 w9 w10", " w11"]
SHAPE = {
    "vocab_size": 50,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": MAX_TOKENS,
}


def rows() -> tuple[torch.Tensor, torch.Tensor]:
    """Three texts of several lengths."""
    token_ids = torch.randint(2, 50, (3, 8), generator=torch.Generator().manual_seed(0))
    return token_ids, torch.arange(8) < torch.tensor([[8], [3], [5]])


@pytest.mark.parametrize("kind", READOUTS)
def test_a_saved_model_scores_as_it_did(kind, tmp_path):
    """RM-1, R4: trunk, head, read-out's settings and scale."""
    model = small_model(kind)
    model.normalise(scale=0.5, shift=-1.0)
    model.save(tmp_path / "model", word_tokenizer())
    refuse_folder(str(tmp_path / "model"))
    loaded = load_reward_model(str(tmp_path / "model"))
    with torch.no_grad():
        expected = model(*rows())
    torch.testing.assert_close(loaded.model(*rows()), expected, rtol=0, atol=1e-6)
    assert loaded.facts == model.facts.model_copy(update={"scale": 0.5, "shift": -1.0})
    assert not any(part.requires_grad for part in loaded.model.parameters())
    assert {file.name for file in (tmp_path / "model").iterdir()} >= {"model.safetensors", FACTS}


@pytest.mark.parametrize("kind", READOUTS)
def test_in_bfloat16_scores_are_nearly_those_of_float32(kind):
    """X-3: and there are gradients."""
    model = small_model(kind)
    token_ids, mask = rows()
    expected = model(token_ids, mask)
    with torch.autocast("cpu", torch.bfloat16):
        found = model(token_ids, mask)
    found.sum().backward()
    size = expected.abs().max().item()
    # Weights as large as these amplify rounding, most through a decoder.
    torch.testing.assert_close(found, expected, rtol=0, atol=0.2 * size)
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("kind", READOUTS)
def test_the_preference_reward_reads_it_as_in_training(kind, tmp_path):
    """RM-1: framed alike, ended alike, scaled alike."""
    model = small_model(kind)
    model.normalise(scale=3.0, shift=0.25)
    model.save(tmp_path, word_tokenizer())
    found = Preference(path=str(tmp_path)).build()(PROMPTS, RESPONSES)
    texts = [p + r + " <end>" for p, r in zip(PROMPTS, RESPONSES, strict=True)]
    with torch.no_grad():
        alone = [model(word_tokenizer()(text, return_tensors="pt").input_ids) for text in texts]
    torch.testing.assert_close(found.scores, torch.cat(alone), rtol=0, atol=1e-5)
    assert found.notes is None


def test_a_last_token_model_loads_as_a_plain_classifier(tmp_path):
    """RM-6, X-4: Transformers gives the score before the scale."""
    model = small_model("last_token")
    model.save(tmp_path, word_tokenizer())
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    token_ids = rows()[0]
    with torch.no_grad():
        torch.testing.assert_close(plain(token_ids).logits[:, 0], model(token_ids))


def test_a_t5_trunk_loads_by_itself(tmp_path):
    """X-4."""
    model = small_model("full_attention")
    model.save(tmp_path, word_tokenizer())
    plain, info = T5EncoderModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    token_ids = rows()[0]
    torch.testing.assert_close(
        plain(token_ids).last_hidden_state, model.model(token_ids).last_hidden_state
    )


@pytest.mark.parametrize("kind", READOUTS)
def test_adapters_are_merged_when_saved(kind, tmp_path):
    """RM-1, R12: also with LoRA the head is there."""
    trunk = Trunk(layers=2, heads=2, width=16, lora=Lora(rank=2))
    model = small_model(kind, trunk=trunk)
    trained = {name for name, part in model.named_parameters() if part.requires_grad}
    assert all("lora" in name or name.startswith("readout.") for name in trained)
    with torch.no_grad():
        expected = model(*rows())
    model.save(tmp_path, word_tokenizer())
    found = load_reward_model(str(tmp_path)).model(*rows())
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (LlamaForSequenceClassification, LlamaConfig(**SHAPE, num_labels=1, pad_token_id=0)),
        (BertForSequenceClassification, BertConfig(**SHAPE, num_labels=1)),
    ],
)
def test_any_classifier_can_be_trained_further_and_keeps_its_head(kind, config, tmp_path):
    """RM-6, TND-4."""
    plain = kind(config).eval()
    plain.save_pretrained(tmp_path / "plain")
    facts = Facts(readout=readout_of("last_token"), max_tokens=MAX_TOKENS, add_eos=True)
    model = Trunk(path=str(tmp_path / "plain")).build(word_tokenizer(), facts, seed=0).eval()
    token_ids = rows()[0]
    with torch.no_grad():
        expected = plain(token_ids).logits[:, 0]
        torch.testing.assert_close(model(token_ids), expected)
        model.save(tmp_path / "model", word_tokenizer())
        loaded = load_reward_model(str(tmp_path / "model")).model
        torch.testing.assert_close(loaded(token_ids), expected)
    assert model.can_be_cached == (kind is LlamaForSequenceClassification)


def test_a_missing_read_out_is_refused(tmp_path):
    """RM-1, R12: its scores would be random."""
    small_model("decoder_output").save(tmp_path, word_tokenizer())
    (tmp_path / READOUT).unlink()
    with pytest.raises(UserError, match=r"has no readout\.safetensors, so its scores would be"):
        Preference(path=str(tmp_path)).check()


def test_a_read_out_of_another_trunk_is_refused(tmp_path):
    """RM-1."""
    small_model("decoder_output").save(tmp_path / "a", word_tokenizer())
    wide = Trunk(layers=2, heads=2, width=32)
    small_model("decoder_output", trunk=wide).save(tmp_path / "b", word_tokenizer())
    (tmp_path / "b" / READOUT).replace(tmp_path / "a" / READOUT)
    with pytest.raises(UserError, match=r"does not belong to the model beside it: size mismatch"):
        load_reward_model(str(tmp_path / "a"))


@pytest.mark.parametrize("content", ["{", "[]", '{"version": 9, "max_tokens": 4, "add_eos": true}'])
def test_damaged_facts_are_refused(content, tmp_path):
    """RM-1."""
    small_model("decoder_output").save(tmp_path, word_tokenizer())
    (tmp_path / FACTS).write_text(content)
    with pytest.raises(UserError, match="is damaged, or of another version"):
        Preference(path=str(tmp_path)).check()


def test_a_trunk_that_a_read_out_cannot_use_is_refused(tmp_path):
    """RM-1, RM-6."""
    two = LlamaForSequenceClassification(LlamaConfig(**SHAPE))
    two.save_pretrained(tmp_path / "two")
    one = LlamaForSequenceClassification(LlamaConfig(**SHAPE, num_labels=1))
    one.save_pretrained(tmp_path / "llama")
    small_model("decoder_output").save(tmp_path / "t5", word_tokenizer())

    def build(path, kind, **options):
        facts = Facts(readout=readout_of(kind), **{"max_tokens": 32, "add_eos": True, **options})
        return Trunk(path=str(tmp_path / path)).build(word_tokenizer(), facts, seed=0)

    with pytest.raises(UserError, match=r"layerwise_attention reads a T5, but .* is a llama"):
        build("llama", "layerwise_attention")
    with pytest.raises(UserError, match="has 2 labels, but a reward model has one"):
        build("two", "last_token")
    with pytest.raises(UserError, match=r"last_token reads decoders and classifiers, but .* t5"):
        build("t5", "last_token")
    with pytest.raises(UserError, match=r"--max-tokens is 33, but .* reads at most 32 tokens"):
        build("llama", "last_token", max_tokens=33)
    facts = Facts(readout=readout_of("decoder_output"), max_tokens=32, add_eos=True)
    with pytest.raises(UserError, match=r"has 62 tokens, but the model .* for 50 only"):
        Trunk(path=str(tmp_path / "t5")).build(word_tokenizer(60), facts, seed=0)


def test_a_t5_without_weights_is_refused(tmp_path):
    """RM-1: an encoder alone has no decoder to read."""
    small_model("full_attention").save(tmp_path, word_tokenizer())
    facts = Facts(readout=readout_of("decoder_output"), max_tokens=32, add_eos=True)
    with pytest.raises(UserError, match=r"has no weights for decoder\."):
        Trunk(path=str(tmp_path)).build(word_tokenizer(), facts, seed=0)


def test_options_that_exclude_each_other_are_refused():
    """X-1."""
    with pytest.raises(UserError, match="Give one of them"):
        Trunk(frozen=True, lora=Lora(rank=2)).check()
    with pytest.raises(UserError, match=r"--model\.size 5mm is not known; did you mean 5m"):
        Trunk(size="5mm").check()
    with pytest.raises(UserError, match=r"--model\.path \./nowhere is not a folder"):
        Trunk(path="./nowhere").check()


def test_new_weights_depend_on_the_seed_only():
    """X-3."""
    facts = Facts(readout=readout_of("full_attention"), max_tokens=32, add_eos=True)

    def head(seed: int) -> list[float]:
        torch.rand(3)
        model = Trunk(size="tiny").build(word_tokenizer(), facts, seed=seed)
        return model.readout.score.weight[0].tolist()

    assert head(1) == head(1) != head(2)


def test_facts_read_back_equal():
    """X-2."""
    facts = Facts(readout=readout_of("full_attention"), max_tokens=9, add_eos=False, scale=2.5)
    assert Facts.model_validate(json.loads(json.dumps(facts.model_dump(mode="json")))) == facts
