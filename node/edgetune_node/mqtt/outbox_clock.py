"""The time by which messages that wait grow old: a clock that is set makes none of them older or younger."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

CLOCK_SET_NS: Final = 1_577_836_800 * 10**9
"""2020-01-01: an earlier time stamp is that of a clock not yet set, so the entry's age is unknown."""
JUMP_NS: Final = 2 * 10**9
"""By less a clock is slewed."""
UNKNOWN_NS: Final = 2**62
MACHINE_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_Found: TypeAlias = tuple[int, int]
"""How far the time of day is ahead of the steady clock, and how far it was at least; `UNKNOWN_NS` before it was set."""


def since_boot_ns() -> int:
    """Nanoseconds since the machine's start, time asleep included, which nobody can set."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def machine_boot() -> str:
    """Name of the machine's present run, the same for all its processes; empty where there is none."""
    try:
        return MACHINE_BOOT.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


class OutboxClock:
    """UTC, and what to do about entries stamped with it when the time of day is set.

    How far the time of day is ahead of the steady clock is kept in the outbox's file. When that has changed, the clock
    was set, and the stamps of all entries are moved by as much: their ages stay. So it is for a process that was not
    running at that time, as long as the machine was. From one run of the machine to the next only the time of day tells
    how much time has passed.

    Parameters
    ----------
    utc_ns, steady_ns
        Nanoseconds of the time of day, and since the machine's start.
    machine_boot
        Names the machine's present run; where it is empty, nothing is known of what was before this process.
    """

    def __init__(self, utc_ns: Callable[[], int], steady_ns: Callable[[], int], machine_boot: str) -> None:
        self._utc_ns = utc_ns
        self._steady_ns = steady_ns
        self._machine_boot = machine_boot
        self._now_ns = utc_ns()
        self._found: _Found = (self._now_ns - steady_ns(), UNKNOWN_NS)
        self._next = self._found
        self._written: _Found | None = None

    def open(self, db: sqlite3.Connection) -> None:
        """Read what was written since the machine's start."""
        query = "SELECT ahead_ns, least_ns FROM clock WHERE machine_boot = ? AND machine_boot != ''"
        row = db.execute(query, (self._machine_boot,)).fetchone()
        if row is not None:
            self._found = self._written = row

    @property
    def now_ns(self) -> int:
        """UTC at the last `follow`: the clock may be set between the move of the stamps and their comparison."""
        return self._now_ns

    def earliest_ns(self) -> int:
        """UTC as the furthest back of the clock's settings since the machine's start would say it."""
        return min(self._steady_ns() + self._found[1], self._utc_ns())

    def follow(self, db: sqlite3.Connection) -> None:
        """Move the stamps of all entries with the clock, where that was set; part of a transaction.

        `followed` has to be called when the transaction has succeeded.
        """
        self._next = self._looked()
        by_ns = self._next[0] - self._found[0]
        if by_ns:
            db.execute("UPDATE entry SET time_ns = time_ns + ?", (by_ns,))
        if self._machine_boot and self._next != self._written:
            db.execute("DELETE FROM clock")
            db.execute("INSERT INTO clock VALUES (?, ?, ?)", (self._machine_boot, *self._next))

    def followed(self) -> None:
        """Take note that the transaction of `follow` has succeeded."""
        self._found = self._written = self._next

    def moved(self) -> None:
        """Take note that another file holds the entries now, and nothing of the clock."""
        self._written = None

    def _looked(self) -> _Found:
        """Return how far the clock is ahead, as it was known where it was not set since, and how far at least."""
        known_ns, least_ns = self._found
        self._now_ns = self._utc_ns()
        ahead_ns = self._now_ns - self._steady_ns()
        if abs(ahead_ns - known_ns) < JUMP_NS:
            ahead_ns = known_ns
        return ahead_ns, min(least_ns, ahead_ns) if self._now_ns >= CLOCK_SET_NS else least_ns
