"""What tutelage needs to know of Transformers models, and does with them, whatever their kind."""

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from tutelage.config import UserError
from tutelage.models.fast_layers import PLAIN_LINEAR
from tutelage.tensors import generator

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def max_context(model: "PreTrainedModel") -> int:
    """Most tokens that a model reads at once; `sys.maxsize` where nothing limits it."""
    config = model.config.get_text_config()
    names = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx")
    limits = (getattr(config, name, None) for name in names)
    return next((limit for limit in limits if isinstance(limit, int)), sys.maxsize)


def takes_positions(model: "PreTrainedModel") -> bool:
    """Whether a model can be told the position of each token."""
    return "position_ids" in inspect.signature(model.get_decoder().forward).parameters


def count_positions(
    token_ids: Int[Tensor, "batch time"],
    segments: Int[Tensor, "batch time"] | None = None,
    mask: Bool[Tensor, "batch time"] | None = None,
) -> Int[Tensor, "batch time"]:
    """Position of each token among the real tokens of its own document."""
    real = torch.ones_like(token_ids) if mask is None else mask.long()
    before = real.cumsum(1) - real
    if segments is None:
        return before
    starts = torch.ones_like(token_ids, dtype=torch.bool)
    starts[:, 1:] = segments[:, 1:] != segments[:, :-1]
    return before - torch.where(starts, before, 0).cummax(1).values


def refuse_document_mask(model: "PreTrainedModel", num_tokens: int) -> None:
    """Raise if a model's layers can't be kept from reading other documents."""
    config = model.config.get_text_config()
    name = type(model).__name__
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if not takes_positions(model) or not kinds <= {"full_attention", "sliding_attention"}:
        raise UserError(
            f"Documents packed into one block can't be masked from each other in {name}: its "
            "layers mix tokens without an attention mask or positions. Switch the document mask "
            "off, or use a model with attention only."
        )
    slides = not hasattr(config, "layer_types") or "sliding_attention" in kinds
    window = getattr(config, "sliding_window", None)
    if slides and window is not None and num_tokens > window:
        raise UserError(
            f"A document mask over {num_tokens} tokens is longer than the sliding window of {name} "
            f"({window} tokens). Use blocks of at most {window} tokens, or switch the mask off."
        )


def merge_adapter(base: "PreTrainedModel", weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of the model alone, with what its LoRA layers add.

    Merging and unmerging the layers themselves would leave rounding errors in a student that goes
    on learning.
    """
    from peft.tuners.lora import Linear

    prefix = "base_model.model."
    merged = {
        name.removeprefix(prefix).replace(".base_layer.", "."): tensor
        for name, tensor in weights.items()
        if ".lora_" not in name
    }
    for name, layer in base.named_modules():
        if isinstance(layer, Linear):
            down = weights[f"{prefix}{name}.lora_A.default.weight"]
            up = weights[f"{prefix}{name}.lora_B.default.weight"]
            change = layer.scaling["default"] * (up @ down)
            change = change.T if layer.fan_in_fan_out else change
            merged[f"{name}.weight"] = merged[f"{name}.weight"] + change
    return merged


def has_linear_head(model: "PreTrainedModel") -> bool:
    """Whether logits are no more than the output head's product with the trunk's hidden states."""
    head, trunk = model.get_output_embeddings(), model.get_decoder()
    if not isinstance(head, nn.Linear) or type(head) not in PLAIN_LINEAR or trunk is model:
        return False
    rng = generator(0, "has_linear_head")
    token_ids = torch.randint(head.out_features, (2, 4), generator=rng).to(model.device)
    was_training = model.training
    model.eval()
    with torch.no_grad():
        inputs = {"attention_mask": torch.ones_like(token_ids), "use_cache": False}
        logits = model(token_ids, **inputs).logits
        expected = head(trunk(token_ids, **inputs).last_hidden_state)
    model.train(was_training)
    tolerance = 4 * torch.finfo(logits.dtype).eps
    size = logits.nan_to_num().abs().max()
    return torch.allclose(logits, expected, rtol=tolerance, atol=tolerance * size, equal_nan=True)


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """Inside, Transformers draws no bars: they would run through those of a run."""
    from transformers.utils import logging

    were_enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if were_enabled:
            logging.enable_progress_bar()
