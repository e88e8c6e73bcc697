"""Which rows are held out."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutelage.config import UserError
from tutelage.data.held_out import hold_out


def parts(keys, val=0.1, test=0.2, seed=0):
    return hold_out(keys, val_fraction=val, test_fraction=test, seed=seed)


def test_each_part_gets_its_share_and_the_seed_decides():
    """RM-3."""
    keys = [f"prompt {n}" for n in range(100)]
    assert Counter(parts(keys)) == {"train": 70, "validation": 10, "test": 20}
    assert parts(keys) == parts(keys)
    assert parts(keys) != parts(keys, seed=1)
    assert set(parts(keys, val=0, test=0)) == {"train"}


@given(st.lists(st.sampled_from("abcdefgh"), min_size=3, max_size=40), st.integers(0, 3))
def test_rows_with_one_key_are_in_one_part_whatever_their_order(keys, seed):
    """RM-3: no prompt in two parts."""
    its = dict(zip(keys, parts(keys, seed=seed), strict=True))
    assert parts(keys, seed=seed) == [its[key] for key in keys]
    back = keys[::-1]
    assert parts(back, seed=seed) == [its[key] for key in back]


def test_a_small_part_has_one_group_at_least_and_a_big_group_stays_in_training():
    """RM-3: never a validation without rows."""
    assert Counter(parts(["a", "b", "c"], val=0.01, test=0)) == {"train": 2, "validation": 1}
    keys = ["big"] * 90 + [f"small {n}" for n in range(10)]
    for seed in range(5):
        assert Counter(parts(keys, val=0, test=0.05, seed=seed)) == {"train": 95, "test": 5}


def test_fractions_that_leave_nothing_are_refused():
    """RM-3."""
    with pytest.raises(UserError, match=r"val_fraction 0.5 and test_fraction 0.5 leave nothing"):
        parts(["a"], val=0.5, test=0.5)
