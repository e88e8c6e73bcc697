"""Places for the names of marks in a chart, so that none lies on another."""

import math
from collections.abc import Sequence
from typing import NamedTuple

FIRST, RINGS, TURNS = 4.0, 12, 24
"""Gap to the mark in points, how many times it grows by half, and directions."""


class Box(NamedTuple):
    """A rectangle, in points."""

    left: float
    bottom: float
    right: float
    top: float

    def overlap(self, other: "Box") -> float:
        """The area that two have in common."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(width, 0.0) * max(height, 0.0)

    def is_within(self, other: "Box") -> bool:
        """Whether all of it lies in another."""
        return self.overlap(other) >= (self.right - self.left) * (self.top - self.bottom) - 1e-6


def around(x: float, y: float, half_width: float, half_height: float) -> Box:
    """The rectangle around a point."""
    return Box(x - half_width, y - half_height, x + half_width, y + half_height)


def placed(
    marks: Sequence[Box], sizes: Sequence[tuple[float, float]], drawn: Sequence[Box], area: Box
) -> list[Box]:
    """A place for the name of each mark, near it, on no mark and no other name.

    Args:
        marks: What is named.
        sizes: Width and height of each name.
        drawn: What else is drawn, to be kept free if that is possible nearby.
        area: Where names may lie.
    """
    found: dict[int, Box] = {}
    # Those in a crowd choose first: they have the fewest places.
    for index in sorted(range(len(marks)), key=lambda one: _room(one, marks)):
        taken = [*marks, *found.values()]
        found[index] = min(
            _places(marks[index], sizes[index]),
            key=lambda box: (
                round(sum(box.overlap(other) for other in taken), 6),
                not box.is_within(area),
                4 * _distance(box, marks[index]) + sum(box.overlap(other) for other in drawn),
            ),
        )
    return [found[index] for index in range(len(marks))]


def middle(box: Box) -> tuple[float, float]:
    """The middle of a rectangle."""
    return (box.left + box.right) / 2, (box.bottom + box.top) / 2


def _places(mark: Box, size: tuple[float, float]) -> list[Box]:
    """Rectangles all around a mark, on rings that are farther and farther away."""
    x, y = middle(mark)
    half_width, half_height = size[0] / 2, size[1] / 2
    places = []
    for ring in range(RINGS):
        gap = FIRST * 1.5**ring + (mark.right - mark.left) / 2
        for turn in range(TURNS):
            angle = 2 * math.pi * turn / TURNS
            across, up = math.cos(angle), math.sin(angle)
            places.append(
                around(
                    x + across * (gap + half_width),
                    y + up * (gap + half_height),
                    half_width,
                    half_height,
                )
            )
    return places


def _room(index: int, marks: Sequence[Box]) -> float:
    """How far the nearest other mark is."""
    own = middle(marks[index])
    others = (middle(mark) for place, mark in enumerate(marks) if place != index)
    return min((math.dist(own, other) for other in others), default=math.inf)


def _distance(box: Box, mark: Box) -> float:
    """How far a rectangle is from the middle of a mark."""
    x, y = middle(mark)
    across = max(box.left - x, x - box.right, 0.0)
    up = max(box.bottom - y, y - box.top, 0.0)
    return math.hypot(across, up)
