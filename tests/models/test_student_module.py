"""Students: what they say of tokens, and how they are saved."""

import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM

from models.students import (
    OTHERS,
    PLAIN_HEAD,
    VOCAB,
    gpt2,
    model_logprobs,
    other,
    student_of,
    tokenizer_of,
    tokens,
)
from tutelage.config import UserError
from tutelage.models.architecture import max_context
from tutelage.models.student import Lora, StudentConfig
from tutelage.models.student_module import Student

# What a student says of tokens


@pytest.mark.parametrize("name", ["GPT2", *OTHERS])
def test_scores_are_those_of_the_model(name):
    """PRE-1: whatever an architecture does to its logits."""
    student, token_ids = student_of(name), tokens(3, 11)
    scores = student(token_ids)
    torch.testing.assert_close(
        scores.logprobs, model_logprobs(student.model, token_ids), rtol=2e-6, atol=2e-6
    )
    logits = student.model(token_ids).logits[:, :-1].float()
    torch.testing.assert_close(scores.logsumexps, logits.logsumexp(-1), rtol=2e-6, atol=2e-6)
    assert student.has_chunked_head == (name not in PLAIN_HEAD)


class Doubled(torch.nn.Linear):
    """An output head that does more than its weight says."""

    def forward(self, input):
        """Twice the product."""
        return 2 * super().forward(input)


