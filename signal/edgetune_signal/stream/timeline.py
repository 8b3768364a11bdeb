"""Stamp samples with times that follow from the device's rate, with its drift tracked against the monotonic clock."""

from __future__ import annotations

from collections import deque
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np

from edgetune_signal.stream.clock import NS_PER_S, of_one_moment
from edgetune_signal.stream.rate import RateMeter

if TYPE_CHECKING:
    from edgetune_signal.stream.clock import SourceClock

BIN_S = 1.0
"""Of each second only the arrival that was least late counts: samples may be late, but never early."""
BINS = 60
"""Seconds the drift is fitted over ..."""
FEWEST_BINS = 10
"""... and from how many on it is believed."""
LOST_S = 0.25
"""A stream that stays this much later than it was for `LOST_BINS` seconds has lost samples that nothing else tells."""
LOST_BINS = 2
SLEW = 0.01
"""Time stamps approach a better estimate by at most this part of the time that passes."""


class Timeline:
    """Time stamps of a stream of samples that carry none, and the rate at which they really come.

    Sample N is taken at ``start + N / rate``; that it arrives later, by an unknown and changing delay, is the reason
    why the time of arrival is no time stamp. The least delay of each second, held against N, shows how the device's
    clock drifts; time stamps follow it smoothly.

    Parameters
    ----------
    rate_hz
        The device's nominal rate.
    clock
        Where monotonic time and UTC come from. A step of UTC (a clock that is set) is followed at once.

    Attributes
    ----------
    rate
        At which rate samples really come.
    """

    def __init__(self, rate_hz: float, clock: SourceClock) -> None:
        self._rate_hz = rate_hz
        self._clock = clock
        self.rate = RateMeter(rate_hz)
        self._drift: float | None = None  # seconds that samples come later in a second; None before it is known
        self._end = float("-inf")  # monotonic time at which the last sample was taken
        self._bins: deque[tuple[float, float]] = deque(maxlen=BINS)
        self.skip()

    def skip(self) -> None:
        """Start anew, since an unknown number of samples is missing; the drift stays known."""
        self.rate.gap()
        self._start: float | None = None
        self._samples = 0
        self._correction = self._target = 0.0
        self._least = (0.0, float("inf"))  # when the samples of this bin were least late, and how late
        self._bins.clear()
        self._late_bins = 0

    @property
    def measured_hz(self) -> float | None:
        """The rate at which samples come, or None before it can be told (ten seconds)."""
        return None if self._drift is None else self._rate_hz * (1 - self._drift)

    def stamp(self, n: int, taken_ns: int | None = None) -> tuple[int, bool]:
        """Take note of ``n`` samples that have just arrived; ``taken_ns`` is the sender's own time, where it has one.

        Returns
        -------
        tuple of int and bool
            UTC of the first of them in nanoseconds, and whether samples must be missing before them.
        """
        now = self._clock.monotonic()
        self.rate.add(n, now, taken_ns)
        nominal = n / self._rate_hz
        lasted = nominal / (1 - (self._drift or 0.0))
        if self._start is None:
            self._start = max(now - lasted, self._end)
            self._bin_start = now
        self._samples += n
        line = self._start + self._samples / self._rate_hz
        lost = self._observe(now, now - line)
        self._target += lasted - nominal
        if lost:
            self._correction = self._target
        else:
            error = self._target - self._correction - (lasted - nominal)
            self._correction += lasted - nominal + min(SLEW * nominal, max(-SLEW * nominal, error))
        self._end = line + self._correction
        monotonic, utc_ns = of_one_moment(self._clock.monotonic, self._clock.utc_ns)
        return utc_ns + round((self._end - lasted - monotonic) * NS_PER_S), lost

    def _observe(self, now: float, late: float) -> bool:
        """Note how late samples came; at the end of a bin fit the drift. True when samples must have been lost."""
        if now - self._bin_start < BIN_S:
            self._least = min(self._least, (now, late), key=itemgetter(1))
            return False
        (at, least), self._least, self._bin_start = self._least, (now, late), now
        when, before = self._bins[-1] if self._bins else (at, least)
        drift = self.rate.drift if self.rate.off else self._drift  # a rate far off looks like losses without end
        expected = before + (drift or 0.0) * (at - when)
        self._late_bins = self._late_bins + 1 if least - expected > LOST_S else 0
        if self._late_bins == 0:
            self._bins.append((at, least))
            self._fit(now)
        elif self._late_bins == LOST_BINS:
            self._bins.clear()
            self._late_bins = 0
            self._target = least
            return True
        return False

    def _fit(self, now: float) -> None:
        when, late = np.array(self._bins).T
        if len(self._bins) < FEWEST_BINS:
            self._target = float(late.min())
            return
        drift, level = np.polyfit(when - now, late, 1)
        self._drift, self._target = float(drift), float(level)
