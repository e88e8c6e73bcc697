"""A student beside a reference: the KL, and what the reference's reading leaves alone."""

import copy
from contextlib import contextmanager, nullcontext

import pytest
import torch
from torch import nn

from models.students import VOCAB, gpt2, other, student_of, tokens
from tutelage.config import UserError
from tutelage.models.lora import Lora
from tutelage.models.student_module import Against, Student

PAIRS = [("GPT2", "Llama"), ("Llama", "GPT2"), ("Llama", "Gemma2"), ("Gemma2", "Llama")]
PAIRS.append(("Gemma2", "Cohere"))


def frozen(student: Student, *draws) -> Against:
    """Against a copy of a student, left in the mode of training with dropout in it."""
    reference = copy.deepcopy(student).requires_grad_(False).train()
    return Against(lambda: nullcontext(reference), *draws)


def distributions(student: Student, token_ids):
    """Log-probabilities of every token, from the model's own logits."""
    return student.model(token_ids).logits[:, :-1].float().log_softmax(-1)


def kl(student: Student, reference: Student, token_ids):
    """The definition."""
    logprobs = distributions(student, token_ids)
    with torch.no_grad():
        ref_logprobs = distributions(reference, token_ids)
    return (logprobs.exp() * (logprobs - ref_logprobs)).sum(-1)


def assert_same_gradients(loss, expected, student, **tolerances):
    learning = [p for p in student.parameters() if p.requires_grad]
    grads = torch.autograd.grad(loss, learning, allow_unused=True)
    wanted = torch.autograd.grad(expected, learning, allow_unused=True)
    for grad, want in zip(grads, wanted, strict=True):
        torch.testing.assert_close(grad, want, **tolerances)


@pytest.mark.parametrize(("name", "reference"), PAIRS)
def test_kl_is_that_of_the_full_logits(name, reference):
    """IRL-2: in value and gradient, where one, both or none of them has a chunked head."""
    student, reference, token_ids = student_of(name), student_of(reference), tokens(2, 7)
    scores = student(token_ids, against=frozen(reference))
    expected = kl(student, reference, token_ids)
    torch.testing.assert_close(scores.kls, expected, rtol=1e-5, atol=3e-6)
    assert_same_gradients(scores.kls.mean(), expected.mean(), student, rtol=1e-4, atol=1e-6)
    alone = student(token_ids)
    torch.testing.assert_close(scores.logprobs, alone.logprobs, rtol=1e-6, atol=1e-6)
    assert alone.kls is None


@pytest.mark.parametrize("name", ["GPT2", "Gemma2"])
def test_kl_of_a_student_to_itself_is_zero(name):
    """IRL-2: and teaches nothing, even where the reference is the very same module."""
    student, token_ids = student_of(name), tokens(2, 7)
    with torch.autocast("cpu", torch.bfloat16):
        scores = student(token_ids, against=Against(lambda: nullcontext(student)))
    torch.testing.assert_close(scores.kls, torch.zeros(2, 6), rtol=0, atol=1e-6)
    scores.kls.sum().backward(retain_graph=True)
    assert all(p.grad.abs().max() < 1e-5 for p in student.parameters() if p.grad is not None)
    scores.logprobs.sum().backward()
    # Weights that autocast rounded for the reference, without a graph, must not be used again.
    assert all(p.grad is not None and p.grad.any() for p in student.parameters() if p.dim() > 1)


@pytest.mark.parametrize("name", ["GPT2", "Gemma2"])
@pytest.mark.parametrize("draws", [False, True], ids=["kl", "drawn"])
def test_padding_and_tokens_left_out_change_nothing(name, draws):
    """X-5, IRL-2: numbers are drawn for states that are compared, in their order."""
    student, reference, token_ids = student_of(name), other("Llama"), tokens(2, 6)

    def against():
        return frozen(reference, *([torch.Generator().manual_seed(4)] if draws else []))

    keep = torch.tensor([[0, 0, 1, 1, 1], [0, 1, 1, 1, 0]], dtype=torch.bool)
    expected = student(token_ids, keep=keep, against=against())
    padded = torch.cat([torch.zeros(2, 3, dtype=torch.long), token_ids], 1)
    mask, kept = (
        torch.cat([torch.zeros(2, 3).bool(), part], 1) for part in (padded[:, 3:] >= 0, keep)
    )
    scores = student(padded, keep=kept, mask=mask, against=against())
    names = ("drawn_logprobs", "drawn_ref_logprobs") if draws else ("kls",)
    for part in names:
        found, wanted = getattr(scores, part), getattr(expected, part)
        torch.testing.assert_close(found[:, 3:], wanted, rtol=1e-5, atol=1e-5)
        assert found.count_nonzero() == wanted.count_nonzero() == 6
    assert (scores.kls is None) == draws


