"""Two texts that begin alike, read as one row: what they share is read once.

A row is `beginning, rest of the first, rest of the second`. Neither rest sees the other, and both
count positions from the end of the beginning, so scores are those of the two texts read apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tutelage.config import UserError
from tutelage.models.architecture import refuse_document_mask
from tutelage.rows import padded
from tutelage.tensors import generator

if TYPE_CHECKING:
    from tutelage.models.reward_module import RewardModel

BOTH, FIRST, SECOND, NEITHER = 1, 2, 3, 0
"""Whose text a token is part of."""


def num_shared(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens two texts begin with in common; the last of each is its own."""
    both = zip(first, second, strict=False)
    different = (place for place, (a, b) in enumerate(both) if a != b)
    return next(different, min(len(first), len(second)) - 1)


def join(
    pairs: Sequence[tuple[Sequence[int], Sequence[int]]], device: torch.device
) -> tuple[Int[Tensor, "pair time"], Int[Tensor, "pair time"]]:
    """Token ids of pairs of texts, a pair in each row, and whose each token is."""
    rows, owners = [], []
    for first, second in pairs:
        shared = num_shared(first, second)
        rows.append([*first, *second[shared:]])
        own = [FIRST] * (len(first) - shared) + [SECOND] * (len(second) - shared)
        owners.append([BOTH] * shared + own)
    return padded(rows, device=device)[0], padded(owners, device=device)[0]


def positions_of(owners: Int[Tensor, "pair time"]) -> Int[Tensor, "pair time"]:
    """The position of each token in its own text."""
    places = torch.arange(owners.shape[1], device=owners.device)
    num_first = (owners == FIRST).sum(1, keepdim=True)
    return torch.where(owners == NEITHER, 0, places - (owners == SECOND) * num_first)


def mask_of(
    owners: Int[Tensor, "pair time"], dtype: torch.dtype
) -> Float[Tensor, "pair 1 time time"]:
    """What is added to attention scores: each token sees what is before it in its own text."""
    keys = owners[:, None, None, :]
    seen = (keys == owners[:, None, :, None]) | (keys == BOTH)
    return torch.where(seen.tril(), 0.0, torch.finfo(dtype).min).to(dtype)


def ends_of(owners: Int[Tensor, "pair time"], owner: int) -> Int[Tensor, " pair"]:
    """Where one of the texts of each pair has its last token."""
    return owners.shape[1] - 1 - (owners == owner).flip(1).int().argmax(1)


def can_join(model: RewardModel, most_tokens: int) -> bool:
    """Whether pairs of at most so many tokens can be read as rows with the very same scores."""
    base = model.base
    if model.needs.where != "last token":
        return False
    if base.config._attn_implementation not in ("eager", "sdpa"):
        return False
    try:
        refuse_document_mask(base, most_tokens)
    except UserError:
        return False
    return _joins_rightly(model)


def _joins_rightly(model: RewardModel) -> bool:
    """Whether it does so with two texts of random tokens."""
    rng = generator(0, "can_join")
    device = next(model.parameters()).device
    texts = torch.randint(model.base.config.vocab_size, (2, 6), generator=rng)
    texts[1, :3] = texts[0, :3]
    first, second = texts.tolist()
    was_training = model.training
    model.eval()
    with torch.no_grad():
        apart = model(texts.to(device))
        token_ids, owners = join([(first, second)], device)
        together = model(token_ids, owners=owners)
    model.train(was_training)
    return torch.allclose(apart, together, rtol=1e-4, atol=1e-4 * float(apart.abs().max()))
