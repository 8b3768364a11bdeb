"""The one inbox: a bounded queue between reading threads and the main thread."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from typing import TYPE_CHECKING

from edgetune_node.events import ChunkArrived, CommandArrived

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgetune_node.events import Event

MAX_COMMANDS = 100
"""Commands of QoS 0 that may wait; those of QoS 1 wait at the broker, which sends only a few ahead of their acks."""
OTHERS_SHARE = 3.0
"""After a command everything else that waits goes first, for so many times as long as the command took."""


class Inbox:
    """Events in the order they came; chunks that do not fit are dropped oldest first and counted.

    A take that ``continue`` starts never holds samples that came before it. Each asset has room of its own, so that one
    that floods takes none of the others'. A flood of commands takes no more than a quarter of the time from samples; of
    commands that were sent without asking for an acknowledgement only so many wait. Nothing else is ever dropped.

    Parameters
    ----------
    capacity
        Chunks of an asset that may wait.
    now
        Monotonic seconds.

    Attributes
    ----------
    dropped
        Chunks that did not fit, by asset.
    dropped_commands
        Commands of QoS 0 that did not fit.
    """

    def __init__(self, capacity: int = 256, now: Callable[[], float] = time.monotonic) -> None:
        self._capacity = capacity
        self._now = now
        self._events: deque[Event] = deque()
        self._chunks: Counter[str] = Counter()
        self._commands = 0
        self._others_until_s = now()
        self._ready = threading.Condition()
        self.dropped: Counter[str] = Counter()
        self.dropped_commands = 0

    @property
    def problem(self) -> str | None:
        """What went since the start; None where it is nothing."""
        if not self.dropped_commands:
            return None
        return (
            f"{self.dropped_commands} commands of QoS 0 were dropped, more than {MAX_COMMANDS} waited; send with QoS 1"
        )

    def put(self, event: Event) -> None:
        """Add an event; never blocks."""
        with self._ready:
            if isinstance(event, ChunkArrived):
                if self._chunks[event.asset] >= self._capacity:
                    self._drop_oldest(event.asset)
                self._chunks[event.asset] += 1
            elif isinstance(event, CommandArrived):
                if event.ack is None and self._commands >= MAX_COMMANDS:
                    self.dropped_commands += 1
                    return
                self._commands += 1
            self._events.append(event)
            self._ready.notify()

    def get(self, timeout_s: float) -> Event | None:
        """Take the next event, or None when nothing came within ``timeout_s`` seconds."""
        with self._ready:
            if not self._ready.wait_for(lambda: self._events, timeout_s):
                return None
            event = self._next()
            if isinstance(event, ChunkArrived):
                self._chunks[event.asset] -= 1
            elif isinstance(event, CommandArrived):
                self._commands -= 1
            return event

    def took(self, seconds: float) -> None:
        """Note how long a command took; so long, and longer, everything else that waits goes first."""
        with self._ready:
            self._others_until_s = self._now() + OTHERS_SHARE * seconds

    def __len__(self) -> int:
        """Events that wait."""
        return len(self._events)

    def _next(self) -> Event:
        if isinstance(self._events[0], CommandArrived) and self._now() < self._others_until_s:
            for index, event in enumerate(self._events):
                if not isinstance(event, CommandArrived):
                    del self._events[index]
                    return event
        return self._events.popleft()

    def _drop_oldest(self, asset: str) -> None:
        for index, event in enumerate(self._events):
            if isinstance(event, ChunkArrived) and event.asset == asset:
                del self._events[index]
                self.dropped[asset] += 1
                self._chunks[asset] -= 1
                return
