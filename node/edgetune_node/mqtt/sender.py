"""The thread that alone decides what goes to the broker, and sees to it that there is a client to send it with."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import structlog

from edgetune_node.errors import OutboxError
from edgetune_node.mqtt.delivery import Delivery, Stage
from edgetune_node.mqtt.outbox import Entry
from edgetune_node.mqtt.outgoing import Sending, Telemetry
from edgetune_node.mqtt.signals import Down, Sent, Up
from edgetune_node.ops import Publishing

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgetune_node.mqtt.broker_limits import Limits
    from edgetune_node.mqtt.client import Connection
    from edgetune_node.mqtt.outbox import Outbox
    from edgetune_node.mqtt.signals import Signal

SUPERVISION_S = 0.5
REBUILD_S = 2.0
UNCONFIRMED_S = 30.0
"""A broker that acknowledges others but not this message has lost it or its acknowledgement, as mosquitto does where it
drops what a client reads too slowly. It is sent again over a new connection."""
DRAIN_SHARE, STOPPED_SHARE = 0.6, 0.8
"""By which part of the time to stop everything is sent, and by which `stopped`; the rest is for disconnecting."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class KeptEntry:
    """A message on this topic is on disk."""

    topic: str


@dataclass(frozen=True, slots=True)
class _Stop:
    final: Telemetry
    drained_by_s: float
    stopped_by_s: float


@dataclass(frozen=True, slots=True)
class _From:
    """A signal, and the client it comes from: one that was replaced is not listened to."""

    client: int
    signal: Signal


_Work: TypeAlias = KeptEntry | Entry | Telemetry | _From | _Stop


