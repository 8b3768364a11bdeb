"""The one inbox: a bounded queue between reading threads and the main thread."""

from __future__ import annotations

import threading
from collections import Counter, deque
from typing import TYPE_CHECKING

from edgetune_node.events import ChunkArrived

if TYPE_CHECKING:
    from edgetune_node.events import Event


class Inbox:
    """Events in the order they came; chunks that do not fit are dropped oldest first and counted, nothing else is.

    One order for all: a take that ``continue`` starts never holds samples that came before it. Each asset has room of
    its own, so that one that floods takes none of the others'.

    Parameters
    ----------
    capacity
        Chunks of an asset that may wait.
    """

    def __init__(self, capacity: int = 256) -> None:
        self._capacity = capacity
        self._events: deque[Event] = deque()
        self._chunks: Counter[str] = Counter()
        self._ready = threading.Condition()
        self.dropped: Counter[str] = Counter()

    def put(self, event: Event) -> None:
        """Add an event; never blocks."""
        with self._ready:
            if isinstance(event, ChunkArrived):
                if self._chunks[event.asset] >= self._capacity:
                    self._drop_oldest(event.asset)
                self._chunks[event.asset] += 1
            self._events.append(event)
            self._ready.notify()

    def get(self, timeout_s: float) -> Event | None:
        """Take the next event, or None when nothing came within ``timeout_s`` seconds."""
        with self._ready:
            if not self._ready.wait_for(lambda: self._events, timeout_s):
                return None
            event = self._events.popleft()
            if isinstance(event, ChunkArrived):
                self._chunks[event.asset] -= 1
            return event

    def __len__(self) -> int:
        """Events that wait."""
        return len(self._events)

    def _drop_oldest(self, asset: str) -> None:
        for index, event in enumerate(self._events):
            if isinstance(event, ChunkArrived) and event.asset == asset:
                del self._events[index]
                self.dropped[asset] += 1
                self._chunks[asset] -= 1
                return
