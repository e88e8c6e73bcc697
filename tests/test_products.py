"""Products by oneDNN beside those of PyTorch."""

import pytest
import torch
from torch.nn import functional as F

from tutelage.products import has_onednn, linear, multiply, packed

needs_onednn = pytest.mark.skipif(not has_onednn(torch.float32), reason="a PyTorch without oneDNN")


def drawn(*shape, requires_grad=False):
    rng = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=rng).requires_grad_(requires_grad)


@needs_onednn
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5,), (0, 5), (1, 5), (7, 5), (2, 3, 5), (2, 0, 5)], ids=str)
def test_products_are_those_of_pytorch(shape, bias):
    """X-5: for rows, batches of rows, and none."""
    inputs, weight, offset = drawn(*shape), drawn(4, 5), drawn(4) if bias else None
    expected = F.linear(inputs, weight, offset)
    for found in (linear(inputs, weight, offset), linear(inputs, weight.T.clone().T, offset)):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@needs_onednn
@pytest.mark.parametrize("learned", ["ids", "w", "wb", "iwb"])
@pytest.mark.parametrize("transposed", [True, False])
@pytest.mark.parametrize("shape", [(5,), (6, 5), (3, 6, 5), (0, 5)], ids=str)
def test_gradients_are_those_of_pytorch(learned, transposed, shape):
    """X-5: whichever are asked for, also where the gradient that comes back is one number."""
    found = []
    for product in (linear, F.linear):
        inputs = drawn(*shape, requires_grad="i" in learned)
        weight = drawn(*((5, 4) if transposed else (4, 5)), requires_grad="w" in learned)
        bias = drawn(4, requires_grad="b" in learned)
        rows = inputs.flip(0) if len(shape) < 3 else inputs[:, ::2]
        output = product(rows, weight.T if transposed else weight, bias)
        (output.square().sum() + output.sum()).backward()
        found.append([part.grad for part in (inputs, weight, bias)])
    for own, expected in zip(*found, strict=True):
        assert (own is None) == (expected is None)
        if own is not None:
            torch.testing.assert_close(own, expected, rtol=1e-5, atol=1e-5)


@needs_onednn
def test_a_product_in_float32_is_one_of_onednn():
    """What it is for: without this, MKL would multiply."""
    names = operations(lambda: linear(drawn(2, 5), drawn(4, 5)))
    assert names == ["mkldnn::_linear_pointwise"]


def test_other_types_and_autocast_are_left_to_pytorch():
    """A double stays one, and autocast decides on the type."""
    inputs, weight = drawn(2, 5), drawn(4, 5)
    assert torch.equal(
        linear(inputs.double(), weight.double()), inputs.double() @ weight.T.double()
    )
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(inputs, weight).dtype == torch.bfloat16


@needs_onednn
def test_a_packed_weight_multiplies_alike():
    """X-5: also one that was a transposed view."""
    inputs, weight = drawn(3, 5), drawn(5, 4).T
    expected = F.linear(inputs, weight)
    torch.testing.assert_close(multiply(inputs, packed(weight)), expected, rtol=1e-6, atol=1e-6)


def operations(work):
    """Names of the outermost operations of some work."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as record:
        work()
    names = [event.name for event in record.events() if event.cpu_parent is None]
    return [name for name in names if "linear" in name or name in ("aten::mm", "aten::addmm")]
