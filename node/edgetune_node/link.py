"""The node's link to the broker: what the node publishes goes out, what the plant sends comes in.

Three threads meet here, and none waits for another:

- the node's thread calls `Link.publish` and its siblings. A rare message is written to disk there and then (one fsync);
  everything else is only handed over.
- paho's network thread (see `connection`) hands over signals, commands and samples.
- the link's own sender thread takes both from one queue and alone decides what is sent when (see `delivery`). It holds
  back for the backlog's rate limit and for acknowledgements, so that neither of the others has to. It also sees to it
  that paho's thread is alive, and builds a new client when it is not.
"""

from __future__ import annotations

import itertools
import queue
import random
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import structlog

from edgetune_node.commands import MAX_COMMAND_BYTES
from edgetune_node.connection import Connection, Down, Incoming, Sent, Up
from edgetune_node.delivery import Delivery, Sending, Stage, Telemetry
from edgetune_node.errors import OutboxError
from edgetune_node.events import CommandArrived, ContextArrived, Durability, LinkChanged
from edgetune_node.outbox import Entry
from edgetune_node.tls import tls_context

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgetune_node.config import MqttSection
    from edgetune_node.connection import Signal
    from edgetune_node.events import Event, FinishCommand, KeepCommand, Publish
    from edgetune_node.outbox import Outbox
    from edgetune_node.topics import Topics

SUPERVISION_S = 0.5
REBUILD_S = 2.0
FLAPPING_LOSSES = 5
FLAPPING_S = 60.0
DRAIN_SHARE, STOPPED_SHARE = 0.6, 0.8
"""By which part of the time to stop everything is sent, and by which `stopped`; the rest is for disconnecting."""
MAX_RESPONSE_TOPIC = 512

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Kept:
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


_Work: TypeAlias = _Kept | Entry | Telemetry | _From | _Stop


