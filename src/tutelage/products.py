"""Linear layers' products on a CPU, by oneDNN in float32 too.

For products in float32 PyTorch calls MKL on x86. On an AMD EPYC oneDNN takes four fifths of its
time, and less where there are few rows; in bfloat16 PyTorch calls it by itself.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def linear(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Inputs @ weight.T + bias, in the types of these tensors or of autocast.

    Args:
        inputs: As (…, in).
        weight: As (out, in); it may be a transposed view.
        bias: As (out).
    """
    tensors = (inputs, weight) if bias is None else (inputs, weight, bias)
    if not all(_is_plain(tensor) for tensor in tensors) or torch.is_autocast_enabled("cpu"):
        return F.linear(inputs, weight, bias)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return _Linear.apply(inputs, weight, bias)  # pyright: ignore[reportReturnType]
    return multiply(inputs, weight, bias)


@cache
def has_onednn(dtype: torch.dtype) -> bool:
    """Whether this PyTorch and CPU multiply such numbers by oneDNN."""
    # Later versions may have other names for the operations of PyTorch's compiler.
    if not (
        torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    ):
        return False
    return dtype == torch.float32 or (
        dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


def multiply(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Inputs @ weight.T + bias by oneDNN, without gradients; the weight may be packed."""
    return torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], "")


def packed(weight: Tensor) -> Tensor:
    """A copy of a weight, (out, in), in the layout that oneDNN multiplies fastest."""
    return torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous())


def _is_plain(tensor: Tensor) -> bool:
    """Whether it is a tensor of numbers of float32 on a CPU, and nothing more."""
    is_float32 = tensor.dtype == torch.float32 and tensor.device.type == "cpu"
    return is_float32 and type(tensor) in _PLAIN and has_onednn(torch.float32)


_PLAIN = (Tensor, torch.nn.Parameter)


class _Linear(torch.autograd.Function):
    """The product with its gradients."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        return multiply(inputs, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]: by the decorator's type
        ctx: Any, grad: Tensor
    ) -> tuple[Tensor | None, ...]:
        inputs, weight = ctx.saved_tensors
        needs_inputs, needs_weight, needs_bias = ctx.needs_input_grad
        rows = grad.reshape(-1, grad.shape[-1])
        return (
            multiply(grad, weight.T) if needs_inputs else None,
            # Sums over positions are as fast in MKL.
            rows.T @ inputs.reshape(-1, inputs.shape[-1]) if needs_weight else None,
            rows.sum(0) if needs_bias else None,
        )
