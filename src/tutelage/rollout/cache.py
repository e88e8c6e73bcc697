"""A key–value cache for decoding: room for all tokens from the start, and rows that can leave."""

from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

from tutelage.config import UserError
from tutelage.models.architecture import takes_positions

if TYPE_CHECKING:
    from transformers import PreTrainedModel


# Attention to each number of places is a product of a shape of its own, which oneDNN compiles and
# keeps: nearly two megabytes for each in bfloat16. So there are only so many numbers.
_PLACES = 16


def rounded_up(num_places: int) -> int:
    """The next number of places that new tokens attend to."""
    return -(-num_places // _PLACES) * _PLACES


class RoomyLayer(CacheLayerMixin):
    """Keys and values of one layer. Transformers' own layer copies all of them for every token."""

    is_sliding = False

    def __init__(self, num_tokens: int, key_dtype: torch.dtype | None):
        super().__init__()
        self.room = num_tokens
        self.key_dtype = key_dtype
        self.length = 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Make room, once shapes are known."""
        shape = (*key_states.shape[:2], self.room)
        dtype = self.key_dtype or key_states.dtype
        self.keys = key_states.new_zeros(*shape, key_states.shape[-1], dtype=dtype)
        self.values = value_states.new_zeros(*shape, value_states.shape[-1])
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Add tokens; returns keys and values of all so far, as views.

        After the prompts, some places not written yet follow: zeros, which the mask hides.
        """
        is_prompt = not self.is_initialized
        if is_prompt:
            self.lazy_initialization(key_states, value_states)
        assert self.keys is not None
        assert self.values is not None
        end = self.length + key_states.shape[2]
        self.keys[:, :, self.length : end] = key_states
        self.values[:, :, self.length : end] = value_states
        self.length = end
        shown = end if is_prompt else rounded_up(end)
        return self.keys[:, :, :shown], self.values[:, :, :shown]

    def keep(self, rows: Tensor) -> None:
        """Drop all rows but these."""
        assert self.keys is not None
        assert self.values is not None
        self.keys = self.keys.index_select(0, rows)
        self.values = self.values.index_select(0, rows)

    def get_seq_length(self) -> int:
        """Tokens so far."""
        return self.length

    def get_max_length(self) -> int:
        """Tokens that there is room for."""
        return self.room

    get_max_cache_shape = get_max_length

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Tokens that a mask covers, and how many of them lie before the cache."""
        return self.length + query_length, 0


class RoomyCache(Cache):
    """The cache of all layers of a model whose layers all attend to everything before."""

    def __init__(self, num_layers: int, num_tokens: int, *, key_dtype: torch.dtype | None = None):
        """A cache without tokens.

        Args:
            num_layers: Layers of the model.
            num_tokens: Tokens to make room for, as a result of `rounded_up`.
            key_dtype: What keys are kept as; by default as they come.
        """
        super().__init__(layers=[RoomyLayer(num_tokens, key_dtype) for _ in range(num_layers)])

    def keep(self, rows: Tensor) -> None:
        """Drop all rows but these."""
        for layer in self.layers:
            if isinstance(layer, RoomyLayer) and layer.is_initialized:
                layer.keep(rows)


def refuse_other_layers(model: "PreTrainedModel", num_tokens: int) -> None:
    """Raise if some layer's past is more, or less, than keys and values of all tokens."""
    config = model.config.get_text_config()
    if not takes_positions(model):
        raise UserError(
            f"The sampler can't tell {type(model).__name__} the positions of padded prompts. "
            "Use --rollout.engine transformers."
        )
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    window = getattr(config, "sliding_window", None)
    slides = not hasattr(config, "layer_types") or "sliding_attention" in kinds
    is_short = not slides or window is None or num_tokens <= window
    if kinds <= {"full_attention", "sliding_attention"} and is_short:
        return
    raise UserError(
        f"The sampler can't decode {type(model).__name__} over {num_tokens} tokens: its layers do "
        "not all attend to everything before. Use --rollout.engine transformers."
    )


def prompt_mask(
    real: Bool[Tensor, "batch time"], dtype: torch.dtype
) -> Float[Tensor, "batch 1 time time"]:
    """What is added to attention scores when padded prompts are read at once.

    Padding looks at itself, for a token that looks at nothing would become NaN.
    """
    width = real.shape[1]
    causal = torch.ones(width, width, dtype=torch.bool, device=real.device).tril()
    itself = torch.eye(width, dtype=torch.bool, device=real.device)
    return additive((causal & real[:, None, :]) | itself, dtype)[:, None]


def additive(seen: Bool[Tensor, "..."], dtype: torch.dtype) -> Float[Tensor, "..."]:
    """0 where a token is seen and the least number where not: every kind of attention adds it."""
    return torch.where(seen, 0.0, torch.finfo(dtype).min).to(dtype)
