"""Layers of Transformers models in the fastest way there is on a CPU."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.activations import NewGELUActivation
from transformers.pytorch_utils import Conv1D

from tutelage.products import has_onednn, linear, multiply, packed


class FastLinear(nn.Linear):
    """A linear layer, computed by `products.linear`."""

    def forward(self, input: Tensor) -> Tensor:
        """Like that of a linear layer."""
        return linear(input, self.weight, self.bias)


class FastConv1D(Conv1D):
    """GPT-2's kind of linear layer, with a transposed weight."""

    def forward(self, x: Tensor) -> Tensor:
        """Like that of `Conv1D`."""
        return linear(x, self.weight.T, self.bias)


class FastGelu(NewGELUActivation):
    """GPT-2's activation in one operation instead of seven."""

    def forward(self, input: Tensor) -> Tensor:
        """The GELU, approximated by tanh."""
        return F.gelu(input, approximate="tanh")


_FAST: dict[type[nn.Module], type[nn.Module]] = {
    nn.Linear: FastLinear,
    Conv1D: FastConv1D,
    NewGELUActivation: FastGelu,
}


PLAIN_LINEAR = (nn.Linear, FastLinear)


def speed_up(model: nn.Module) -> None:
    """Make a model's layers fast ones; they keep weights, names and hooks."""
    for module in model.modules():
        # Not subclasses: they may compute something else.
        if type(module) in _FAST:
            module.__class__ = _FAST[type(module)]


@contextmanager
def packed_weights(model: nn.Module) -> Iterator[None]:
    """Inside, a model on a CPU multiplies with packed copies of its linear layers' weights.

    For passes without gradients, between which weights don't change. Packing takes as long as
    copying; with few rows at once, such as one new token of 64 texts, products in float32 then take
    three quarters of the time, and those in bfloat16 nine tenths, without casts of weights.

    Args:
        model: Any module, of which `speed_up` has seen the layers.
    """
    assert not torch.is_grad_enabled()
    layers = []
    try:
        for module in model.modules():
            if (product := _packed_product(module)) is not None:
                module.forward = product
                layers.append(module)
        yield
    finally:
        for module in layers:
            del module.forward


def _packed_product(layer: nn.Module) -> Callable[[Tensor], Tensor] | None:
    """What a layer computes, with a copy of its weight; none if it is no such layer on a CPU."""
    if not isinstance(layer, (FastLinear, FastConv1D)):
        return None
    if type(layer.weight) is not nn.Parameter or layer.weight.device.type != "cpu":
        return None  # part of a sharded weight, or elsewhere
    dtype = layer.weight.dtype
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
    if not has_onednn(dtype):
        return None
    weight = layer.weight.T if isinstance(layer, FastConv1D) else layer.weight
    copy = packed(weight.to(dtype))
    bias = None if layer.bias is None else layer.bias.detach().to(dtype)
    return lambda inputs: multiply(inputs.to(dtype), copy, bias)
