"""The KL to a reference: by hand, estimated, from all logits at once, with impossible tokens."""

import pytest
import torch
from torch.nn import functional as F

from chunked_head.heads import (
    COMPARISONS,
    assert_same,
    beside,
    example,
    gradients,
    plain_head,
    reference_of,
)
from tutelage.chunked_head.head import chunked_head
from tutelage.chunked_head.task import Head
from tutelage.tensors import whole_scores


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
