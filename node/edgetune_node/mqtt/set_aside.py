"""Messages that were set aside because the broker ended connections over them: kept, named, and tried again."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import structlog

from edgetune_node.errors import OutboxError
from edgetune_node.mqtt.culprits import ENDS, RETRY_S, Culprits, name_topics
from edgetune_node.mqtt.outbox import Entry
from edgetune_node.mqtt.outbox_rows import Lane
from edgetune_node.mqtt.outgoing import Sending, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgetune_node.mqtt.outbox import Outbox

LOOK_S = 60.0
SETTLED_S = 10.0
"""A connection is this old before anything is tried on it that may end it."""

_log = structlog.get_logger(__name__)


class SecondChance:
    """Sets messages aside on disk, and tries each again after each start, and once an hour.

    Parameters
    ----------
    outbox
        Where they are kept.
    culprits
        Which topics are to blame.
    disk_failure
        Told why a message could not be set aside.

    Attributes
    ----------
    problem
        What ``health`` says of them; None where there is none.
    lost
        Messages that could not be kept.
    """

    def __init__(self, outbox: Outbox, culprits: Culprits, disk_failure: Callable[[OutboxError], None]) -> None:
        self._outbox = outbox
        self._culprits = culprits
        self._disk_failure = disk_failure
        self._due: deque[Entry] = deque()
        self._tried: dict[int, float] = {}
        self._look_s = 0.0
        self.lost = 0
        self.problem: str | None = None
        self.tell()

    def take(self, sending: Sending) -> None:
        """Set a message aside; telemetry, of which a newer one follows, is dropped."""
        item = sending.item
        try:
            if isinstance(item, Entry):
                self._outbox.set_aside(item.key)
            elif isinstance(item, Waiting):
                self._outbox.put_again(item.entry, Lane.ASIDE)
        except OutboxError as error:
            self._disk_failure(error)
            self.lost += isinstance(item, Waiting)
        self.tell()

    def connected(self, now_s: float) -> None:
        """Begin to wait until the connection has settled."""
        self._due.clear()
        self._look_s = now_s + SETTLED_S

    def next(self, now_s: float) -> Entry | None:
        """Return a message to be tried again."""
        if now_s >= self._look_s:
            self._look_s = now_s + LOOK_S
            if self._outbox.aside:
                kept = self._outbox.pending(lane=Lane.ASIDE)
                self._tried = {entry.key: self._tried[entry.key] for entry in kept if entry.key in self._tried}
                self._due.extend(entry for entry in kept if self._may(entry, now_s))
            self.tell()
        while self._due:
            entry = self._due.popleft()
            if self._may(entry, now_s):
                self._tried[entry.key] = now_s
                self._culprits.suspect(entry.topic, now_s)
                return entry
        return None

    def _may(self, entry: Entry, now_s: float) -> bool:
        tried_s = self._tried.get(entry.key, float("-inf"))
        return now_s >= tried_s + RETRY_S and self._culprits.due(entry.topic, now_s)

    def tell(self) -> None:
        """Bring `problem` up to date."""
        count = self._outbox.aside
        try:
            kept = self._outbox.topics(Lane.ASIDE) if count else []
        except OutboxError as error:
            self._disk_failure(error)
            return
        topics = list(dict.fromkeys([*self._culprits.guilty, *kept]))
        if not topics:
            self.problem = None
            return
        problem = (
            f"the broker ended the connection {ENDS} times in a row over a message on {name_topics(topics)}; {count}"
            " messages are kept and set aside, and tried again every hour: permit the node to publish there"
        )
        if problem != self.problem:
            _log.error("mqtt_message_set_aside", topics=topics[:20], kept=count)
        self.problem = problem
