"""Which rows are kept from training, for validation and for the final test."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

from tutelage.config import UserError

Part = Literal["train", "validation", "test"]


def refuse_fractions(val_fraction: float, test_fraction: float) -> None:
    """Raise if nothing would be left to train on."""
    if val_fraction + test_fraction >= 1:
        raise UserError(
            f"val_fraction {val_fraction:g} and test_fraction {test_fraction:g} leave nothing to "
            "train on. Lower them: together they must be less than 1."
        )


def hold_out(
    keys: Sequence[str], *, val_fraction: float, test_fraction: float, seed: int
) -> list[Part]:
    """The part of each row: rows with the same key are in the same part.

    Groups are taken in an order that depends on the seed and their keys alone. A part with a
    fraction above 0 gets one group at least, and never more rows than its share unless its one
    group has more.
    """
    refuse_fractions(val_fraction, test_fraction)
    groups: dict[str, list[int]] = defaultdict(list)
    for row, key in enumerate(keys):
        groups[key].append(row)
    left = sorted(groups, key=lambda key: hashlib.sha256(f"{seed} {key}".encode()).digest())
    parts: list[Part] = ["train"] * len(keys)
    shares: list[tuple[Part, float]] = [("test", test_fraction), ("validation", val_fraction)]
    for part, fraction in shares:
        for key in _taken(left, groups, round(fraction * len(keys))) if fraction else ():
            for row in groups[key]:
                parts[row] = part
            groups.pop(key)
        left = [key for key in left if key in groups]
    return parts


def _taken(left: list[str], groups: dict[str, list[int]], wanted: int) -> list[str]:
    """Groups that fit into so many rows together, or the smallest one if none does."""
    taken, num_rows = [], 0
    for key in left:
        if num_rows + len(groups[key]) <= wanted:
            taken.append(key)
            num_rows += len(groups[key])
    return taken or sorted(left, key=lambda key: len(groups[key]))[:1]
