"""Small heads, the plain one, and what is compared of both."""

import torch
from torch.nn import functional as F

from tutelage.chunked_head.task import Head
from tutelage.tensors import TokenScores

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
    rng = torch.Generator().manual_seed(positions)
    return {"reference": reference, "uniforms": torch.rand(positions, generator=rng)}


COMPARISONS = ["alone", "kl", "drawn"]
