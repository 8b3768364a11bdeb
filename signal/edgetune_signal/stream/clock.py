"""Time as a source sees it: exact sample times in integers, and a clock that tests can replace."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

T = TypeVar("T")

NS_PER_S = 1_000_000_000
ONE_MOMENT_S = 1e-3
LOOKS = 5
"""Two clocks are read again, so often, where the thread had to wait between them for longer than a moment."""


def of_one_moment(
    clock_s: Callable[[], float], other: Callable[[], T], moment_s: float = ONE_MOMENT_S
) -> tuple[float, T]:
    """Return what two clocks say in one moment, also where this thread has to wait between two looks.

    Parameters
    ----------
    clock_s
        Reads seconds that only go forward.
    other
        Reads the other clock.
    moment_s
        So far apart, in seconds, the two may be read; the fifth look is taken as it is.
    """
    for _ in range(LOOKS):
        before_s, value = clock_s(), other()
        if clock_s() - before_s < moment_s:
            break
    return before_s, value


def offset_ns(samples: int, rate_hz: float) -> int:
    """Return how many nanoseconds ``samples`` samples last, rounded down, without floating-point error.

    Parameters
    ----------
    samples
        Number of samples of one channel.
    rate_hz
        Samples per second, finite and positive.

    Returns
    -------
    int
        Exact for every rate a float can hold, however long the stream has run.
    """
    numerator, denominator = float(rate_hz).as_integer_ratio()
    return samples * NS_PER_S * denominator // numerator


class SourceClock:
    """The system's clocks; a test passes its own."""

    def monotonic(self) -> float:
        """Return seconds that only go forward, for intervals."""
        return time.monotonic()

    def utc_ns(self) -> int:
        """Return UTC nanoseconds since the epoch, for time stamps."""
        return time.time_ns()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until ``event`` is set or ``seconds`` have passed; return whether it is set."""
        return event.wait(max(0.0, seconds))
