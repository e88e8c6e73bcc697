"""The chunked head against the plain one: scores, KL to a reference, gradients."""

import subprocess
import sys

import hypothesis
import pytest
import torch
from hypothesis import strategies
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from tutelage.chunked_head.head import chunked_head
from tutelage.chunked_head.task import Head
from tutelage.tensors import TokenScores, whole_scores

ROW = 4 * 11  # bytes of one row of probabilities at vocabulary 11


def example(positions=7, width=5, vocab=11, dtype=torch.float32, bias=True, scale=1.0):
    rng = torch.Generator().manual_seed(positions * 100 + width)
    hidden = torch.randn(positions, width, generator=rng, dtype=dtype).requires_grad_()
    weight = (scale * torch.randn(vocab, width, generator=rng, dtype=dtype)).requires_grad_()
    offset = torch.randn(vocab, generator=rng, dtype=dtype).requires_grad_() if bias else None
    targets = torch.randint(vocab, (positions,), generator=rng)
    return hidden, weight, offset, targets


def reference_of(positions=7, width=3, vocab=11, dtype=torch.float32, scale=1.0):
    """Another model's head: of a width of its own, with a bias."""
    rng = torch.Generator().manual_seed(positions + 31 * vocab)
    return Head(
        torch.randn(positions, width, generator=rng, dtype=dtype),
        scale * torch.randn(vocab, width, generator=rng, dtype=dtype),
        torch.randn(vocab, generator=rng, dtype=dtype),
    )


def plain_head(hidden, weight, bias, targets, *, entropy=False, reference=None, uniforms=None):
    """The definition: all logits at once, autograd's own backward pass."""
    logits = F.linear(hidden, weight, bias).to(torch.promote_types(hidden.dtype, torch.float32))
    logprobs = logits.log_softmax(1)
    chosen = logprobs.gather(1, targets[:, None]).squeeze(1)
    scores = TokenScores(chosen, logits.logsumexp(1))
    if entropy:
        scores = scores._replace(entropies=-(logprobs.exp() * logprobs).sum(1))
    if reference is None:
        return scores
    ref_logprobs = F.linear(*reference).to(logits.dtype).log_softmax(1)[:, : len(weight)]
    if uniforms is None:
        return scores._replace(kls=(logprobs.exp() * (logprobs - ref_logprobs)).sum(1))
    passed = logprobs.exp().cumsum(1) <= uniforms[:, None]
    drawn = passed.sum(1).clamp(max=logprobs.shape[1] - 1)[:, None]
    return scores._replace(
        drawn_logprobs=logprobs.gather(1, drawn).squeeze(1),
        drawn_ref_logprobs=ref_logprobs.gather(1, drawn).squeeze(1),
    )


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


def beside(kind, positions=7, vocab=11, dtype=torch.float32):
    """Arguments of a comparison: none, the KL, or what it is estimated from."""
    if kind == "alone":
        return {}
    reference = reference_of(positions=positions, vocab=vocab, dtype=dtype)
    if kind == "kl":
        return {"reference": reference}
    # One in each position's own part of [0, 1), so that no draw is a matter of rounding.
    rng = torch.Generator().manual_seed(positions)
    return {"reference": reference, "uniforms": torch.rand(positions, generator=rng)}


COMPARISONS = ["alone", "kl", "drawn"]


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


def whole_head(hidden, weight, bias, targets, *, reference=None, **options):
    """All logits at once, for models whose head is more than a product."""
    ref_logits = None if reference is None else reference.logits()
    return whole_scores(F.linear(hidden, weight, bias), targets, ref_logits=ref_logits, **options)


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_all_logits_at_once_give_the_same(comparison):
    """IRL-2."""
    inputs, asked = example(), {"entropy": True, **beside(comparison)}
    assert_same(whole_head(*inputs, **asked), plain_head(*inputs, **asked), rtol=2e-6, atol=2e-6)
    expected = gradients(plain_head, inputs, **asked)
    assert_same(gradients(whole_head, inputs, **asked), expected, rtol=2e-6, atol=5e-6)


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


