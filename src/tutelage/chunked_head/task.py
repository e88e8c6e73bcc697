"""What is asked of a head, and the blocks and strips that its positions are gone through in."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from tutelage.products import linear

# One block's logits, and one strip's, in float32.
_BLOCK_BYTES = {"cpu": 32 * 2**20}
_STRIP_BYTES = {"cpu": 2 * 2**20}
_DEVICE_BYTES = 256 * 2**20


class Head(NamedTuple):
    """Hidden states and the output head that makes logits of them."""

    hidden: Float[Tensor, "position hidden"]
    weight: Float[Tensor, "vocab hidden"]
    bias: Float[Tensor, " vocab"] | None

    def cast(self, dtype: torch.dtype) -> "Head":
        """With weight and bias in the type of the matrix products."""
        bias = None if self.bias is None else self.bias.to(dtype)
        return Head(self.hidden, self.weight.to(dtype), bias)

    def logits(self, block: slice | None = None) -> Float[Tensor, "row vocab"]:
        """Logits of a block of positions, or of all."""
        hidden = self.hidden if block is None else self.hidden[block]
        return linear(hidden.to(self.weight.dtype), self.weight, self.bias)


class Sizes(NamedTuple):
    """How many positions are gone through at once."""

    block: int
    """By matrix products."""
    strip: int
    """By what follows."""

    @classmethod
    def of(cls, block_bytes: int | None, num_columns: int, device: str) -> "Sizes":
        """Those whose numbers, so many for each position, take so much memory in float32."""
        block_bytes = block_bytes or _BLOCK_BYTES.get(device, _DEVICE_BYTES)
        strip_bytes = min(block_bytes, _STRIP_BYTES.get(device, _DEVICE_BYTES))
        return cls(*(max(1, size // (4 * num_columns)) for size in (block_bytes, strip_bytes)))


class Task(NamedTuple):
    """What is asked for, and how."""

    targets: Tensor
    entropy: bool
    reference: Head | None
    uniforms: Tensor | None
    dtype: torch.dtype
    """Type of the matrix products."""
    sizes: Sizes

    @property
    def exact(self) -> torch.dtype:
        """Type of reductions and sums."""
        return torch.promote_types(self.dtype, torch.float32)

    def logits(self, head: Head, block: slice) -> tuple[Tensor, Tensor | None]:
        """A block's logits, and the reference's."""
        ref_logits = None if self.reference is None else self.reference.logits(block)
        return head.logits(block), ref_logits

    def cast(self) -> "Task":
        """With the reference's weight in the type of the matrix products."""
        reference = None if self.reference is None else self.reference.cast(self.dtype)
        return self._replace(reference=reference)

    def blocks(self) -> Iterator[slice]:
        """Blocks of positions; one that is empty where there are none."""
        return _slices(0, len(self.targets), self.sizes.block)

    def strips(self, block: slice, *logits: Tensor | None) -> Iterator[tuple[Any, ...]]:
        """A block's strips of positions, with their parts of what there is of the block."""
        for strip in _slices(block.start, block.stop, self.sizes.strip):
            own = slice(strip.start - block.start, strip.stop - block.start)
            yield strip, *(None if part is None else part[own] for part in logits)


def _slices(start: int, stop: int, size: int) -> Iterator[slice]:
    """Slices of a size from a start to a stop; an empty one if that is the same."""
    starts = range(start, max(stop, start + 1), size)
    return (slice(first, min(first + size, stop)) for first in starts)


def softmax(logits: Tensor, exact: torch.dtype) -> Tensor:
    """Probabilities."""
    return torch.softmax(logits, dim=1, dtype=exact)
