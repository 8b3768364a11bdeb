"""The messages of one lane of the outbox, read in order and in pages."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgetune_node.mqtt.outbox import Entry, Outbox
    from edgetune_node.mqtt.outbox_rows import Lane

PAGE = 64


class Pages:
    """Reads a lane; what is put there by anyone is found by itself."""

    def __init__(self, outbox: Outbox, lane: Lane) -> None:
        self._outbox = outbox
        self._lane = lane
        self._cursor = 0
        self._page: deque[Entry] = deque()

    def rewind(self) -> None:
        """Begin again with the oldest message."""
        self._cursor = 0
        self._page.clear()

    @property
    def read(self) -> bool:
        """Whether there is nothing left to read."""
        return not self._page and self._outbox.last_key <= self._cursor

    @property
    def waiting(self) -> bool:
        """Whether `head` has shown a message that was not taken."""
        return bool(self._page)

    def head(self) -> Entry | None:
        """Return the next message and leave it there."""
        last = self._outbox.last_key
        if not self._page and last > self._cursor:
            self._page.extend(self._outbox.pending(after=self._cursor, limit=PAGE, lane=self._lane))
            if not self._page:
                self._cursor = last  # the rest was dropped, or is in other lanes
        return self._page[0] if self._page else None

    def take(self) -> Entry:
        """Return the message that `head` has shown, and go on."""
        entry = self._page.popleft()
        self._cursor = entry.key
        return entry
