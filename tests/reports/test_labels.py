"""Names of marks in charts (X-2)."""

import itertools
import random

import pytest

from tutelage.reports.labels import Box, around, middle, placed

AREA = Box(0, 0, 400, 250)
SIZE = (70.0, 11.0)


def marks_at(places):
    return [around(x, y, 5, 5) for x, y in places]


@pytest.mark.parametrize(
    "places",
    [
        [(200, 120)] * 2,  # on one another
        [(200 + 3 * number, 120) for number in range(7)],
        [(10, 10), (390, 10), (10, 240), (390, 240)],
        [(395, 5 + 4 * number) for number in range(12)],
        [(random.Random(n).gauss(200, 20), random.Random(-n).gauss(120, 9)) for n in range(12)],
    ],
)
def test_no_name_lies_on_another_nor_on_a_mark_nor_outside(places):
    """X-2."""
    marks = marks_at(places)
    found = placed(marks, [SIZE] * len(marks), [], AREA)
    for one, other in itertools.combinations(found, 2):
        assert one.overlap(other) == 0
    for name, mark in itertools.product(found, marks):
        assert name.overlap(mark) < 1e-6
    assert all(name.is_within(AREA) for name in found)


def test_a_lone_mark_has_its_name_next_to_it():
    """X-2: in the order of the marks, each of its own size."""
    sizes = [SIZE, (30.0, 11.0)]
    found = placed(marks_at([(100, 100), (300, 200)]), sizes, [], AREA)
    for name, (x, y), (width, height) in zip(found, [(100, 100), (300, 200)], sizes, strict=True):
        assert (name.right - name.left, name.top - name.bottom) == pytest.approx((width, height))
        assert abs(middle(name)[0] - x) <= width / 2 + 10
        assert abs(middle(name)[1] - y) <= height / 2 + 10


def test_what_is_drawn_is_kept_free_if_there_is_room_beside_it():
    """X-2: an interval to the right, and one up."""
    drawn = [Box(100, 99, 220, 101), Box(99, 100, 101, 220)]
    [name] = placed(marks_at([(100, 100)]), [SIZE], drawn, AREA)
    assert all(name.overlap(line) == 0 for line in drawn)
