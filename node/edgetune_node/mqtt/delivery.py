"""Which message goes to the broker next: order, backlog, rate limit and marks, decided without threads or broker.

On each connection three things follow one another:

1. **backlog** what waited since before the connection, in order, ``historical: true``, not retained, rate limited;
2. **restating** the newest payload of every retained topic, retained, so that the broker shows the present state;
3. **live** everything else as it comes.

Messages on disk are read from the outbox in pages, by key; `Waiting` messages are those that are in memory only: signs
while the broker is there, and what a full disk would not take. Answers to response topics, and then telemetry, follow
what is ordered. A message that connections seem to end over goes alone, and then aside (see `culprits`).
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING

from edgetune_node.errors import OutboxError
from edgetune_node.mqtt.client import MAX_INFLIGHT
from edgetune_node.mqtt.culprits import Culprits
from edgetune_node.mqtt.outbox import Entry
from edgetune_node.mqtt.outbox_pages import Pages
from edgetune_node.mqtt.outbox_rows import Lane
from edgetune_node.mqtt.outgoing import Sending, Telemetry, Waiting
from edgetune_node.mqtt.refusals import Refusals
from edgetune_node.mqtt.set_aside import SecondChance

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgetune_node.mqtt.broker_limits import Limits
    from edgetune_node.mqtt.outbox import Outbox

MAX_WAITING = MAX_TELEMETRY = 1000
MAX_UNWRITTEN = 100
"""QoS 0 messages handed to paho that have not left: its queue of those has no bound."""


class Stage(Enum):
    """How far the current connection has come."""

    AWAY = "away"
    BACKLOG = "backlog"
    RESTATING = "restating"
    LIVE = "live"


class Delivery:
    """What waits for the broker and what is on its way; used by one thread.

    Parameters
    ----------
    outbox
        Entries put there by anyone are found by themselves.
    per_second
        Rate of the backlog.
    last_topic
        The node's ``status``: never restated, and sent after everything else that waits.
    refusal
        Told topic and reason where the broker refuses a message, once for each topic until it takes one there.
    disk_failure
        Told why a message had to stay in memory.
    """

    def __init__(
        self,
        outbox: Outbox,
        *,
        per_second: float,
        last_topic: str,
        refusal: Callable[[str, str], None],
        disk_failure: Callable[[OutboxError], None],
    ) -> None:
        self._outbox = outbox
        self._pause_s = 1.0 / per_second
        self._last_topic = last_topic
        self._refusals = Refusals(refusal)
        self._disk_failure = disk_failure
        self.stage = Stage.AWAY
        self.dropped = 0
        self.telemetry_dropped = 0
        self._number = 0
        self._window = 0
        self._max_packet: int | None = None
        self._boundary = 0
        self._own = last_topic.rpartition("/")[0] + "/"
        self._culprits = Culprits(outbox.topics(Lane.ASIDE), own=self._own)
        self._aside = SecondChance(outbox, self._culprits, disk_failure)
        self._ordered = Pages(outbox, Lane.ORDERED)
        self._replies = Pages(outbox, Lane.REPLY)
        self._held: Sending | None = None
        self._lone = False
        self._next_backlog_s = 0.0
        self._restate: deque[tuple[str, bytes]] = deque()
        self._waiting: deque[Waiting] = deque()
        self._states: dict[str, Telemetry] = {}
        self._readings: deque[Telemetry] = deque()
        self._inflight: dict[int, Sending] = {}
        self._acknowledged: list[int] = []

    @property
    def in_memory(self) -> int:
        """Ordered messages that are nowhere but in memory."""
        return len(self._waiting) + sum(isinstance(sending.item, Waiting) for sending in self._under_way())

    @property
    def flying(self) -> bool:
        """Whether anything is on its way."""
        return bool(self._inflight)

    @property
    def _unconfirmed(self) -> int:
        return sum(sending.qos > 0 for sending in self._inflight.values())

    @property
    def idle(self) -> bool:
        """Whether there is nothing left to send, nor to be acknowledged."""
        return (
            self.stage is Stage.LIVE
            and not (self._inflight or self._held or self._waiting or self._states or self._readings)
            and self._ordered.read
            and self._replies.read
        )

    @property
    def refused(self) -> int:
        """Messages that the broker refused in words."""
        return self._refusals.count

    @property
    def refusal(self) -> str | None:
        """Topic and reason of the newest refusal, of topics on which none has been taken since."""
        return self._refusals.newest

    @property
    def set_aside(self) -> str | None:
        """Which messages were set aside, and why."""
        return self._aside.problem

    # ---- what comes in -------------------------------------------------------------------------------------------

    def connected(self, number: int, limits: Limits, *, now_s: float) -> None:
        """Begin with the backlog of connection ``number``."""
        self.lost()
        self.stage = Stage.BACKLOG
        self._number = number
        self._window = min(limits.receive_maximum, MAX_INFLIGHT)
        self._max_packet = limits.maximum_packet_bytes
        self._boundary = self._outbox.last_key  # before the states: what is put in between is stated twice, not never
        current = self._outbox.currents().items()
        self._restate = deque(pair for pair in current if pair[0].startswith(self._own) and pair[0] != self._last_topic)
        self._ordered.rewind()
        self._replies.rewind()
        self._aside.connected(now_s)
        self._next_backlog_s = now_s

    def ended(self, now_s: float) -> bool:
        """Record that the connection ended by itself; return whether a message was set aside for it."""
        if self.stage is Stage.AWAY:
            return False
        guilty = self._culprits.ended((sending.topic for sending in self._inflight.values()), now_s)
        if guilty is not None:
            [mid] = self._inflight
            self._give_way(self._inflight.pop(mid))
        self.lost()
        return guilty is not None

    def lost(self) -> None:
        """Take back what is on its way; what is ordered goes to disk, what is momentary is dropped."""
        self.stage = Stage.AWAY
        flying = [sending.item for sending in self._under_way()]
        self._inflight.clear()
        self._held, self._lone = None, False
        self._take_back([item for item in flying if isinstance(item, Telemetry)])
        self._states.pop(self._last_topic, None)
        self.telemetry_dropped += len(self._readings)
        self._readings.clear()
        waiting = [item for item in flying if isinstance(item, Waiting)] + list(self._waiting)
        self._waiting.clear()
        for item in waiting:
            self._keep(item)

    def kept(self, topic: str) -> None:
        """Note that a message was put into the outbox: retained telemetry of its topic that waits is older, and goes.

        The rest stays: parts of an answer may wait when the last one is put there.
        """
        self._states.pop(topic, None)
        for mid, sending in self._inflight.items():
            if sending.is_state_of(topic):
                self._inflight[mid] = replace(sending, item=None)
        if self._held is not None and self._held.is_state_of(topic):
            self._held = None

    def order(self, entry: Entry) -> None:
        """Take a message that is in no outbox; it goes there while the broker is away."""
        self.kept(entry.topic)
        waiting = Waiting(entry, self._outbox.last_key, self._number)
        if self.stage is Stage.LIVE:
            self._wait(waiting)
        else:
            self._keep(waiting)

    def tell(self, telemetry: Telemetry) -> None:
        """Take a message of which, when it cannot be sent in time, at most the newest counts."""
        if telemetry.retain:
            self._states.pop(telemetry.topic, None)  # so that it moves to the end
            self._states[telemetry.topic] = telemetry
        elif self.stage is Stage.AWAY:
            self.telemetry_dropped += 1
        else:
            if len(self._readings) >= MAX_TELEMETRY:
                self._readings.popleft()
                self.telemetry_dropped += 1
            self._readings.append(telemetry)

    # ---- what goes out -------------------------------------------------------------------------------------------

    def next(self, now_s: float) -> Sending | None:
        """Return the next message, None while there is nothing to send or nothing may be sent."""
        if self._holding_back:
            return None
        self._culprits.forget_idle(now_s)
        while (sending := self._held or self._choose(now_s)) is not None:
            self._held = None
            if self._culprits.barred(sending.topic, now_s):
                self._give_way(sending)
            elif not self._culprits.alone(sending.topic):
                return sending
            elif self._inflight:
                self._held = sending
                return None
            else:
                return replace(sending, qos=1)  # so that it is acknowledged
        return None

    def _choose(self, now_s: float) -> Sending | None:
        may_confirm = self._unconfirmed < self._window
        may_tell = len(self._inflight) - self._unconfirmed < MAX_UNWRITTEN
        if self.stage is Stage.BACKLOG and may_confirm:
            sending = self._next_backlog(now_s)
            if sending is not None:
                return sending
        if self.stage is Stage.RESTATING and may_confirm:
            if self._restate:
                return Sending(*self._restate.popleft(), qos=1, retain=True, correlation=None, item=None)
            self.stage = Stage.LIVE
        if self.stage is Stage.LIVE and may_confirm:
            item = self._next_ordered(None)
            if item is not None:
                return Sending.of(item, historical=False)
            sending = self._next_reply(now_s)
            if sending is not None:
                return sending
            again = self._aside.next(now_s)
            if again is not None:
                return Sending.of(again, historical=True)
        if self._readings and self._may_read(self._readings[0], may_confirm=may_confirm, may_tell=may_tell):
            return Sending.of(self._readings.popleft(), historical=False)
        if self.stage is Stage.LIVE and may_confirm and may_tell and self._states:
            topic = next((topic for topic in self._states if topic != self._last_topic), self._last_topic)
            return Sending.of(self._states.pop(topic), historical=False)
        return None

    def wait_s(self, now_s: float) -> float | None:
        """Seconds until the rate limit allows the next message; None where it is not what holds back."""
        paced = self.stage is Stage.BACKLOG or (self.stage is Stage.LIVE and self._replies.waiting)
        if paced and self._unconfirmed < self._window and not self._holding_back:
            return max(0.0, self._next_backlog_s - now_s)
        return None

    def sent(self, sending: Sending, mid: int) -> None:
        """Note that a message is on its way under the number ``mid``."""
        self._inflight[mid] = sending
        self._lone = self._lone or self._culprits.alone(sending.topic)

    def unsent(self, sending: Sending, now_s: float) -> bool:
        """Take back a message that could not be handed over: the connection is gone. See `ended`."""
        self._held = sending  # it has not left, so that the connection did not end over it
        return self.ended(now_s)

    def refuse(self, sending: Sending, reason: str) -> None:
        """Return a message up: the broker will never take it."""
        self._refusals.refused(sending.topic, reason)
        self._finish(sending)

    def fits(self, sending: Sending) -> bool:
        """Whether the broker takes packets of this size."""
        return self._max_packet is None or sending.size <= self._max_packet

    def written(self, mid: int, refused: str | None, now_s: float) -> None:
        """Note that a message has arrived or was refused, or that one of QoS 0 has left."""
        sending = self._inflight.pop(mid, None)
        if sending is None:
            return
        self._lone &= self.flying
        if sending.qos == 0:
            self._culprits.written(sending.topic, now_s)
            return
        self._culprits.acknowledged(sending.topic)
        if refused is None:
            self._finish(sending)
            self._refusals.taken(sending.topic)
            sending.acknowledged()
        else:
            self.refuse(sending, refused)

    def flush(self) -> None:
        """Forget on disk what has arrived.

        Raises
        ------
        OutboxError
            If that cannot be written; it is tried again next time.
        """
        if self._acknowledged:
            self._outbox.done(*self._acknowledged)
            self._acknowledged.clear()

    # ---- inside --------------------------------------------------------------------------------------------------

    def _next_backlog(self, now_s: float) -> Sending | None:
        if now_s < self._next_backlog_s:
            return None
        item = self._next_ordered(self._boundary)
        if item is None:
            self.stage = Stage.RESTATING
            return None
        self._next_backlog_s = max(self._next_backlog_s + self._pause_s, now_s)
        return Sending.of(item, historical=True)

    def _next_ordered(self, until: int | None) -> Entry | Waiting | None:
        """Next of the entries on disk and the messages in memory; with ``until``, of those before this connection."""
        entry = self._ordered.head()
        if until is not None and entry is not None and entry.key > until:
            entry = None
        head = self._waiting[0] if self._waiting else None
        if head is not None and until is not None and head.number == self._number:
            head = None
        if head is not None and (entry is None or entry.key > head.after):
            return self._waiting.popleft()
        return None if entry is None else self._ordered.take()

    def _next_reply(self, now_s: float) -> Sending | None:
        """Next answer to a response topic; those of before this connection keep to the rate of the backlog."""
        entry = self._replies.head()
        if entry is None:
            return None
        if entry.key > self._boundary:
            return Sending.of(self._replies.take(), historical=False)
        if now_s < self._next_backlog_s:
            return None
        self._next_backlog_s = max(self._next_backlog_s + self._pause_s, now_s)
        return Sending.of(self._replies.take(), historical=True)

    @property
    def _holding_back(self) -> bool:
        """Whether a message that goes alone is on its way, or waits until nothing is."""
        return bool(self._inflight) and (self._lone or self._held is not None)

    def _under_way(self) -> list[Sending]:
        """Messages that were taken out of their queue and are not finished, oldest first."""
        return [*self._inflight.values(), *filter(None, [self._held])]

    def _give_way(self, sending: Sending) -> None:
        """Set a message aside, so that the others go on."""
        self.telemetry_dropped += isinstance(sending.item, Telemetry)
        self._aside.take(sending)

    def _finish(self, sending: Sending) -> None:
        if isinstance(sending.item, Entry):
            self._acknowledged.append(sending.item.key)

    def _take_back(self, flying: list[Telemetry]) -> None:
        newest = {item.topic: item for item in flying if item.retain}  # of several of a topic the last
        self._states = newest | self._states
        self.telemetry_dropped += sum(not item.retain for item in flying)

    def _keep(self, waiting: Waiting) -> None:
        try:
            self._outbox.put_again(waiting.entry)
        except OutboxError as error:
            self._disk_failure(error)
            self._wait(replace(waiting, after=self._outbox.last_key))

    def _wait(self, waiting: Waiting) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(waiting)

    def _may_read(self, reading: Telemetry, *, may_confirm: bool, may_tell: bool) -> bool:
        if reading.qos == 0:
            return may_tell and self.stage is not Stage.AWAY
        return may_confirm and self.stage is Stage.LIVE  # it may share its topic with what the backlog holds