def test_documents_of_a_block_are_compared_apart():
    """PRE-1: the reference's document mask is that of its own kind."""
    student, reference = other("Llama"), gpt2()
    parts = [tokens(1, 4), tokens(1, 5, seed=1)]
    segments = (torch.arange(9) >= 4)[None].long()
    scores = student(torch.cat(parts, 1), segments=segments, against=frozen(reference))
    for part, start in zip(parts, (0, 4), strict=True):
        wanted = kl(student, reference, part)
        found = scores.kls[:, start : start + wanted.shape[1]]
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_draws_go_on_from_one_portion_to_the_next():
    """X-5: two rows one after the other are drawn for as both at once."""
    student, reference, token_ids = gpt2(), other("Llama"), tokens(4, 12)
    whole = student(token_ids, against=frozen(reference, torch.Generator().manual_seed(1)))
    against = frozen(reference, torch.Generator().manual_seed(1))
    parts = [student(rows, against=against).drawn_ref_logprobs for rows in token_ids.split(2)]
    torch.testing.assert_close(torch.cat(parts), whole.drawn_ref_logprobs, rtol=1e-5, atol=1e-5)


def test_draws_are_the_students_own():
    """IRL-2: over many draws in one state, the log-ratio's mean is the KL."""
    student, reference, token_ids = other("Llama"), other("GPTNeoX"), tokens(1, 2)
    wanted = kl(student, reference, token_ids).item()
    against = frozen(reference, torch.Generator().manual_seed(0))
    scores = student(token_ids.expand(4_000, 2), against=against)
    ratios = scores.drawn_logprobs - scores.drawn_ref_logprobs
    assert ratios.mean().item() == pytest.approx(wanted, abs=4 * ratios.std().item() / 4_000**0.5)
    assert not scores.drawn_ref_logprobs.requires_grad


@pytest.mark.parametrize("name", ["GPT2", "Gemma2"])
def test_references_learn_nothing(name):
    """IRL-2: even one that nobody has frozen."""
    student, reference = other("Llama"), student_of(name)
    student(tokens(2, 5), against=Against(lambda: nullcontext(reference))).kls.sum().backward()
    assert all(parameter.grad is None for parameter in reference.parameters())


# Under LoRA


def adapted(**options) -> tuple[Student, Against]:
    """A LoRA student whose adapters do something, and itself without them as its reference."""
    student = gpt2(lora=Lora(rank=2, alpha=8), **options)
    rng = torch.Generator().manual_seed(0)
    for name, parameter in student.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.5, generator=rng)

    @contextmanager
    def without_adapters():
        with student.model.disable_adapter():
            yield student

    return student, Against(without_adapters)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_adapters_are_off_for_the_reference_alone():
    """IRL-2: the KL is that to the model as it was, and its gradient that of the adapters."""
    (student, against), token_ids = adapted(), tokens(2, 7)
    scores, base = student(token_ids, against=against), gpt2()
    expected = kl(student, base, token_ids)
    assert expected.min() > 1e-4
    torch.testing.assert_close(scores.kls, expected, rtol=1e-4, atol=1e-6)
    assert_same_gradients(scores.kls.mean(), expected.mean(), student, rtol=1e-3, atol=1e-7)
    for name, parameter in student.named_parameters():
        assert parameter.requires_grad == ("lora_" in name)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_dropout_is_the_students_alone():
    """P3: the reference has none and takes no random number; modes are as they were."""
    (student, against), token_ids = adapted(dropout=0.4), tokens(2, 7)
    student.train()
    drops = next(part for part in student.modules() if isinstance(part, nn.Dropout))
    drops.eval()
    modes = [part.training for part in student.modules()]
    seen = []
    for options in ({}, {"against": against}):
        torch.manual_seed(3)
        scores = student(token_ids, **options)
        seen.append((scores.logprobs, torch.get_rng_state()))
    assert torch.equal(seen[0][0], seen[1][0])
    assert torch.equal(seen[0][1], seen[1][1])
    assert [part.training for part in student.modules()] == modes


def test_reference_reads_without_dropout():
    """P3: whichever mode it was lent in."""
    student, token_ids = other("Llama"), tokens(2, 7)
    reference = gpt2(dropout=0.4)
    expected = kl(student, reference, token_ids)
    kls = student.train()(token_ids, against=frozen(reference)).kls
    torch.testing.assert_close(kls, expected, rtol=1e-5, atol=1e-5)


def test_references_with_other_heads_are_refused():
    """X-1: one clear sentence, with both sizes."""
    student, reference = gpt2(), gpt2()
    reference.base.resize_token_embeddings(VOCAB + 3)
    for one, another in ((student, reference), (reference, student)):
        sizes = [each.base.get_output_embeddings().out_features for each in (another, one)]
        with pytest.raises(UserError, match=f"has {sizes[0]} tokens and the student's {sizes[1]}"):
            one(tokens(1, 4), against=frozen(another))
