"""Time as the node sees it, passed in so that tests own it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
OLDEST_PLAUSIBLE = datetime(2025, 1, 1, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """UTC for time stamps, monotonic seconds for intervals."""

    def utc(self) -> datetime:
        """Give the time of day."""
        ...

    def monotonic(self) -> float:
        """Give seconds that never jump."""
        ...

    def synced(self) -> bool:
        """Tell whether the time of day can be believed."""
        ...


class SystemClock:
    """The machine's clock."""

    def utc(self) -> datetime:
        """Give the time of day."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Give seconds that never jump."""
        return time.monotonic()

    def synced(self) -> bool:
        """Tell whether the clock was set: systemd-timesyncd says so, or the date is plausible where it does not run.

        A Pi without a clock chip starts at the time of its last shutdown or of its image.
        """
        if SYNCHRONISED.parent.is_dir():
            return SYNCHRONISED.exists()
        return datetime.now(UTC) > OLDEST_PLAUSIBLE


def from_ns(time_ns: int) -> datetime:
    """UTC time of nanoseconds since the epoch, to the microsecond."""
    return EPOCH + timedelta(microseconds=time_ns // 1000)
