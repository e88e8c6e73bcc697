"""Which validation was the best, and when to stop for want of a better one."""

import pytest

from tutelage.run_folder import Ledger
from tutelage.train.best import KeepBest, verdict


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([], (False, 0, 0.0)),
        ([0.7], (True, 0, 0.7)),
        ([0.7, 0.6], (True, 0, 0.6)),
        ([0.7, 0.6, 0.6], (False, 1, 0.6)),  # as low is no better
        ([0.5, 0.6, 0.7], (False, 2, 0.7)),
        ([0.5, 0.6, 0.7, 0.4], (True, 0, 0.4)),
    ],
)
def test_the_best_is_below_all_before(losses: list[float], expected: tuple) -> None:
    """RM-5."""
    assert verdict(losses) == expected


@pytest.mark.parametrize(
    ("limit", "num_worse", "ends"), [(3, 2, False), (3, 3, True), (3, 4, True), (None, 9, False)]
)
def test_a_run_ends_after_so_many_validations_in_vain(
    limit: int | None, num_worse: int, ends: bool
) -> None:
    """RM-5: never without a limit; the reason is told."""
    keep_best = KeepBest(limit)
    keep_best.num_worse = num_worse
    reason = keep_best.spent(Ledger())
    assert (reason is not None) == ends
    assert reason is None or reason.startswith("3 validations in a row")