def test_heads_of_another_kind_are_scored_as_they_are():
    """PRE-1."""
    model, token_ids = other("Llama").model, tokens(2, 6)
    model.lm_head = Doubled(16, VOCAB, bias=False)
    torch.testing.assert_close(
        Student(model)(token_ids).logprobs, model_logprobs(model, token_ids), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("is_training", [True, False])
def test_looking_at_the_head_leaves_the_mode_of_training(is_training):
    """PRE-1."""
    assert Student(gpt2().model.train(is_training)).model.training == is_training


@pytest.mark.parametrize("name", ["GPT2", "Llama", "Gemma2"])
def test_loss_and_gradients_are_those_of_transformers(name):
    """EV-1."""
    student, token_ids = student_of(name), tokens(3, 11)
    parameters = list(student.parameters())
    loss = -student(token_ids).logprobs.mean()
    expected = student.model(token_ids, labels=token_ids).loss
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)
    grads = torch.autograd.grad(loss, parameters)
    expected = torch.autograd.grad(expected, parameters)
    for grad, reference in zip(grads, expected, strict=True):
        torch.testing.assert_close(grad, reference, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", ["GPT2", *OTHERS])
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(name, side):
    """X-5."""
    student, token_ids = student_of(name), tokens(2, 6)
    expected = student(token_ids).logprobs
    padding = torch.full((2, 3), VOCAB - 2)
    real, unreal = torch.ones_like(token_ids, dtype=torch.bool), torch.zeros(2, 3, dtype=torch.bool)
    order = slice(None, None, -1 if side == "left" else 1)
    padded = torch.cat((token_ids, padding)[order], 1)
    scores = student(padded, mask=torch.cat((real, unreal)[order], 1))
    kept = slice(3, None) if side == "left" else slice(0, 5)
    torch.testing.assert_close(scores.logprobs[:, kept], expected, rtol=1e-5, atol=1e-5)
    assert scores.logprobs.count_nonzero() == scores.logsumexps.count_nonzero() == expected.numel()


@pytest.mark.parametrize("name", ["GPT2", *OTHERS])
@pytest.mark.parametrize("given", [True, False], ids=["positions given", "positions counted"])
def test_packed_documents_do_not_see_each_other(name, given):
    """PRE-1: the document mask."""
    student = student_of(name)
    lengths = [5, 1, 4, 6]
    documents = [tokens(1, length, seed=length) for length in lengths]
    segments = torch.cat([torch.full((1, n), i) for i, n in enumerate(lengths)], 1)
    positions = torch.cat([torch.arange(n)[None] for n in lengths], 1) if given else None
    scores = student(torch.cat(documents, 1), segments=segments, positions=positions).logprobs
    start = 0
    for document in documents:
        end = start + document.shape[1]
        alone = student(document).logprobs
        torch.testing.assert_close(scores[:, start : end - 1], alone, rtol=1e-5, atol=1e-5)
        start = end


@pytest.mark.parametrize("name", ["GPT2", "Llama"])
def test_document_mask_and_left_padding_go_together(name):
    """PRE-1."""
    student, first, second = student_of(name), tokens(1, 4), tokens(1, 5, seed=1)
    padded = torch.cat((torch.zeros(1, 3, dtype=torch.long), first, second), 1)
    mask = (torch.arange(12) >= 3)[None]
    segments = (torch.arange(12) >= 7)[None].long()
    scores = student(padded, segments=segments, mask=mask).logprobs
    for part, start in ((first, 3), (second, 7)):
        alone = student(part).logprobs
        kept = scores[:, start : start + alone.shape[1]]
        torch.testing.assert_close(kept, alone, rtol=1e-5, atol=1e-5)
    scores.sum().backward()
    assert all(p.grad.isfinite().all() for p in student.parameters())


@pytest.mark.parametrize("name", ["GPT2", "Gemma2"])
def test_document_mask_works_in_bfloat16(name):
    """PRE-1."""
    student, token_ids = student_of(name), tokens(2, 9)
    segments = torch.arange(9).expand(2, 9) // 5
    expected = student(token_ids, segments=segments).logprobs
    with torch.autocast("cpu", torch.bfloat16):
        logprobs = student(token_ids, segments=segments).logprobs
    torch.testing.assert_close(logprobs, expected, rtol=0, atol=0.15)


def test_models_without_attention_refuse_a_document_mask():
    """PRE-1."""
    config = transformers.MambaConfig(
        vocab_size=VOCAB, hidden_size=8, num_hidden_layers=1, state_size=4, pad_token_id=0
    )
    student = Student(AutoModelForCausalLM.from_config(config)).eval()
    token_ids = tokens(1, 4)
    assert student(token_ids).logprobs.shape == (1, 3)
    with pytest.raises(UserError, match="can't be masked from each other in MambaForCausalLM"):
        student(token_ids, segments=torch.zeros_like(token_ids))


def test_document_mask_longer_than_a_sliding_window_is_refused():
    """PRE-1."""
    student, token_ids = other("Mistral"), tokens(1, 33)
    with pytest.raises(UserError, match=r"33 tokens is longer .* MistralForCausalLM \(32 tokens\)"):
        student(token_ids, segments=torch.zeros_like(token_ids))


@pytest.mark.parametrize("name", ["GPT2", "Gemma2"])
def test_only_kept_tokens_are_scored(name, monkeypatch):
    """IRL-1: the others are 0 and do not reach the output head."""
    student, token_ids = student_of(name), tokens(3, 7)
    keep = torch.rand(3, 6, generator=torch.Generator().manual_seed(0)) < 0.4
    scored = []
    score = Student.score
    monkeypatch.setattr(
        Student,
        "score",
        lambda self, s, t, *rest: (scored.append(len(t)), score(self, s, t, *rest))[1],
    )
    scores, expected = student(token_ids, keep=keep), student(token_ids)
    assert scored == [keep.sum(), keep.numel()]
    for part, whole in zip(scores[:2], expected[:2], strict=True):
        torch.testing.assert_close(part, whole * keep, rtol=1e-6, atol=1e-6)


def test_batch_with_nothing_to_score_still_has_gradients():
    """X-5: a process whose share is all prompt must still take part in the backward pass."""
    student, token_ids = gpt2(), tokens(2, 5)
    scores = student(token_ids, keep=torch.zeros(2, 4, dtype=torch.bool))
    scores.logprobs.sum().backward()
    assert all(p.grad is not None and not p.grad.any() for p in student.parameters())


@pytest.mark.parametrize("keep", [None, torch.ones(2, 4, dtype=torch.bool)])
def test_results_are_no_views(keep):
    """X-5: changed in place, a view would skip the hooks of a sharded student's backward pass."""
    assert not any(part._is_view() for part in gpt2()(tokens(2, 5), keep=keep)[:2])


def test_bfloat16_stays_close():
    """PRE-1."""
    student, token_ids = gpt2(), tokens(3, 11)
    expected = student(token_ids).logprobs
    with torch.autocast("cpu", torch.bfloat16):
        logprobs = student(token_ids).logprobs
    assert logprobs.dtype == torch.float32
    torch.testing.assert_close(logprobs, expected, rtol=0, atol=0.01)


@pytest.mark.parametrize(
    ("name", "expected"), [("GPT2", 32), ("Llama", 64), ("OPT", 64), ("GPTNeoX", 64)]
)
def test_context_is_known_for_any_architecture(name, expected):
    """PRE-1."""
    student = student_of(name)
    assert student.context == max_context(student.base) == expected


# How a student is saved


def test_saved_folder_is_a_plain_transformers_model(tmp_path):
    """X-4."""
    student, token_ids = gpt2(), tokens(2, 8)
    student.save(tmp_path / "saved", tokenizer_of())
    names = {file.name for file in (tmp_path / "saved").iterdir()}
    assert names >= {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["saved"]
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "saved").eval()
    for name, weight in student.model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weight)
    torch.testing.assert_close(
        loaded(token_ids).logits, student.model(token_ids).logits, rtol=1e-6, atol=1e-6
    )
    again = gpt2(path=str(tmp_path / "saved"))
    assert torch.equal(again(token_ids).logprobs, student(token_ids).logprobs)