class Sender:
    """Takes work from every thread, and sends in its own.

    Parameters
    ----------
    outbox
        What waits on disk.
    per_second
        Rate of the backlog.
    status_topic
        The node's ``status``.
    connect
        Makes a client, which calls the function given for each of its signals.
    changed
        Told when the link is up (everything of before is sent, the present state restated) and when it is down (why).
    disk_failure
        Told when the outbox fails; sending goes on from memory.
    recover
        Called a few times a second, to try again what the disk would not do.
    """

    def __init__(
        self,
        outbox: Outbox,
        *,
        per_second: float,
        status_topic: str,
        connect: Callable[[Callable[[Signal], None]], Connection],
        changed: Callable[[bool, str], None],
        disk_failure: Callable[[OutboxError], None],
        recover: Callable[[], None],
    ) -> None:
        self._outbox = outbox
        self._connect = connect
        self._changed = changed
        self._disk_failed = disk_failure
        self._recover = recover
        self._recover_from_s = 0.0
        self._refused_filters: str | None = None
        self.delivery = Delivery(
            outbox,
            per_second=per_second,
            last_topic=status_topic,
            refusal=_report_refusal,
            disk_failure=disk_failure,
        )
        self._work: queue.SimpleQueue[_Work] = queue.SimpleQueue()
        self._clients = 0
        self.connection = self._new_connection()
        self._thread = threading.Thread(target=self._send_for_ever, name="mqtt-sender", daemon=True)
        self._stopping: _Stop | None = None
        self._told: tuple[bool, str] | None = None
        self._rebuild_from_s = 0.0
        self._unconfirmed: dict[int, float] = {}
        self._cut = False  # by this node itself: no message is to blame for the end
        self.connected = False
        self.connections = 0
        self.replaced = 0
        self.limits: Limits | None = None
        self._left_s = time.monotonic()

    def start(self) -> None:
        """Begin to connect and to send."""
        self.connection.start()
        self._thread.start()

    def take(self, work: KeptEntry | Entry | Telemetry) -> None:
        """Take a message: one on disk, one to be sent in order, or telemetry."""
        self._work.put(work)

    @property
    def publishing(self) -> Publishing:
        """Whether messages leave."""
        return Publishing(self._thread.is_alive(), self.connected, time.monotonic() - self._left_s)

    @property
    def refusal(self) -> str | None:
        """Topic and reason of the newest message that the broker refuses, or else the filters it does."""
        return self.delivery.refusal or self._refused_filters

    def stop(self, final: Telemetry, timeout_s: float) -> None:
        """Send what waits, then ``final``, then disconnect; what is not sent in time stays on disk."""
        began_s = time.monotonic()
        self._work.put(_Stop(final, began_s + DRAIN_SHARE * timeout_s, began_s + STOPPED_SHARE * timeout_s))
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        self.connection.close(began_s + timeout_s - time.monotonic())
        self.connected = False

    # ---- in the sender's thread ----------------------------------------------------------------------------------

    def _send_for_ever(self) -> None:
        while True:
            try:
                if not self._step():
                    return
            except OutboxError as error:
                self._disk_failed(error)
                time.sleep(SUPERVISION_S)
            except Exception:  # noqa: BLE001 - a mistake over one message must not silence the node
                _log.exception("mqtt_sender_failed")
                time.sleep(SUPERVISION_S)

    def _step(self) -> bool:
        """Wait for work or for the rate limit, then send what may be sent; False when all is over."""
        now_s = time.monotonic()
        wait_s = self.delivery.wait_s(now_s)
        self._take_work(SUPERVISION_S if wait_s is None else min(wait_s, SUPERVISION_S))
        self._try_on_disk(self.delivery.flush)
        if time.monotonic() >= self._recover_from_s:
            self._recover_from_s = time.monotonic() + SUPERVISION_S
            self._recover()
        while (sending := self.delivery.next(time.monotonic())) is not None:
            self._send(sending)
            self._take_work(0)
        if self.delivery.stage is Stage.LIVE:
            self._tell(connected=True)
        stopping = self._stopping
        if stopping is not None:
            return not self._finished(stopping)
        self._supervise()
        return True

    def _take_work(self, timeout_s: float) -> None:
        """Take everything that has come; wait for the first of it."""
        try:
            work = self._work.get(timeout=timeout_s) if timeout_s > 0 else self._work.get_nowait()
            while True:
                self._take(work)
                work = self._work.get_nowait()
        except queue.Empty:
            return

    def _take(self, work: _Work) -> None:
        delivery = self.delivery
        match work:
            case KeptEntry(topic):
                delivery.kept(topic)
            case Entry():
                delivery.order(work)
            case Telemetry():
                delivery.tell(work)
            case _From(client, signal) if client == self._clients:
                self._take_signal(signal)
            case _Stop():
                self._stopping = work

    def _take_signal(self, signal: Signal) -> None:
        match signal:
            case Sent(mid, refused):
                self._left_s = time.monotonic()
                self._unconfirmed.pop(mid, None)
                self.delivery.written(mid, refused, self._left_s)
            case Up(number, limits, refused):
                self.connected = True
                self._cut = False
                self._left_s = time.monotonic()
                self._refused_filters = refused
                self.connections += 1
                self._try_on_disk(self._outbox.expire)
                self.limits = limits
                self.delivery.connected(number, limits, now_s=time.monotonic())
            case Down(reason, blameless):
                self._down(reason, blameless=blameless)

    def _down(self, reason: str, *, blameless: bool) -> None:
        """Record that the connection is gone; of a ``blameless`` end no message was the reason."""
        self.connected = False
        self._unconfirmed.clear()
        if blameless or self._cut:
            self.delivery.lost()
        elif self.delivery.ended(time.monotonic()):
            self.connection.settled()
        self._tell(connected=False, reason=reason)

    def _tell(self, *, connected: bool, reason: str = "") -> None:
        if (connected, reason) != self._told:
            self._told = connected, reason
            self._changed(connected, reason)

    def _send(self, sending: Sending) -> None:
        if not self.delivery.fits(sending):
            self.delivery.refuse(sending, "it is larger than the broker's maximum packet")
            return
        try:
            mid = self.connection.publish(
                sending.topic, sending.payload, qos=sending.qos, retain=sending.retain, correlation=sending.correlation
            )
        except ValueError as error:
            self.delivery.refuse(sending, str(error))
            return
        if mid is None:
            if self.delivery.unsent(sending, time.monotonic()):
                self.connection.settled()
            self.connection.abandon()
        else:
            self.delivery.sent(sending, mid)
            if sending.qos:
                self._unconfirmed[mid] = time.monotonic()

    def _finished(self, stop: _Stop) -> bool:
        """Whether everything that can be sent in time has been, `stopped` included."""
        delivery = self.delivery
        if delivery.stage is Stage.AWAY:
            return True
        if not delivery.idle and time.monotonic() < stop.drained_by_s:
            return False
        delivery.lost()  # what has not arrived stays on disk
        final = stop.final
        sending = Sending(final.topic, final.payload, final.qos, final.retain, None, None)
        mid = self.connection.publish(sending.topic, sending.payload, qos=1, retain=sending.retain, correlation=None)
        if mid is not None:
            delivery.sent(sending, mid)
        while delivery.flying and (left_s := stop.stopped_by_s - time.monotonic()) > 0:
            self._take_work(left_s)
        return True

    def renew(self) -> None:
        """Cut the connection: the broker sends again, over the next one, what it counts as sent and has lost."""
        self._cut = True
        self.connection.abandon()

    def _supervise(self) -> None:
        """Cut a connection that has lost a message, and replace a client whose network thread has ended."""
        oldest_s = next(iter(self._unconfirmed.values()), None)
        if oldest_s is not None and time.monotonic() - oldest_s > UNCONFIRMED_S:
            _log.warning("mqtt_message_lost", unconfirmed=len(self._unconfirmed), after_s=UNCONFIRMED_S)
            self._unconfirmed.clear()
            self.renew()
        if not self.connection.dead:
            return
        self._down("the network thread has ended by itself; a new client is made", blameless=True)
        if time.monotonic() >= self._rebuild_from_s:
            self._rebuild_from_s = time.monotonic() + REBUILD_S
            self.connection.abandon()
            self.connection = self._new_connection()
            self.connection.start()
            self.replaced += 1
            _log.error("mqtt_thread_ended", replaced=self.replaced)

    def _try_on_disk(self, action: Callable[[], None]) -> None:
        """Do what can be done later as well: while the disk fails, messages go on from memory."""
        try:
            action()
        except OutboxError as error:
            self._disk_failed(error)

    def _new_connection(self) -> Connection:
        self._clients += 1
        client = self._clients
        return self._connect(lambda signal: self._work.put(_From(client, signal)))


def _report_refusal(topic: str, reason: str) -> None:
    _log.error("mqtt_publish_refused", topic=topic, reason=reason)
