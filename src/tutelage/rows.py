"""Rows of tokens of many lengths: padded into tensors, and cut into portions of similar length."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor


def padded(
    rows: Sequence[Sequence[int]], *, device: torch.device | None = None
) -> tuple[Tensor, Tensor]:
    """Token ids (batch, time), padded on the right with 0, and a mask that is true on real ones."""
    width = max(map(len, rows))
    token_ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    return token_ids, torch.arange(width, device=device) < lengths[:, None]


def portions(
    lengths: Sequence[int], indices: Iterable[int], most_tokens: int | None
) -> list[list[int]]:
    """Rows in portions of similar length, each of at most this many tokens with its padding.

    A row that is longer by itself has a portion of its own; without a limit all are in one.
    """
    ordered = sorted(indices, key=lambda index: (lengths[index], index))
    if most_tokens is None:
        return [ordered] if ordered else []
    found: list[list[int]] = []
    for index in ordered:  # rising lengths: the next row is the widest
        if found and (len(found[-1]) + 1) * lengths[index] <= most_tokens:
            found[-1].append(index)
        else:
            found.append([index])
    return found
