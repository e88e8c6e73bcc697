import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, GPT2Config

from rewards.classifiers import CONTEXT, SHAPES, WORDS, save_classifier, tokenizer_of
from tutelage.config import UserError
from tutelage.models.reward_folder import load_reward_model
from tutelage.rewards.preference import Preference
from tutelage.rewards.protocol import RewardError


def texts(count: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Prompts and responses of many lengths, some responses ended and some empty."""
    rng = torch.Generator().manual_seed(seed)

    def words(low: int, high: int) -> str:
        number = int(torch.randint(low, high, (), generator=rng))
        chosen = torch.randint(20, (number,), generator=rng)
        return "".join(f" {WORDS[i]}" for i in chosen)

    prompts = [words(1, 6).strip() for _ in range(count)]
    responses = [words(0, 8) + (" <end>" if i % 3 == 0 else "") for i in range(count)]
    return prompts, responses


def reward(folder: Path, **options):
    config = Preference(path=str(folder), **options)
    config.check()
    return config.build()


def alone(folder: Path, rows: list[list[int]]) -> list[float]:
    """Each row's score by the model's own trunk and head, at its last token."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()

    def score(row: list[int]) -> float:
        token_ids = torch.tensor([row])
        if model.config.model_type == "bert":
            return model(token_ids).logits.item()
        return model.score(model.base_model(token_ids).last_hidden_state)[0, -1].item()

    with torch.no_grad():
        return [score(row) for row in rows]


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("pad", ["<pad>", "<end>"])
def test_a_score_is_read_at_the_last_token(name, pad, tmp_path):
    """PPO-2: also where the token that pads is the one that ends a text."""
    tokenizer = tokenizer_of(pad=pad, frame=name == "Bert")
    folder = save_classifier(tmp_path / "model", name, tokenizer)
    prompts, responses = texts(12)
    found = reward(folder)(prompts, responses)
    both = [prompt + response for prompt, response in zip(prompts, responses, strict=True)]
    if name == "Bert":  # its tokenizer ends every text, also those that say so themselves
        both = [text.removesuffix(" <end>") for text in both]
    by_hand = alone(folder, tokenizer(both)["input_ids"])
    assert found.scores.tolist() == pytest.approx(by_hand, abs=1e-5)
    assert found.terms["preference"].tolist() == found.scores.tolist()
    assert found.notes is None
    assert found.scores.std() > 0.05


@pytest.mark.parametrize("name", SHAPES)
def test_batches_do_not_change_the_scores(name, tmp_path):
    """PPO-2: neither padding nor order nor neighbours."""
    folder = save_classifier(tmp_path / "model", name, tokenizer_of(pad="<end>"))
    prompts, responses = texts(40)
    whole = reward(folder)(prompts, responses).scores
    small = reward(folder, batch_tokens=20)(prompts, responses).scores
    single = reward(folder, batch_tokens=1)(prompts, responses).scores
    back = reward(folder)(prompts[::-1], responses[::-1]).scores.flip(0)
    for other in (small, single, back):
        torch.testing.assert_close(other, whole, rtol=0, atol=1e-5)


def test_batches_keep_to_the_budget_of_tokens(tmp_path):
    """PPO-2."""
    model = reward(save_classifier(tmp_path / "model", "GPT2", tokenizer_of()), batch_tokens=24)
    sizes = []
    model.model.register_forward_pre_hook(lambda module, args: sizes.append(args[0].shape))
    prompts, responses = texts(40)
    model(prompts, responses)
    assert sum(rows for rows, _ in sizes) == 40
    assert max(rows * width for rows, width in sizes) <= 24
    assert len(sizes) < 20


def test_texts_may_end_in_every_word_there_is(tmp_path):
    """PPO-2: some token must be left to pad with."""
    folder = save_classifier(tmp_path / "model", "GPT2", tokenizer_of(pad="<end>"))
    ends = [*WORDS, "<end>", "<begin>", "<pad>"]
    prompts = ["w1 " * (1 + i % 5) for i in range(len(ends))]
    whole = reward(folder)(prompts, ends).scores
    single = reward(folder, batch_tokens=1)(prompts, ends).scores
    torch.testing.assert_close(whole, single, rtol=0, atol=1e-5)


def test_the_scores_may_take_part_in_training(tmp_path):
    """PPO-2."""
    folder = save_classifier(tmp_path / "model", "GPT2", tokenizer_of())
    scores = reward(folder)(["w1"], [" w2"]).scores
    assert scores.device.type == "cpu"
    weight = torch.ones(1, requires_grad=True)
    (weight * scores).sum().backward()
    assert weight.grad is not None


def test_empty_texts_and_batches_are_scored(tmp_path):
    """PPO-2: a text without a token is read as the token that ends texts."""
    folder = save_classifier(tmp_path / "model", "GPT2", tokenizer_of())
    found = reward(folder)(["w1", ""], ["", ""]).scores.tolist()
    assert found == pytest.approx(alone(folder, [[1], [21]]), abs=1e-5)
    assert reward(folder)([], []).scores.shape == (0,)


def test_an_empty_text_needs_a_token(tmp_path):
    """PPO-2."""
    tokenizer = tokenizer_of(ends=False)
    folder = save_classifier(tmp_path / "model", "GPT2", tokenizer)
    with pytest.raises(RewardError, match="can't score an empty text"):
        reward(folder)(["w1", ""], ["", ""])


@pytest.mark.parametrize("name", ["GPT2", "Bert"])
def test_of_a_text_that_is_too_long_the_end_is_read(name, tmp_path):
    """PPO-2: the response is kept, and the note says so."""
    tokenizer = tokenizer_of(frame=name == "Bert")
    folder = save_classifier(tmp_path / "model", name, tokenizer)
    words = [WORDS[i % 20] for i in range(3 * CONTEXT)]
    found = reward(folder)(["w1", " ".join(words[:-2])], [" w2", " ".join(["", *words[-2:]])])
    kept = words[-CONTEXT:] if name == "GPT2" else words[2 - CONTEXT :]
    row = tokenizer(" ".join(kept))["input_ids"]
    assert len(row) == CONTEXT
    assert found.scores[1].item() == pytest.approx(*alone(folder, [row]), abs=1e-5)
    assert found.notes == ["", f"only the last {CONTEXT} tokens were read"]


def test_a_folder_with_two_labels_is_refused(tmp_path):
    """X-1."""
    folder = save_classifier(tmp_path / "model", "GPT2", tokenizer_of(), num_labels=2)
    with pytest.raises(UserError, match="has 2 labels, but a reward model has one"):
        Preference(path=str(folder)).check()
    with pytest.raises(UserError, match="has 2 labels, but a reward model has one"):
        load_reward_model(str(folder))  # as from the hub, where config.json is not at hand


def test_a_language_model_is_refused(tmp_path):
    """RM-5: its head would start at random."""
    AutoModelForCausalLM.from_config(GPT2Config(**SHAPES["GPT2"], vocab_size=23)).save_pretrained(
        tmp_path
    )
    with pytest.raises(UserError, match="holds GPT2LMHeadModel, which is no reward model"):
        Preference(path=str(tmp_path)).check()


def test_a_head_without_weights_is_refused(tmp_path):
    """X-1: even where config.json promises one."""
    folder = save_classifier(tmp_path / "model", "GPT2", tokenizer_of())
    file = folder / "model.safetensors"
    weights = {name: value for name, value in load_file(file).items() if "score" not in name}
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"has no weights for score\.weight, which would start at"):
        reward(folder)


def test_a_tokenizer_that_knows_more_is_refused(tmp_path):
    """X-1."""
    folder = save_classifier(tmp_path / "model", "GPT2", tokenizer_of(), vocab_size=23)
    config = json.loads((folder / "config.json").read_text())
    tokenizer = tokenizer_of()
    tokenizer.add_tokens(["w99"])
    tokenizer.save_pretrained(folder)
    assert config["vocab_size"] == 23
    with pytest.raises(UserError, match="has 24 tokens, but the reward model there knows 23 only"):
        reward(folder)


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_folder_without_a_model_is_refused(content, tmp_path):
    """X-1."""
    if content:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(UserError, match="holds no model"):
        Preference(path=str(tmp_path)).check()


def test_a_missing_folder_is_refused(tmp_path):
    """X-1."""
    with pytest.raises(UserError, match="is not a folder"):
        Preference(path=str(tmp_path / "nowhere")).check()


def test_a_folder_without_weights_is_refused(tmp_path):
    """X-1: nothing is unpickled, and the name is said."""
    folder = save_classifier(tmp_path / "model", "GPT2", tokenizer_of())
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"No reward model can be loaded from .*model"):
        reward(folder)
