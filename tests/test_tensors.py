"""Named generators, and the chunked head against the plain one."""

import subprocess
import sys

import hypothesis
import pytest
import torch
from hypothesis import strategies
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from tutelage.tensors import TokenScores, chunked_head, generator

ROW = 4 * 11  # bytes of one row of probabilities at vocabulary 11


def example(positions=7, width=5, vocab=11, dtype=torch.float32, bias=True, scale=1.0):
    rng = torch.Generator().manual_seed(positions * 100 + width)
    hidden = torch.randn(positions, width, generator=rng, dtype=dtype).requires_grad_()
    weight = (scale * torch.randn(vocab, width, generator=rng, dtype=dtype)).requires_grad_()
    offset = torch.randn(vocab, generator=rng, dtype=dtype).requires_grad_() if bias else None
    targets = torch.randint(vocab, (positions,), generator=rng)
    return hidden, weight, offset, targets


def plain_head(hidden, weight, bias, targets, *, entropy=False):
    """The definition: all logits at once, autograd's own backward pass."""
    logits = F.linear(hidden, weight, bias).to(torch.promote_types(hidden.dtype, torch.float32))
    logprobs = logits.log_softmax(1)
    chosen = logprobs.gather(1, targets[:, None]).squeeze(1)
    entropies = -(logprobs.exp() * logprobs).sum(1) if entropy else None
    return TokenScores(chosen, logits.logsumexp(1), entropies)


def gradients(head, inputs, **options):
    """Gradients of a loss in which every result has a weight of its own."""
    scores = head(*inputs, **options)
    rng = torch.Generator().manual_seed(5)
    parts = [part for part in scores if part is not None]
    factors = torch.randn(len(parts), len(inputs[0]), generator=rng, dtype=scores.logprobs.dtype)
    loss = sum((factor * part).sum() for factor, part in zip(factors, parts, strict=True))
    return torch.autograd.grad(loss, [tensor for tensor in inputs[:3] if tensor is not None])


def assert_same(left, right, **tolerances):
    for one, other in zip(left, right, strict=True):
        if one is not None or other is not None:
            torch.testing.assert_close(one, other, **tolerances)


@pytest.mark.parametrize("kept_bytes", [0, 2**20], ids=["recomputed", "kept"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("entropy", [True, False])
def test_gradients_agree_with_finite_differences(kept_bytes, bias, entropy):
    """X-5."""
    inputs = example(positions=5, width=3, vocab=4, dtype=torch.float64, bias=bias)

    def scores(*tensors):
        options = {"block_bytes": 2 * 4 * 4, "kept_bytes": kept_bytes, "entropy": entropy}
        return tuple(part for part in chunked_head(*tensors, **options) if part is not None)

    assert torch.autograd.gradcheck(scores, inputs)


@hypothesis.settings(deadline=None, max_examples=60, derandomize=True)
@hypothesis.given(
    positions=strategies.integers(0, 9),
    width=strategies.integers(1, 6),
    vocab=strategies.integers(1, 13),
    bias=strategies.booleans(),
    block_bytes=strategies.integers(1, 10 * ROW),
    kept_bytes=strategies.sampled_from([0, 2**20]),
    entropy=strategies.booleans(),
)
def test_scores_and_gradients_equal_the_definition(block_bytes, kept_bytes, entropy, **sizes):
    """X-5."""
    inputs = example(**sizes)
    options = {"block_bytes": block_bytes, "kept_bytes": kept_bytes, "entropy": entropy}
    expected = plain_head(*inputs, entropy=entropy)
    scores = chunked_head(*inputs, **options)
    assert_same(scores, expected, rtol=2e-6, atol=2e-6)
    expected = gradients(plain_head, inputs, entropy=entropy)
    grads = gradients(chunked_head, inputs, **options)
    assert_same(grads, expected, rtol=2e-6, atol=5e-6)


def test_bfloat16_rounds_matrix_products_only():
    """X-5: the autocast type reaches the products; results and sums stay in float32."""
    inputs = example(positions=40, width=16, vocab=64, bias=False)
    with torch.autocast("cpu", torch.bfloat16):
        scores = chunked_head(*inputs)
        hidden, weight = (tensor.bfloat16() for tensor in inputs[:2])
        expected = plain_head(hidden, weight, None, inputs[3])
        grads = gradients(chunked_head, inputs)
    assert {tensor.dtype for tensor in (*scores[:2], *grads)} == {torch.float32}
    assert_same(scores, expected, rtol=1e-6, atol=2e-6)
    exact = gradients(plain_head, inputs)
    for grad, reference in zip(grads, exact, strict=True):
        assert (grad - reference).norm() < 0.006 * reference.norm()


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
    assert all(grad.isfinite().all() for grad in gradients(chunked_head, inputs))


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


def saved_bytes(*, vocab, kept_bytes):
    """Bytes that the graph holds for the backward pass."""
    sizes = {}

    def note(tensor):
        sizes[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        inputs = example(positions=64, width=8, vocab=vocab, bias=False)
        sizes.clear()
        scores = chunked_head(*inputs, block_bytes=4096, kept_bytes=kept_bytes)
    assert scores.logprobs.requires_grad
    return sum(sizes.values())


def test_nothing_of_the_logits_is_kept_above_the_limit():
    """X-5."""
    hidden, weight, targets = 64 * 8 * 4, 4096 * 8 * 4, 64 * 8
    logits = 64 * 4096 * 4
    assert saved_bytes(vocab=4096, kept_bytes=logits - 1) == hidden + weight + targets
    assert saved_bytes(vocab=4096, kept_bytes=logits) == hidden + weight + targets + logits


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
from tutelage.tensors import chunked_head
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


def test_generators_differ_by_seed_and_by_name():
    """X-3."""
    paths = [
        (0,),
        (1,),
        (0, "data"),
        (0, "data", 1),
        (0, "data", 2),
        (0, "data", "1"),
        (0, "data1"),
    ]
    draws = {torch.rand((), generator=generator(*path)).item() for path in paths}
    assert len(draws) == len(paths)


def test_generators_are_the_same_everywhere():
    """X-3: the seed is the first eight bytes of a digest, so no Python version changes it."""
    assert generator(3, "data", 7).initial_seed() == generator(3, "data", 7).initial_seed()
    assert generator(3, "data", 7).initial_seed() % 2**64 == 0xE5DCC8979A09D67C
    assert generator(3).device.type == "cpu"


def test_generators_leave_the_global_one_alone():
    """X-3."""
    before = torch.get_rng_state()
    torch.rand(3, generator=generator(0, "data"))
    assert torch.equal(torch.get_rng_state(), before)
