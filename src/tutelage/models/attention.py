"""Attention of one's own in a Transformers model, and that in float32 inside bfloat16 autocast.

On a CPU, PyTorch's fused attention takes about three times as long for its backward pass in
bfloat16 as in float32, and no less for its forward pass.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask


@contextmanager
def attending(model: PreTrainedModel, name: str, attend: Callable[..., Any]) -> Iterator[None]:
    """Inside, a model that uses the fused attention uses `attend` instead.

    Args:
        model: Any model.
        name: What Transformers is to call that attention.
        attend: It; takes and gives what `sdpa_attention_forward` does.
    """
    AttentionInterface.register(name, attend)
    AttentionMaskInterface.register(name, sdpa_mask)
    model.set_attn_implementation(name)
    try:
        yield
    finally:
        model.set_attn_implementation("sdpa")


@contextmanager
def float32_attention(model: PreTrainedModel) -> Iterator[None]:
    """Inside, a model on a CPU under autocast runs its fused attention in float32."""
    is_fused = model.config._attn_implementation == "sdpa"
    if not (is_fused and model.device.type == "cpu" and torch.is_autocast_enabled("cpu")):
        yield
        return
    with attending(model, "tutelage_float32", attend_in_float32):
        yield


def attend_in_float32(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **options: Any,
) -> tuple[Tensor, None]:
    """The fused attention; what comes back is of the type of the values.

    Args:
        module: The layer.
        query: As (batch, head, time, hidden).
        key: Like the query; several heads of the query may share one.
        value: Like the key.
        attention_mask: Added to the scores, or true where a token is seen.
        options: What else the layer asks for.
    """
    if attention_mask is not None and attention_mask.is_floating_point():
        attention_mask = attention_mask.float()
    with torch.autocast("cpu", enabled=False):
        output, _ = sdpa_attention_forward(
            module, query.float(), key.float(), value.float(), attention_mask, **options
        )
    return output.to(value.dtype), None
