"""Whether the primary host application is there, as its STATE messages say."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from edgetune_node.clock import EPOCH

if TYPE_CHECKING:
    from edgetune_node.clock import Clock

AHEAD_MS = 60_000
"""By how much a host's clock may be ahead of ours, and its time stamps still tell what is older."""
LATEST_MS = 2**63


class PrimaryHost:
    """Follows the STATE messages of one host.

    The specification lets a STATE count if its time stamp is not before that of the last one
    (tck-id-message-flow-edge-node-birth-publish-phid-wait-timestamp). A single one from a wrong clock in the future
    would lock out all that follow, so one that is ahead of our own clock, where that is synchronised, locks out none.

    Parameters
    ----------
    clock
        The node's.

    Attributes
    ----------
    online
        Whether the host is there; false until it says so in this connection.
    """

    def __init__(self, clock: Clock) -> None:
        self.online = False
        self._clock = clock
        self._newest_ms = -1

    @property
    def ahead_s(self) -> int | None:
        """Seconds by which the time stamp of the last STATE is in the future; None where it is not, or unknown."""
        ahead_ms = self._newest_ms - (self._clock.utc() - EPOCH) // timedelta(milliseconds=1)
        return ahead_ms // 1000 if ahead_ms > AHEAD_MS and self._clock.synced() else None

    @property
    def problem(self) -> str | None:
        """What is wrong with the host's clock, for ``health``."""
        if self.ahead_s is None:
            return None
        return f"sparkplug: the primary host's STATE is {self.ahead_s} s in the future; set its clock"

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
        if time_ms < LATEST_MS and (time_ms >= self._newest_ms or self.ahead_s is not None):
            self._newest_ms, self.online = time_ms, online
