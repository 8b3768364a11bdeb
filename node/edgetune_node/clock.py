"""Time as the node sees it, passed in so that tests own it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from edgetune_signal.stream import of_one_moment

SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
OLDEST_PLAUSIBLE = datetime(2025, 1, 1, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """UTC for time stamps, monotonic seconds for intervals."""

    def utc(self) -> datetime:
        """Return the time of day."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never jump."""
        ...

    def synced(self) -> bool:
        """Return whether the time of day can be believed."""
        ...


class SystemClock:
    """The machine's clock."""

    def utc(self) -> datetime:
        """Return the time of day."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never jump."""
        return time.monotonic()

    def synced(self) -> bool:
        """Return whether the clock was set: systemd-timesyncd says so, or the date is plausible where it does not run.

        A Pi without a clock chip starts at the time of its last shutdown or of its image.
        """
        if SYNCHRONISED.parent.is_dir():
            return SYNCHRONISED.exists()
        return datetime.now(UTC) > OLDEST_PLAUSIBLE


def from_ns(time_ns: int) -> datetime:
    """UTC time of nanoseconds since the epoch, to the microsecond."""
    return EPOCH + timedelta(microseconds=time_ns // 1000)


JUMP_S = 2.0
"""More than a clock that is slewed, or a node that is busy, is off between two looks."""


TOLD_S = 600.0


class ClockMonitor:
    """Compares the two clocks at every `look`.

    Parameters
    ----------
    clock
        Where both come from.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset_s = self._offset()
        self._jumped_s = float("-inf")
        self._told = ""

    def look(self) -> bool:
        """Return whether the time of day has jumped since the last look."""
        before_s, self._offset_s = self._offset_s, self._offset()
        by_s = self._offset_s - before_s
        if abs(by_s) < JUMP_S:
            return False
        self._jumped_s = self._clock.monotonic()
        when = self._clock.utc().isoformat(timespec="seconds")
        self._told = f"the clock jumped by {by_s:+.0f} s, to {when}: time stamps before and after do not compare"
        return True

    @property
    def problems(self) -> list[str]:
        """The last jump, for ten minutes."""
        return [self._told] if self._clock.monotonic() - self._jumped_s < TOLD_S else []

    def _offset(self) -> float:
        before_s, utc = of_one_moment(self._clock.monotonic, self._clock.utc, JUMP_S / 4)
        return utc.timestamp() - before_s
