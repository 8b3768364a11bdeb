"""The one inbox: a bounded queue between reading threads and the main thread."""

from __future__ import annotations

import threading
from collections import Counter, deque
from typing import TYPE_CHECKING

from edgetune_node.events import ChunkArrived

if TYPE_CHECKING:
    from edgetune_node.events import Event


class Inbox:
    """Events in order; chunks that do not fit are dropped oldest first and counted, nothing else ever is.

    Commands, model events and the like go before chunks, so that a flood of samples never delays an operator.

    Parameters
    ----------
    capacity
        Chunks that may wait.
    """

    def __init__(self, capacity: int = 256) -> None:
        self._capacity = capacity
        self._control: deque[Event] = deque()
        self._chunks: deque[ChunkArrived] = deque()
        self._ready = threading.Condition()
        self.dropped: Counter[str] = Counter()

    def put(self, event: Event) -> None:
        """Add an event; never blocks."""
        with self._ready:
            if isinstance(event, ChunkArrived):
                if len(self._chunks) >= self._capacity:
                    self.dropped[self._chunks.popleft().asset] += 1
                self._chunks.append(event)
            else:
                self._control.append(event)
            self._ready.notify()

    def get(self, timeout_s: float) -> Event | None:
        """Take the next event, or None when nothing came within ``timeout_s`` seconds."""
        with self._ready:
            if not self._ready.wait_for(lambda: self._control or self._chunks, timeout_s):
                return None
            return self._control.popleft() if self._control else self._chunks.popleft()

    def __len__(self) -> int:
        """Events that wait."""
        return len(self._control) + len(self._chunks)
