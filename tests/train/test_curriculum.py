"""Cycles of imitation and interaction, by hand."""

import pytest

from tutelage.config import UserError
from tutelage.train.curriculum import Cycle

SHORT = {"demonstration": "d", "trial": "t"}


def steps(cycle: Cycle, count: int) -> str:
    """The first steps, a letter for each part, a blank between steps."""
    return " ".join("".join(SHORT[kind] for kind in cycle.kinds(i)) for i in range(count))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "d d d t d d d t"),  # c = 3, r = 1: Algorithm 1's n % 4 < 3
        ({"first": "trials"}, "t d d d t d d d"),
        ({"demonstrations_per_cycle": 1, "trials_per_cycle": 2}, "d t t d t t"),
        ({"trials_per_cycle": 0}, "d d d d"),
        ({"demonstrations_per_cycle": 0}, "t t t t"),
        ({"overlay": "trials"}, "d d d td d d"),
        ({"overlay": "demonstrations"}, "dt dt dt t dt"),
        ({"overlay": "both"}, "dt dt dt td dt"),
        ({"overlay": "both", "first": "trials"}, "td dt dt dt td"),
    ],
)
def test_which_kind_of_step_comes_when(options, expected):
    """TND-1."""
    assert steps(Cycle(**options), len(expected.split())) == expected


@pytest.mark.parametrize("first", ["demonstrations", "trials"])
@pytest.mark.parametrize("overlay", ["none", "demonstrations", "trials", "both"])
@pytest.mark.parametrize(("c", "r"), [(3, 1), (1, 2), (0, 1), (2, 3)])
def test_trials_know_their_step(first, overlay, c, r):
    """TND-3: counted one by one."""
    cycle = Cycle(demonstrations_per_cycle=c, trials_per_cycle=r, first=first, overlay=overlay)
    with_trial = [i + 1 for i in range(40) if "trial" in cycle.kinds(i)]
    assert [cycle.step_of_trial(k) for k in range(len(with_trial))] == with_trial
    assert cycle.num_trials(40) == len(with_trial)
    assert cycle.num_demonstrations(40) == sum("demonstration" in cycle.kinds(i) for i in range(40))


def test_an_empty_cycle_is_refused():
    """X-1."""
    with pytest.raises(UserError, match="neither demonstrations nor trials"):
        Cycle(demonstrations_per_cycle=0, trials_per_cycle=0).check()
