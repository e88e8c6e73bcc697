"""The chunked head against the plain one: scores, KL to a reference, gradients."""

import subprocess
import sys

import hypothesis
import pytest
import torch
from hypothesis import strategies
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from chunked_head.heads import (
    COMPARISONS,
    ROW,
    assert_same,
    beside,
    example,
    gradients,
    plain_head,
    reference_of,
)
from tutelage.chunked_head.head import chunked_head
from tutelage.chunked_head.task import Head


@pytest.mark.parametrize("kept_bytes", [0, 2**20], ids=["recomputed", "kept"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("entropy", [True, False])
@pytest.mark.parametrize("comparison", COMPARISONS)
def test_gradients_agree_with_finite_differences(kept_bytes, bias, entropy, comparison):
    """X-5, IRL-2."""
    inputs = example(positions=5, width=3, vocab=4, dtype=torch.float64, bias=bias)
    options = {"block_bytes": 2 * 4 * 4, "kept_bytes": kept_bytes, "entropy": entropy}
    options |= beside(comparison, 5, 4, torch.float64)

    def scores(*tensors):
        found = chunked_head(*tensors, **options)._replace(drawn_ref_logprobs=None)
        return tuple(part for part in found if part is not None)

    assert torch.autograd.gradcheck(scores, inputs)


@hypothesis.settings(deadline=None, max_examples=80, derandomize=True)
@hypothesis.given(
    positions=strategies.integers(0, 9),
    width=strategies.integers(1, 6),
    vocab=strategies.integers(1, 13),
    bias=strategies.booleans(),
    block_bytes=strategies.integers(1, 10 * ROW),
    kept_bytes=strategies.sampled_from([0, 2**20]),
    entropy=strategies.booleans(),
    comparison=strategies.sampled_from(COMPARISONS),
)
def test_scores_and_gradients_equal_the_definition(
    block_bytes, kept_bytes, entropy, comparison, **sizes
):
    """X-5, IRL-2: whatever the blocks, and all results in one loss."""
    inputs = example(**sizes)
    asked = {"entropy": entropy, **beside(comparison, sizes["positions"], sizes["vocab"])}
    options = {"block_bytes": block_bytes, "kept_bytes": kept_bytes, **asked}
    expected = plain_head(*inputs, **asked)
    scores = chunked_head(*inputs, **options)
    assert_same(scores, expected, rtol=2e-6, atol=2e-6)
    expected = gradients(plain_head, inputs, **asked)
    grads = gradients(chunked_head, inputs, **options)
    assert_same(grads, expected, rtol=2e-6, atol=8e-6)


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_blocks_of_several_strips(comparison):
    """X-5: 25 positions over 50,000 tokens are one block, and three strips of what caches hold."""
    inputs = example(positions=25, width=2, vocab=50_000)
    asked = {"entropy": True, **beside(comparison, 25, 50_000)}
    scores = chunked_head(*inputs, kept_bytes=0, **asked)
    assert_same(scores, plain_head(*inputs, **asked), rtol=1e-5, atol=1e-5)
    expected = gradients(plain_head, inputs, **asked)
    grads = gradients(chunked_head, inputs, kept_bytes=0, **asked)
    assert_same(grads, expected, rtol=1e-4, atol=2e-5)


def test_weight_gradient_is_added_up_in_slices():
    """X-5: in bfloat16, 2,000 rows of 600 numbers are more than the caches hold."""
    inputs = example(positions=4, width=600, vocab=2_000, bias=False, scale=0.04)
    expected = gradients(plain_head, inputs)
    with torch.autocast("cpu", torch.bfloat16):
        grads = gradients(chunked_head, inputs)
    for grad, wanted in zip(grads, expected, strict=True):
        assert (grad - wanted).norm() < 0.01 * wanted.norm()


@pytest.mark.parametrize("kept_bytes", [0, 2**20], ids=["recomputed", "kept"])
@pytest.mark.parametrize("comparison", COMPARISONS)
def test_bfloat16_rounds_matrix_products_only(kept_bytes, comparison):
    """X-5: the autocast type reaches the products; results and sums stay in float32."""
    inputs = example(positions=40, width=16, vocab=64, bias=False)
    asked = {"entropy": True, **beside(comparison, 40, 64)}
    with torch.autocast("cpu", torch.bfloat16):
        scores = chunked_head(*inputs, kept_bytes=kept_bytes, **asked)
        hidden, weight = (tensor.bfloat16() for tensor in inputs[:2])
        rounded = dict(asked)
        if comparison != "alone":
            rounded["reference"] = Head(*(part.bfloat16() for part in asked["reference"]))
        expected = plain_head(hidden, weight, None, inputs[3], **rounded)
        grads = gradients(chunked_head, inputs, kept_bytes=kept_bytes, **asked)
    results = [part for part in (*scores, *grads) if part is not None]
    assert {tensor.dtype for tensor in results} == {torch.float32}
    assert_same(scores, expected, rtol=1e-6, atol=3e-6)
    if comparison == "drawn":  # from the rounded logits, other tokens may be drawn
        asked = {"entropy": True, **rounded}
        inputs = (hidden, weight, None, inputs[3])
    exact = gradients(plain_head, inputs, **asked)
    for grad, reference in zip(grads, exact, strict=True):
        assert (grad - reference).norm() < 0.008 * reference.norm()


def test_weight_gradient_of_many_blocks_is_summed_in_float32():
    """X-5: 300 blocks in bfloat16 would lose the small shares beside the growing sum."""
    hidden, weight = torch.ones(300, 2, requires_grad=True), torch.zeros(2, 2, requires_grad=True)
    targets = torch.zeros(300, dtype=torch.long)
    with torch.autocast("cpu", torch.bfloat16):
        scores = chunked_head(hidden, weight, None, targets, block_bytes=1, kept_bytes=0)
    scores.logprobs.sum().backward()
    assert weight.grad.tolist() == [[150, 150], [-150, -150]]  # 300 times 1 − ½ and −½


def test_gradient_of_a_confident_token_keeps_its_size():
    """X-5: where the target has nearly all probability, 1 − p must not be rounded away."""
    hidden, weight = torch.tensor([[1.0]]), torch.tensor([[6.0], [0.0]])
    inputs = (hidden.requires_grad_(), weight.requires_grad_(), None, torch.tensor([0]))
    expected = torch.autograd.grad(plain_head(*inputs).logprobs.sum(), weight)[0]
    with torch.autocast("cpu", torch.bfloat16):
        grad = torch.autograd.grad(chunked_head(*inputs).logprobs.sum(), weight)[0]
    torch.testing.assert_close(grad, expected, rtol=0.004, atol=0)


def test_large_logits_do_not_overflow():
    """X-5."""
    inputs = example(scale=1e4)
    assert_same(chunked_head(*inputs), plain_head(*inputs), rtol=1e-6, atol=1e-6)
    asked = {"entropy": True, "reference": reference_of(scale=1e4)}
    assert all(grad.isfinite().all() for grad in gradients(chunked_head, inputs, **asked))


@pytest.mark.parametrize("kept_bytes", [0, 2**20], ids=["recomputed", "kept"])
def test_head_may_be_used_twice_in_one_graph(kept_bytes):
    """X-5: a loss that reads the scores of two batches, with a weight tied to the embedding."""
    _, weight, _, _ = example()
    token_ids, targets = torch.arange(8), torch.arange(8).flip(0)

    def loss(head, **options):
        hidden = F.embedding(token_ids, weight)
        first = head(hidden, weight, None, targets, **options).logprobs.sum()
        return first * head(hidden.cos(), weight, None, token_ids, **options).logsumexps.sum()

    expected = torch.autograd.grad(loss(plain_head), weight)
    grad = torch.autograd.grad(
        loss(chunked_head, block_bytes=3 * ROW, kept_bytes=kept_bytes), weight
    )
    assert_same(grad, expected, rtol=5e-6, atol=1e-5)


def test_entropy_of_impossible_tokens_is_none():
    """PPO-3: a logit of −∞ is a probability of 0, and adds nothing to the entropy."""
    hidden = torch.ones(1, 1)
    weight = torch.tensor([[0.0], [0.0], [-torch.inf]])
    scores = chunked_head(hidden, weight, None, torch.tensor([0]), entropy=True)
    # Two tokens of one half each: ln 2.
    torch.testing.assert_close(scores.entropies, torch.tensor([0.6931472]))


def test_backward_may_run_twice():
    """X-5."""
    inputs = example()
    loss = chunked_head(*inputs).logprobs.sum()
    first = torch.autograd.grad(loss, inputs[:3], retain_graph=True)
    assert_same(torch.autograd.grad(loss, inputs[:3]), first, rtol=0, atol=0)


def test_frozen_tensors_get_no_gradient():
    """PRE-1: under LoRA the head's weight is frozen."""
    hidden, weight, bias, targets = example()
    inputs = (hidden, weight.detach(), bias.detach(), targets)
    chunked_head(*inputs).logprobs.sum().backward()
    expected = torch.autograd.grad(plain_head(*inputs).logprobs.sum(), hidden)
    assert_same([hidden.grad], expected, rtol=1e-6, atol=1e-6)


def saved_bytes(*, vocab, kept_bytes, **asked):
    """Bytes that the graph holds for the backward pass."""
    sizes = {}

    def note(tensor):
        sizes[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        inputs = example(positions=64, width=8, vocab=vocab, bias=False)
        sizes.clear()
        scores = chunked_head(*inputs, block_bytes=4096, kept_bytes=kept_bytes, **asked)
    assert scores.logprobs.requires_grad
    return sum(sizes.values())


def test_nothing_of_the_logits_is_kept_above_the_limit():
    """X-5."""
    hidden, weight, targets = 64 * 8 * 4, 4096 * 8 * 4, 64 * 8
    logits, results = 64 * 4096 * 4, 2 * 64 * 4
    least = hidden + weight + targets + results
    assert saved_bytes(vocab=4096, kept_bytes=logits - 1) == least
    assert saved_bytes(vocab=4096, kept_bytes=logits) == least + logits
    # Logits would be needed again for the gradient of a KL, so nothing else is kept either.
    reference = reference_of(positions=64, vocab=4096)
    assert saved_bytes(vocab=4096, kept_bytes=logits, reference=reference) < least + 4 * results


class Operations(TorchDispatchMode):
    """Names of the operations run."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names = {*getattr(self, "names", ()), func.__name__.partition(".")[0]}
        return func(*args, **(kwargs or {}))


def test_without_gradient_nothing_is_prepared_for_a_backward_pass():
    """X-5."""
    with torch.no_grad(), Operations() as scored:
        scores = chunked_head(*example())
    with Operations() as learnt:
        assert_same(scores, chunked_head(*example()), rtol=0, atol=0)
    assert learnt.names - scored.names >= {"scatter_add_"}


PEAK = """
import resource, torch
from tutelage.chunked_head.head import chunked_head
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
def step(positions):
    hidden = torch.randn(positions, 16, requires_grad=True)
    scores = chunked_head(hidden, weight, None, torch.zeros(positions, dtype=torch.long))
    scores.logprobs.sum().backward()
weight = torch.randn(50_257, 16, requires_grad=True)
step(4)
before = peak()
step(1024)
print(peak() - before, 1024 * 50_257 * 4)
"""


def test_full_logits_never_exist():
    """X-5: peak memory of forward and backward over 206 MB worth of logits."""
    result = subprocess.run(
        [sys.executable, "-c", PEAK], capture_output=True, text=True, check=True
    )
    extra, logits = map(int, result.stdout.split())
    assert extra < 0.4 * logits
