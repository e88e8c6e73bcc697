"""Several runs one after another, and signals."""

import os
import signal

import pytest

from tutelage.train.series import in_series, tell_series
from tutelage.train.signals import Signals, listening


def finishes(number: signal.Signals) -> int:
    """A run that a signal meets in its last round."""
    signals = Signals()
    with listening(signals):
        os.kill(os.getpid(), number)
    tell_series(signals.received)
    return 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("between", [False, True])
def test_a_signal_ends_the_series(number: signal.Signals, status: int, between: bool) -> None:
    """X-3: whether a run has noted it and finished, or nobody waited for it."""
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    done: list[str] = []
    meets = (lambda: os.kill(os.getpid(), number)) if between else (lambda: finishes(number))
    tasks = [lambda: done.append("first"), meets, lambda: done.append("last")]
    assert in_series(tasks) == status
    assert done == ["first"]
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_a_failure_ends_the_series() -> None:
    """X-3: its exit status is the series'; without one all is done."""
    done: list[int] = []

    def task(status: int) -> int:
        done.append(status)
        return status

    assert in_series([lambda: task(0), lambda: None, lambda: task(2), lambda: task(3)]) == 2
    assert done == [0, 2]
    assert in_series([lambda: task(0)]) == 0


def test_processes_agree_on_the_end() -> None:
    """X-5: another process's signal ends the series here, too."""
    done: list[int] = []
    assert in_series([lambda: done.append(1), lambda: done.append(2)], agree=lambda own: 130) == 130
    assert done == [1]


def test_a_run_by_itself_ends_as_it_does() -> None:
    """X-3: there is nobody to tell."""
    assert finishes(signal.SIGINT) == 0