def test_saved_folder_has_tied_weights_once(tmp_path):
    """X-4: also from the copies that a gathered state dict holds."""
    from safetensors import safe_open

    student = gpt2()
    weights = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    student.save(tmp_path / "saved", tokenizer_of(), weights)
    with safe_open(tmp_path / "saved/model.safetensors", "pt") as file:
        assert "lm_head.weight" not in file.keys()  # noqa: SIM118
    again = gpt2(path=str(tmp_path / "saved"))
    torch.testing.assert_close(again.state_dict(), student.state_dict(), rtol=0, atol=0)


def test_nothing_is_printed_where_a_run_draws_its_own_progress(tmp_path, capfd):
    """X-1."""
    gpt2().save(tmp_path / "saved", tokenizer_of())
    gpt2(path=str(tmp_path / "saved"))
    assert capfd.readouterr() == ("", "")


def test_saving_replaces_an_old_folder(tmp_path):
    """X-4."""
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved/old.txt").write_text("old")
    gpt2().save(tmp_path / "saved", tokenizer_of())
    assert not (tmp_path / "saved/old.txt").exists()


def adapted(targets=()):
    """A LoRA student whose adapters do something."""
    student = gpt2(lora=Lora(rank=2, alpha=8, targets=targets))
    rng = torch.Generator().manual_seed(0)
    for name, parameter in student.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.5, generator=rng)
    return student


def test_only_adapters_learn_under_lora():
    """PRE-1."""
    student = adapted()
    student(tokens(2, 8)).logprobs.sum().backward()
    for name, parameter in student.named_parameters():
        assert (parameter.grad is not None) == ("lora_" in name)


def test_adapters_have_the_settings_given():
    """PRE-1."""
    settings = gpt2(dropout=0.25, lora=Lora(rank=2, alpha=8)).model.peft_config["default"]
    assert (settings.r, settings.lora_alpha, settings.lora_dropout) == (2, 8, 0.25)


def test_lora_targets_choose_the_layers():
    """PRE-1."""
    adapters = {name for name, p in adapted(("c_fc",)).named_parameters() if p.requires_grad}
    assert len(adapters) == 4
    assert all("c_fc" in name for name in adapters)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
@pytest.mark.parametrize("gathered", [True, False])
def test_lora_student_is_saved_merged_and_as_an_adapter(tmp_path, gathered):
    """X-4: the folder loads without PEFT, the adapter alone with it; the student is unchanged."""
    from peft import PeftModel

    student, token_ids = adapted(), tokens(2, 8)
    before = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    student.save(tmp_path / "saved", tokenizer_of(), before if gathered else None)
    torch.testing.assert_close(student.state_dict(), before, rtol=0, atol=0)
    expected = student.model(token_ids).logits
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "saved").eval()
    torch.testing.assert_close(loaded(token_ids).logits, expected, rtol=1e-5, atol=1e-6)
    fresh = gpt2().model
    assert (fresh(token_ids).logits - expected).abs().max() > 1e-3
    alone = PeftModel.from_pretrained(fresh, tmp_path / "saved/adapter").eval()
    torch.testing.assert_close(alone(token_ids).logits, expected, rtol=1e-5, atol=1e-6)


def test_lora_on_llama_is_saved_merged(tmp_path):
    """X-4: its linear layers hold their weights the other way round from GPT-2's."""
    other("Llama").save(tmp_path / "base", tokenizer_of())
    student = gpt2(path=str(tmp_path / "base"), lora=Lora(rank=2))
    for name, parameter in student.named_parameters():
        if "lora_B" in name:
            torch.nn.init.constant_(parameter, 0.1)
    student.save(tmp_path / "saved", tokenizer_of())
    loaded = gpt2(path=str(tmp_path / "saved"))
    token_ids = tokens(2, 8)
    torch.testing.assert_close(
        loaded(token_ids).logprobs, student(token_ids).logprobs, rtol=1e-5, atol=1e-5
    )


# A real model


def test_real_model_scores_as_transformers_does(shared_data):
    """PRE-1: stories260K, a Llama that has learned to tell stories."""
    folder = shared_data / "stories260K"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    student = StudentConfig(path=str(folder)).build(tokenizer, seed=0).eval()
    text = "Once upon a time, there was a little girl named Lily. She loved to play."
    token_ids = torch.tensor([tokenizer.encode(text)])
    expected = student.model(token_ids, labels=token_ids).loss
    logprobs = student(token_ids).logprobs
    torch.testing.assert_close(-logprobs.mean(), expected, rtol=1e-5, atol=0)
    assert expected < 2
    assert student.has_chunked_head


def test_real_model_survives_saving(shared_data, tmp_path):
    """X-4."""
    folder = shared_data / "stories260K"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    student = StudentConfig(path=str(folder)).build(tokenizer, seed=0).eval()
    student.save(tmp_path / "saved", tokenizer)
    again = StudentConfig(path=str(tmp_path / "saved")).build(tokenizer, seed=0).eval()
    token_ids = torch.tensor([tokenizer.encode("Tom and Sue went to the park.")])
    assert torch.equal(student(token_ids).logprobs, again(token_ids).logprobs)
