"""Attention of one new token to those before it, on a CPU: two small matrix products.

PyTorch's fused attention on CPUs is made for many queries at once; for one in bfloat16 it takes
three to five times as long.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from tutelage.models.attention import attending

_NAME = "tutelage_single_query"


@contextmanager
def single_query_attention(model: PreTrainedModel) -> Iterator[None]:
    """Inside, a model on a CPU that uses the fused attention uses it for many queries only."""
    if key_dtype(model) is None:
        yield
        return
    with attending(model, _NAME, attend):
        yield


def key_dtype(model: PreTrainedModel) -> torch.dtype | None:
    """What keys should be kept as for this attention; none where it is not used."""
    is_used = model.device.type == "cpu" and model.config._attn_implementation in ("sdpa", _NAME)
    return torch.promote_types(model.dtype, torch.float32) if is_used else None


def attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """What Transformers wants of an attention function: (batch, time, head, hidden).

    Args:
        module: The layer.
        query: As (batch, head, time, hidden).
        key: Of all tokens so far, as `key_dtype` says; several heads of the query may share one.
        value: Like the key.
        attention_mask: Added to the scores, as (batch, 1, time, all time).
        scaling: Factor of the scores; by default 1 / √hidden.
        options: What else the layer asks for.
    """
    is_plain = options.get("position_bias") is None and options.get("softcap") is None
    is_single = query.shape[2] == 1 and is_plain
    if not is_single or attention_mask is None or not attention_mask.is_floating_point():
        return sdpa_attention_forward(
            module, query, key.to(query.dtype), value, attention_mask, scaling=scaling, **options
        )
    batch, heads, _, hidden = query.shape
    factor = float(hidden**-0.5 if scaling is None else scaling)
    with torch.autocast("cpu", enabled=False):
        grouped = query.view(batch, key.shape[1], -1, hidden).to(key.dtype) * factor
        scores = grouped @ key.transpose(2, 3)
        probs = (scores + attention_mask).softmax(3).to(value.dtype)
        return (probs @ value).view(batch, 1, heads, value.shape[3]), None
