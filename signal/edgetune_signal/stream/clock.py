"""Time as a source sees it: exact sample times in integers, and a clock that tests can replace."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading

NS_PER_S = 1_000_000_000


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
