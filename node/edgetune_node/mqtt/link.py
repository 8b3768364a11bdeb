"""The node's link to the broker: what the node publishes goes out, what the plant sends comes in.

Three threads meet here, and none waits for another:

- the node's thread calls `Link.publish` and its siblings. A rare message is written to disk there and then (one fsync);
  everything else is only handed over.
- paho's network thread (see `connection`) hands over signals, commands and samples.
- the link's own thread (see `sender`) takes both from one queue and alone decides what is sent when (see `delivery`).
  It holds back for the backlog's rate limit and for acknowledgements, so that neither of the others has to. It also
  sees to it that paho's thread is alive, and makes a new client when it is not.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

import structlog

from edgetune_node.contract import MAX_PAYLOAD_BYTES, MAX_RESPONSE_TOPIC_BYTES, Response
from edgetune_node.errors import OutboxError
from edgetune_node.events import CommandArrived, ContextArrived, Durability, LinkChanged
from edgetune_node.mqtt.client import MAX_INFLIGHT, Connection
from edgetune_node.mqtt.outbox import Entry
from edgetune_node.mqtt.outbox_rows import Lane
from edgetune_node.mqtt.outgoing import Telemetry
from edgetune_node.mqtt.sender import KeptEntry, Sender
from edgetune_node.mqtt.tls import tls_context

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from edgetune_node.config import MqttSection
    from edgetune_node.contract import BrokerInfo, Topics
    from edgetune_node.events import Event, FinishCommand, KeepCommand, NoteCommand, Publish
    from edgetune_node.mqtt.outbox import Outbox
    from edgetune_node.mqtt.signals import Incoming, Signal
    from edgetune_node.ops import Publishing

UNKEPT_S = 5.0
MAX_UNKEPT = MAX_INFLIGHT // 2
"""So long, and so many, commands that a full disk would not take go unacknowledged: a broker sends only a few (by
default 20) ahead of their acknowledgements, and with none left it would send no command any more."""

_log = structlog.get_logger(__name__)


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
        Takes events for the node's inbox; called from two threads, must not wait. False for a command that it refused.
    assets
        Names of the node's assets.
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
        post: Callable[[Event], bool | None],
        boot: str,
        assets: Collection[str],
        sample_feeds: Mapping[str, Callable[[bytes], None]],
        will: bytes,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._outbox = outbox
        self._post = post
        self._boot = boot
        self._assets = frozenset(assets)
        self._sample_feeds = dict(sample_feeds)
        self._will = will
        self._jitter = jitter
        self._tls = None if settings.tls is None else tls_context(settings.tls)
        self._status_topic = topics.node("status")
        self._numbers = itertools.count(1)
        self._disk = threading.Lock()  # so that recovering does not hide a failure of the same moment
        self._disk_error: str | None = None
        self._unkept: deque[tuple[float, int]] = deque()
        self._only_remembered = 0
        self._sender = Sender(
            outbox,
            per_second=settings.replay_per_second,
            status_topic=self._status_topic,
            connect=self._connect,
            changed=self._changed,
            disk_failure=self._disk_failed,
            recover=self._recover,
        )

    # ---- the node's side -----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect; the broker may be down."""
        self._sender.start()

    def publish(self, effect: Publish) -> None:
        """Send a message as its durability says; a rare one is on disk when this returns."""
        message = effect.message
        payload = message.json_bytes()
        if effect.durability is Durability.TELEMETRY or effect.topic == self._status_topic:  # a status is never late
            qos = 0 if isinstance(message, Response) else message.qos  # of many refusals none holds back a fault
            self._sender.take(Telemetry(effect.topic, payload, qos, message.retained, effect.correlation))
        elif effect.durability is Durability.SIGN:
            self._sender.take(self._entry(effect, payload))
        else:
            with self._disk:
                try:
                    self._outbox.put(
                        effect.topic,
                        payload,
                        qos=1,
                        retain=message.retained,
                        correlation=effect.correlation,
                        boot=self._boot,
                        lane=Lane.ORDERED if self._topics.split(effect.topic) is not None else Lane.REPLY,
                    )
                except OutboxError as error:
                    self._disk_failed(error)
                    work: KeptEntry | Entry = self._entry(effect, payload)
                else:
                    work = KeptEntry(effect.topic)
            self._sender.take(work)

    def announce(self, topic: str, payload: bytes, arrived: Callable[[], None] | None = None) -> None:
        """Publish a retained message that is none of the contract's; it is not kept while the broker is away."""
        self._sender.take(Telemetry(topic, payload, 1, True, None, arrived))

    def keep_command(self, effect: KeepCommand) -> None:
        """Put a command on disk, then acknowledge it.

        Where the disk fails that is tried again and again, until the command has waited 5 s or ten of them wait: then
        it is acknowledged as it is, in memory only, and `disk_error` says so.
        """
        with self._disk:
            try:
                if effect.final:
                    self._outbox.commands.finish(effect.asset, effect.name, effect.command_id, effect.answer)
                else:
                    self._outbox.commands.keep(
                        effect.asset, effect.name, effect.command_id, effect.payload, effect.answer, effect.note
                    )
            except OutboxError as error:
                self._disk_failed(error)
                if effect.ack is not None:
                    self._unkept.append((time.monotonic() + UNKEPT_S, effect.ack))
                    self._give_up_keeping()
            else:
                if effect.ack is not None:
                    self.ack(effect.ack)

    def note_command(self, effect: NoteCommand) -> None:
        """Keep what a restart must know of a running command."""
        with self._disk:
            try:
                self._outbox.commands.note(effect.asset, effect.command_id, effect.note)
            except OutboxError as error:
                self._disk_failed(error)

    def finish_command(self, effect: FinishCommand) -> None:
        """Keep a command's final answer."""
        with self._disk:
            try:
                self._outbox.commands.finish(effect.asset, effect.name, effect.command_id, effect.answer)
            except OutboxError as error:
                self._disk_failed(error)

    def ack(self, token: int) -> None:
        """Acknowledge a command to the broker."""
        self._sender.connection.ack(token)

    def renew(self) -> None:
        """Connect anew, so that the broker sends again what it has lost."""
        self._sender.renew()

    def stop(self, final: Publish, timeout_s: float) -> None:
        """Send what waits, then ``final`` (status `stopped`), then disconnect; all of it within ``timeout_s``."""
        with self._disk:  # what was answered must not be sent, and done, again
            self._give_up_keeping(all_of_them=True)
        message = final.message
        last = Telemetry(final.topic, message.json_bytes(), message.qos, message.retained, None)
        self._sender.stop(last, timeout_s)

    @property
    def connected(self) -> bool:
        """Whether the broker is there and has our subscriptions; `LinkChanged` comes when the backlog has gone too."""
        return self._sender.connected

    @property
    def publishing(self) -> Publishing:
        """Whether messages leave, for the watchdog."""
        return self._sender.publishing

    @property
    def reconnects(self) -> int:
        """Connections after the first."""
        return max(0, self._sender.connections - 1)

    @property
    def depth(self) -> int:
        """Messages that wait for the broker, telemetry left out."""
        return self._outbox.depth + self._sender.delivery.in_memory

    @property
    def dropped(self) -> int:
        """Messages given up since the start, by the outbox's bounds or for want of memory; telemetry left out."""
        return self._outbox.dropped + self._sender.delivery.dropped

    @property
    def telemetry_dropped(self) -> int:
        """Telemetry that was not sent in time and that nothing newer stands for."""
        return self._sender.delivery.telemetry_dropped

    @property
    def refused(self) -> int:
        """Messages that the broker would not take, for example by its access rules."""
        return self._sender.delivery.refused

    @property
    def disk_error(self) -> str | None:
        """Why messages or commands are in memory only; None again once the disk has been seen to work."""
        error, count = self._disk_error, self._only_remembered
        if error is None or count == 0:
            return error
        return f"{error}; {count} accepted commands are in memory only: an end of the process would forget them"

    @property
    def refusal(self) -> str | None:
        """Topic and reason of the newest message or subscription that the broker refuses, None where it takes all.

        With MQTT 3.1.1 a broker cannot say that it refuses a message.
        """
        return self._sender.refusal

    @property
    def set_aside(self) -> str | None:
        """Topics of messages that were set aside because the broker ended connections over them."""
        return self._sender.delivery.set_aside

    @property
    def broker(self) -> BrokerInfo | None:
        """What the broker offers, None before the first connection."""
        limits = self._sender.limits
        return None if limits is None else limits.info

    @property
    def willless(self) -> str | None:
        """That the broker takes no last will."""
        broker = self.broker
        if broker is None or broker.will != "none":
            return None
        return f"the broker takes no last will on {self._status_topic}: nobody is told when the node is cut off"

    @property
    def flapping(self) -> str | None:
        """What it looks like where connections never last, as where two nodes have one client id."""
        return self._sender.connection.flapping

    @property
    def incident(self) -> str | None:
        """What went wrong in here since the start and was mended; it should be told to the makers."""
        times = self._sender.replaced
        return (
            f"mqtt: the network thread ended by itself and was replaced, times: {times}; see the log" if times else None
        )

    def _changed(self, connected: bool, reason: str) -> None:  # noqa: FBT001 - a callback
        self._post(LinkChanged(connected, reason, self.broker if connected else None))

    # ---- the network's side --------------------------------------------------------------------------------------

    def _connect(self, on_signal: Callable[[Signal], None]) -> Connection:
        return Connection(
            self._settings,
            self._topics,
            mqtt_assets=tuple(self._sample_feeds),
            will=self._will,
            tls=self._tls,
            numbers=self._numbers,
            jitter=self._jitter(),
            on_signal=on_signal,
            on_message=self._receive,
        )

    def _receive(self, incoming: Incoming) -> None:
        """Route one message, in paho's thread. Only a command is acknowledged later, by whoever has dealt with it."""
        place = self._topics.split(incoming.topic)
        asset, leaf = place if place is not None else (None, "")
        if leaf.startswith("cmd/"):
            command = CommandArrived(
                asset,
                leaf.removeprefix("cmd/"),
                incoming.payload[: MAX_PAYLOAD_BYTES + 1],
                retained=incoming.retained,
                response_topic=_shortened(incoming.response_topic),
                correlation=incoming.correlation,
                ack=incoming.ack,
                signature=incoming.signature,
            )
            if self._post(command) is False and incoming.ack is not None:
                self._sender.connection.ack(incoming.ack)
            return
        try:
            if asset is not None and leaf == "samples" and asset in self._sample_feeds:
                if not incoming.retained:  # else nobody can tell how old they are
                    self._sample_feeds[asset](incoming.payload)
            elif asset is not None and leaf == "context" and asset in self._assets:
                self._post(ContextArrived(asset, incoming.payload[: MAX_PAYLOAD_BYTES + 1]))
        finally:
            if incoming.ack is not None:
                self._sender.connection.ack(incoming.ack)

    def _entry(self, effect: Publish, payload: bytes) -> Entry:
        return Entry(0, effect.topic, payload, 1, effect.message.retained, effect.correlation, self._boot, 0)

    def _recover(self) -> None:
        """After a failure, see whether the disk works again, and acknowledge what may be; in the sender's thread."""
        with self._disk:
            if self._disk_error is None:
                return
            try:
                self._outbox.recover()
            except OutboxError as error:
                self._disk_failed(error)
                self._give_up_keeping()
                return
            self._disk_error = None
            self._only_remembered = 0
            while self._unkept:
                self.ack(self._unkept.popleft()[1])
        _log.info("outbox_recovered")

    def _give_up_keeping(self, *, all_of_them: bool = False) -> None:
        """Acknowledge commands that are not on disk, where they have waited for too long or are too many."""
        now_s = time.monotonic()
        while self._unkept and (all_of_them or len(self._unkept) > MAX_UNKEPT or self._unkept[0][0] <= now_s):
            self._only_remembered += 1
            self.ack(self._unkept.popleft()[1])

    def _disk_failed(self, error: OutboxError) -> None:
        if self._disk_error != str(error):
            _log.error("outbox_failed", reason=str(error))
        self._disk_error = str(error)


def _shortened(response_topic: str | None) -> str | None:
    """Return as much of it as tells that it is too long: it is kept and written down beside the command."""
    return None if response_topic is None else response_topic[: MAX_RESPONSE_TOPIC_BYTES + 1]
