"""Whether the primary host application is there, as its STATE messages say."""

from __future__ import annotations

import json
from typing import Any


class PrimaryHost:
    """Follows the STATE messages of one host.

    Attributes
    ----------
    online
        Whether the host is there; false until it says so in this connection.
    """

    def __init__(self) -> None:
        self.online = False
        self._newest_ms = -1

    def lost(self) -> None:
        """Forget whether it is there: the connection has gone, and the next one tells anew."""
        self.online = False

    def heard(self, payload: bytes) -> None:
        """Take a STATE message; one that is malformed, or older than the newest, changes nothing."""
        try:
            state: Any = json.loads(payload)
        except (ValueError, RecursionError):
            return
        if not isinstance(state, dict):
            return
        online, time_ms = state.get("online"), state.get("timestamp")
        if not isinstance(online, bool) or not isinstance(time_ms, int) or isinstance(time_ms, bool):
            return
        if time_ms >= self._newest_ms:
            self._newest_ms, self.online = time_ms, online
