"""Time that stands still until a test moves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from edgetune_signal.stream.clock import SourceClock

if TYPE_CHECKING:
    import threading

START = datetime(2026, 1, 1, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
START_NS = (START - EPOCH) // timedelta(microseconds=1) * 1000


class ManualClock(SourceClock):
    """The clocks of a machine, as a node and as a source ask for them.

    Attributes
    ----------
    now
        Monotonic seconds; UTC goes on with them.
    ahead_s
        By how much the time of day was set forward.
    waited
        Every wait, in seconds; it ends at once, and ``now`` has gone on by it.
    """

    def __init__(self, start: datetime = START, *, synced: bool = True) -> None:
        self.now = 0.0
        self.ahead_s = 0.0
        self.waited: list[float] = []
        self._start = start
        self._synced = synced

    def monotonic(self) -> float:
        return self.now

    def utc(self) -> datetime:
        return self._start + timedelta(seconds=self.now + self.ahead_s)

    def utc_ns(self) -> int:
        return (self._start - EPOCH) // timedelta(microseconds=1) * 1000 + round((self.now + self.ahead_s) * 1e9)

    def synced(self) -> bool:
        return self._synced

    def wait(self, event: threading.Event, seconds: float) -> bool:
        if not event.is_set():
            self.waited.append(seconds)
            self.now += seconds
        return event.is_set()


class Counted:
    """Nanoseconds, as an outbox asks for them."""

    def __init__(self, now_ns: int) -> None:
        self.now_ns = now_ns
        self._set_to: list[int] = []

    def __call__(self) -> int:
        if self._set_to:
            self.now_ns = self._set_to.pop()
        return self.now_ns

    def set_after(self, looks: int, now_ns: int) -> None:
        """Set the clock once it was looked at so often."""
        self._set_to = [now_ns] + looks * [self.now_ns]