def test_kl_by_hand():
    """IRL-2: of (¾, ¼) to (½, ½) it is ¾ ln 1½ + ¼ ln ½ nats; to itself it is 0."""
    logits = torch.tensor([[3.0], [1.0]]).log()
    reference = Head(torch.ones(1, 1), torch.zeros(2, 1), None)
    target = torch.tensor([0])
    kl = chunked_head(torch.ones(1, 1), logits, None, target, reference=reference).kls
    torch.testing.assert_close(kl, torch.tensor([0.75 * 0.4054651 - 0.25 * 0.6931472]))
    itself = Head(torch.ones(1, 1), logits, None)
    kl = chunked_head(torch.ones(1, 1), logits, None, target, reference=itself).kls
    torch.testing.assert_close(kl, torch.zeros(1), rtol=0, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_kl_and_its_gradient_do_not_see_numbers_added_to_all_logits(dtype):
    """IRL-2: the rewards' penalty moves log-sum-exps far away, and no KL with them."""
    inputs, reference = example(dtype=dtype), reference_of(dtype=dtype)

    def pulled(shift):
        hidden, weight, bias, targets = inputs
        kls = chunked_head(hidden, weight, bias + shift, targets, reference=reference).kls
        return kls, *torch.autograd.grad(kls.sum(), inputs[:3])

    tolerance = 4e-5 if dtype == torch.float32 else 1e-12
    assert_same(pulled(50.0), pulled(0.0), rtol=0, atol=tolerance)


def test_draws_estimate_the_kl_and_its_gradient():
    """IRL-2: the mean over evenly spaced draws, a number that any of a thousand states may get."""
    hidden, weight, bias, _ = example(positions=1, vocab=6)
    reference, many = reference_of(positions=1, vocab=6), 20_000
    targets, uniforms = torch.zeros(many, dtype=torch.long), (torch.arange(many) + 0.5) / many
    scores = chunked_head(
        hidden.expand(many, -1), weight, bias, targets,
        reference=reference._replace(hidden=reference.hidden.expand(many, -1)), uniforms=uniforms,
    )  # fmt: skip
    kl = chunked_head(hidden, weight, bias, targets[:1], reference=reference).kls
    ratios = scores.drawn_logprobs - scores.drawn_ref_logprobs
    torch.testing.assert_close(ratios.mean()[None], kl, rtol=1e-3, atol=1e-3)
    grads = torch.autograd.grad(ratios.square().mean() / 2, [hidden, weight])
    expected = torch.autograd.grad(kl.sum(), [hidden, weight])
    assert_same(grads, expected, rtol=2e-3, atol=2e-3)
    assert not scores.drawn_ref_logprobs.requires_grad


@pytest.mark.parametrize("head", [chunked_head, whole_head])
@pytest.mark.parametrize("comparison", COMPARISONS)
@pytest.mark.parametrize(
    ("logit", "ref_logit"), [(-torch.inf, 0), (-torch.inf, -torch.inf), (-300, -torch.inf)]
)
def test_impossible_tokens_add_nothing(head, comparison, logit, ref_logit):
    """IRL-2: a token of probability 0, whatever its logits, is as if it did not exist."""
    hidden, weight, bias, targets = example()
    asked = {"entropy": True, **beside(comparison)}
    if comparison != "alone":
        asked["reference"].weight[10] = 0
        asked["reference"].bias[10] = ref_logit
    with torch.no_grad():
        weight[10], bias[10] = 0, logit
    inputs = (hidden, weight, bias, targets % 10)

    def without(hidden, weight, bias, targets, **asked):
        return plain_head(hidden, weight[:10], bias[:10], targets, **asked)

    assert_same(head(*inputs, **asked), without(*inputs, **asked), rtol=2e-6, atol=2e-6)
    wanted = gradients(without, inputs, **asked)
    assert_same(gradients(head, inputs, **asked), wanted, rtol=2e-6, atol=8e-6)


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
