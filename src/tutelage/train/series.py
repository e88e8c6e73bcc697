"""Several runs one after another: a signal that meets one of them ends all."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable
from types import FrameType

from tutelage.train.signals import EXIT_STATUS


class Series:
    """The signal that ended a series, if one did."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """Remember the signal, and end what is being done."""
        self.received = signal.Signals(number)
        raise KeyboardInterrupt

    @property
    def status(self) -> int:
        """What the signal makes of the exit status."""
        return 0 if self.received is None else EXIT_STATUS[self.received]


def in_series(
    tasks: Iterable[Callable[[], int | None]], *, agree: Callable[[int], int] = int
) -> int:
    """Do one task after another; the exit status of the first that fails, or that a signal met.

    Args:
        tasks: What is to be done; each returns an exit status.
        agree: Makes one exit status of those of all processes.
    """
    series = Series()
    before = {number: signal.signal(number, series.interrupt) for number in EXIT_STATUS}
    try:
        for task in tasks:
            status = task() or 0
            if status := agree(status or series.status):
                return status
        return 0
    except KeyboardInterrupt:
        return series.status or EXIT_STATUS[signal.SIGINT]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def tell_series(received: signal.Signals | None) -> None:
    """Tell the series, if this run is part of one, of a signal that met the run."""
    series = getattr(signal.getsignal(signal.SIGINT), "__self__", None)
    if received is not None and isinstance(series, Series):
        series.received = received
