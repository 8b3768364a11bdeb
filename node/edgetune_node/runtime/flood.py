"""Floods of commands: when one has ended, what the broker has lost over it is asked for again."""

from __future__ import annotations

from typing import Final

QUIET_S: Final = 5.0
"""Seconds without a refused command after which a flood has ended."""


class Flood:
    """Notices the end of a flood of commands.

    mosquitto 2.0 drops packets to a client that reads too slowly, and counts the messages in them as sent. They fill
    the window of a connection for good, and no further command comes, until another connection is made.
    """

    def __init__(self) -> None:
        self._refused = 0
        self._last_s: float | None = None

    def has_ended(self, refused: int, now_s: float) -> bool:
        """Return whether a flood has just ended; ``refused`` is the number of commands refused so far."""
        if refused != self._refused:
            self._refused, self._last_s = refused, now_s
        elif self._last_s is not None and now_s - self._last_s > QUIET_S:
            self._last_s = None
            return True
        return False