class Link:
    """One MQTT connection with its outbox.

    Parameters
    ----------
    settings
        The broker and the bounds.
    topics
        Names of the node's topics.
    outbox
        Where rare messages and commands are kept; the caller closes it after `stop`.
    post
        Takes events for the node's inbox; called from two threads, must not wait.
    boot
        Name of this process' life.
    sample_feeds
        For each asset whose samples come from the broker: takes one payload, must not wait.
    will
        Payload of the last will on ``status``.
    jitter
        Between 0 and 1; spreads reconnects.

    Raises
    ------
    ConfigError
        If a file of the TLS settings cannot be used.
    """

    def __init__(
        self,
        settings: MqttSection,
        topics: Topics,
        outbox: Outbox,
        *,
        post: Callable[[Event], None],
        boot: str,
        sample_feeds: Mapping[str, Callable[[bytes], None]],
        will: bytes,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._outbox = outbox
        self._post = post
        self._boot = boot
        self._sample_feeds = dict(sample_feeds)
        self._will = will
        self._jitter = jitter
        self._tls = None if settings.tls is None else tls_context(settings.tls)
        self._status_topic = topics.node("status")
        self._delivery = Delivery(
            outbox,
            per_second=settings.replay_per_second,
            last_topic=self._status_topic,
            refusal=_report_refusal,
            disk_failure=self._disk_failed,
        )
        self._work: queue.SimpleQueue[_Work] = queue.SimpleQueue()
        self._numbers = itertools.count(1)
        self._clients = 0
        self._connection = self._make_connection()
        self._sender = threading.Thread(target=self._send_for_ever, name="mqtt-sender", daemon=True)
        self._stopping: _Stop | None = None
        self._announced: LinkChanged | None = None
        self._losses: deque[float] = deque(maxlen=FLAPPING_LOSSES)
        self._disk_error: str | None = None
        self._rebuild_from_s = 0.0
        self.connected = False
        self.connections = 0

    # ---- the node's side -----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect; the broker may be down."""
        self._connection.start()
        self._sender.start()

    def publish(self, effect: Publish) -> None:
        """Send a message as its durability says; a rare one is on disk when this returns."""
        message = effect.message
        payload = message.json_bytes()
        if effect.durability is Durability.TELEMETRY or effect.topic == self._status_topic:  # a status is never late
            self._work.put(Telemetry(effect.topic, payload, message.qos, message.retained, effect.correlation))
        elif effect.durability is Durability.SIGN:
            self._work.put(self._entry(effect, payload))
        else:
            try:
                self._outbox.put(
                    effect.topic,
                    payload,
                    qos=1,
                    retain=message.retained,
                    correlation=effect.correlation,
                    boot=self._boot,
                )
            except OutboxError as error:
                self._disk_failed(error)
                self._work.put(self._entry(effect, payload))
            else:
                self._disk_error = None
                self._work.put(_Kept(effect.topic))

    def keep_command(self, effect: KeepCommand) -> None:
        """Put a command on disk, then acknowledge it; where the disk fails the broker is left to send it again."""
        try:
            self._outbox.keep_command(effect.asset, effect.name, effect.command_id, effect.payload, effect.answer)
        except OutboxError as error:
            self._disk_failed(error)
        else:
            if effect.ack is not None:
                self.ack(effect.ack)

    def finish_command(self, effect: FinishCommand) -> None:
        """Keep a command's final answer."""
        try:
            self._outbox.finish_command(effect.asset, effect.name, effect.command_id, effect.answer)
        except OutboxError as error:
            self._disk_failed(error)

    def ack(self, token: int) -> None:
        """Acknowledge a command to the broker."""
        self._connection.ack(token)

    def stop(self, final: Publish, timeout_s: float) -> None:
        """Send what waits, then ``final`` (status `stopped`), then disconnect; all of it within ``timeout_s``."""
        began_s = time.monotonic()
        message = final.message
        last = Telemetry(final.topic, message.json_bytes(), message.qos, message.retained, None)
        self._work.put(_Stop(last, began_s + DRAIN_SHARE * timeout_s, began_s + STOPPED_SHARE * timeout_s))
        if self._sender.ident is not None:
            self._sender.join(timeout_s)
        self._connection.close(began_s + timeout_s - time.monotonic())
        self.connected = False

    @property
    def reconnects(self) -> int:
        """Connections after the first."""
        return max(0, self.connections - 1)

    @property
    def depth(self) -> int:
        """Messages that wait for the broker, telemetry left out."""
        return self._outbox.depth + self._delivery.in_memory

    @property
    def dropped(self) -> int:
        """Messages given up since the start: by the outbox's bounds, for want of room, or telemetry while away."""
        return self._outbox.dropped + self._delivery.dropped

    @property
    def refused(self) -> int:
        """Messages that the broker would not take, for example by its access rules."""
        return self._delivery.refused

    @property
    def disk_error(self) -> str | None:
        """Why the newest rare message is not on disk, None while all is well."""
        return self._disk_error

    # ---- the network's side --------------------------------------------------------------------------------------

    def _make_connection(self) -> Connection:
        self._clients += 1
        client = self._clients
        return Connection(
            self._settings,
            self._topics,
            mqtt_assets=tuple(self._sample_feeds),
            will=self._will,
            tls=self._tls,
            numbers=self._numbers,
            jitter=self._jitter(),
            on_signal=lambda signal: self._work.put(_From(client, signal)),
            on_message=self._receive,
        )

    def _receive(self, incoming: Incoming) -> None:
        """Route one message, in paho's thread. Only a command is acknowledged later, by whoever has dealt with it."""
        place = self._topics.split(incoming.topic)
        asset, leaf = place if place is not None else (None, "")
        if leaf.startswith("cmd/"):
            self._post(
                CommandArrived(
                    asset,
                    leaf.removeprefix("cmd/"),
                    incoming.payload[: MAX_COMMAND_BYTES + 1],
                    retained=incoming.retained,
                    response_topic=self._usable(incoming.response_topic),
                    correlation=incoming.correlation,
                    ack=incoming.ack,
                )
            )
            return
        try:
            if asset is not None and leaf == "samples" and asset in self._sample_feeds:
                self._sample_feeds[asset](incoming.payload)
            elif asset is not None and leaf == "context":
                self._post(ContextArrived(asset, incoming.payload[: MAX_COMMAND_BYTES + 1]))
        finally:
            if incoming.ack is not None:
                self._connection.ack(incoming.ack)

    def _usable(self, response_topic: str | None) -> str | None:
        """Give the topic if an answer may go there: anywhere but into wildcards, the broker's own and our topics."""
        if not response_topic or len(response_topic) > MAX_RESPONSE_TOPIC or response_topic.startswith("$"):
            return None
        if any(sign in response_topic for sign in "+#\0"):
            return None
        place = self._topics.split(response_topic)
        return response_topic if place is None or place[1].startswith("resp/") else None

    # ---- the sender's side ---------------------------------------------------------------------------------------

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
        wait_s = self._delivery.wait_s(now_s)
        self._take_work(SUPERVISION_S if wait_s is None else min(wait_s, SUPERVISION_S))
        self._try_on_disk(self._delivery.flush)
        while (sending := self._delivery.next(time.monotonic())) is not None:
            self._send(sending)
            self._take_work(0)
        if self._delivery.stage is Stage.LIVE:
            self._announce(LinkChanged(connected=True))
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
        delivery = self._delivery
        match work:
            case _Kept(topic):
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
                self._delivery.written(mid, refused)
            case Up(number, receive_maximum, max_packet):
                self.connected = True
                self.connections += 1
                self._try_on_disk(self._outbox.expire)
                self._delivery.connected(
                    number, receive_maximum=receive_maximum, max_packet=max_packet, now_s=time.monotonic()
                )
            case Down(reason):
                self._down(reason)

    def _down(self, reason: str) -> None:
        now_s = time.monotonic()
        if self.connected:
            self._losses.append(now_s)
            if len(self._losses) == FLAPPING_LOSSES and now_s - self._losses[0] < FLAPPING_S:
                reason += f"; {FLAPPING_LOSSES} times within a minute: does another client use this client id?"
        self.connected = False
        self._delivery.lost()
        self._announce(LinkChanged(connected=False, reason=reason))

    def _announce(self, change: LinkChanged) -> None:
        if change != self._announced:
            self._announced = change
            self._post(change)

    def _send(self, sending: Sending) -> None:
        if not self._delivery.fits(sending):
            self._delivery.refuse(sending, "it is larger than the broker's maximum packet")
            return
        try:
            mid = self._connection.publish(
                sending.topic, sending.payload, qos=sending.qos, retain=sending.retain, correlation=sending.correlation
            )
        except ValueError as error:
            self._delivery.refuse(sending, str(error))
            return
        if mid is None:
            self._delivery.unsent(sending)
            self._connection.abandon()
        else:
            self._delivery.sent(sending, mid)

    def _finished(self, stop: _Stop) -> bool:
        """Whether everything that can be sent in time has been, `stopped` included."""
        delivery = self._delivery
        if delivery.stage is Stage.AWAY:
            return True
        if not delivery.idle and time.monotonic() < stop.drained_by_s:
            return False
        delivery.lost()  # what has not arrived stays on disk
        final = stop.final
        sending = Sending(final.topic, final.payload, final.qos, final.retain, None, None)
        mid = self._connection.publish(sending.topic, sending.payload, qos=1, retain=sending.retain, correlation=None)
        if mid is not None:
            delivery.sent(sending, mid)
        while delivery.flying and (left_s := stop.stopped_by_s - time.monotonic()) > 0:
            self._take_work(left_s)
        return True

    def _supervise(self) -> None:
        """Put a new client in the place of one whose network thread has ended."""
        if not self._connection.dead:
            return
        self._down("the network thread has ended by itself; a new client is made")
        if time.monotonic() >= self._rebuild_from_s:
            self._rebuild_from_s = time.monotonic() + REBUILD_S
            self._connection.abandon()
            self._connection = self._make_connection()
            self._connection.start()

    def _try_on_disk(self, action: Callable[[], None]) -> None:
        """Do what can be done later as well: while the disk fails, messages go on from memory."""
        try:
            action()
        except OutboxError as error:
            self._disk_failed(error)

    def _entry(self, effect: Publish, payload: bytes) -> Entry:
        return Entry(0, effect.topic, payload, 1, effect.message.retained, effect.correlation, self._boot, 0)

    def _disk_failed(self, error: OutboxError) -> None:
        if self._disk_error != str(error):
            _log.error("outbox_failed", reason=str(error))
        self._disk_error = str(error)


def _report_refusal(topic: str, reason: str) -> None:
    _log.error("mqtt_publish_refused", topic=topic, reason=reason)
