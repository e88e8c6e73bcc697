"""Attention of one's own in a Transformers model, and that of a CPU inside bfloat16 autocast.

On a CPU, PyTorch's fused attention takes about three times as long for its backward pass in
bfloat16 as in float32, and no less for its forward pass. Short texts take less than half of the
latter as two plain products in bfloat16; long ones would need too much memory for that.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

# Places of the texts that are short: probabilities of all pairs of places are kept.
_SHORT = 256


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
def autocast_attention(model: PreTrainedModel) -> Iterator[None]:
    """Inside, a model on a CPU under autocast uses `attend` instead of the fused attention."""
    is_fused = model.config._attn_implementation == "sdpa"
    if not (is_fused and model.device.type == "cpu" and torch.is_autocast_enabled("cpu")):
        yield
        return
    with attending(model, "tutelage_autocast", attend):
        yield


def attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attention of the type of the values: by two products, or fused in float32.

    Args:
        module: The layer.
        query: As (batch, head, time, hidden).
        key: Like the query; several heads of the query may share one.
        value: Like the key.
        attention_mask: Added to the scores, or true where a token is seen.
        options: What else the layer asks for.

    Returns:
        As (batch, time, head, hidden).
    """
    with torch.autocast("cpu", enabled=False):
        if query.shape[2] == key.shape[2] <= _SHORT and _is_plain(options):
            is_causal = options.get("is_causal")
            is_causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
            scale = options.get("scaling") or query.shape[3] ** -0.5
            added = _added(attention_mask, is_causal, query.shape[2], value.dtype)
            return _attend_to_short(query, key, value, added, float(scale)), None
        if attention_mask is not None and attention_mask.is_floating_point():
            attention_mask = attention_mask.float()
        output, _ = sdpa_attention_forward(
            module, query.float(), key.float(), value.float(), attention_mask, **options
        )
    return output.to(value.dtype), None


def _is_plain(options: dict[str, Any]) -> bool:
    """Whether a layer asks for nothing but attention."""
    return not any(options.get(name) for name in ("dropout", "softcap")) and all(
        options.get(name) is None for name in ("position_bias", "cache")
    )


def _added(mask: Tensor | None, is_causal: bool, time: int, dtype: torch.dtype) -> Tensor:
    """What is added to scores of (…, time, time): almost −∞ where nothing is seen."""
    if mask is None:
        mask = torch.ones(time, time, dtype=torch.bool)
        mask = mask.tril() if is_causal else mask
    if mask.dtype == torch.bool:
        # Not −∞: a place that sees nothing has some probabilities all the same.
        return torch.zeros(mask.shape, dtype=dtype).masked_fill(~mask, torch.finfo(dtype).min)
    return mask.to(dtype)


def _attend_to_short(
    query: Tensor, key: Tensor, value: Tensor, added: Tensor, scale: float
) -> Tensor:
    """Attention as two products; see `attend`."""
    batch, heads, time, _ = query.shape
    repeats = heads // key.shape[1]
    rows = [
        part.to(value.dtype).reshape(batch * heads, time, -1)
        for part in (query, repeat_kv(key, repeats), repeat_kv(value, repeats))
    ]
    added = added.expand(batch, heads, time, time).reshape(batch * heads, time, time)
    probs = torch.baddbmm(added, rows[0], rows[1].transpose(1, 2), alpha=scale).softmax(2)
    return torch.bmm(probs, rows[2]).view(batch, heads, time, -1).transpose(1, 2)
