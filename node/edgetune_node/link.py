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
from typing import TYPE_CHECKING

import structlog

from edgetune_node.commands import MAX_COMMAND_BYTES
from edgetune_node.connection import Connection
from edgetune_node.delivery import Telemetry
from edgetune_node.errors import OutboxError
from edgetune_node.events import CommandArrived, ContextArrived, Durability, LinkChanged
from edgetune_node.outbox import Entry
from edgetune_node.sender import Kept, Sender
from edgetune_node.tls import tls_context

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgetune_node.config import MqttSection
    from edgetune_node.connection import Incoming, Signal
    from edgetune_node.events import Event, FinishCommand, KeepCommand, Publish
    from edgetune_node.outbox import Outbox
    from edgetune_node.topics import Topics

MAX_RESPONSE_TOPIC = 512

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
        self._numbers = itertools.count(1)
        self._disk_error: str | None = None
        self._sender = Sender(
            outbox,
            per_second=settings.replay_per_second,
            status_topic=self._status_topic,
            connect=self._connect,
            changed=lambda connected, reason: post(LinkChanged(connected, reason)),
            disk_failure=self._disk_failed,
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
            self._sender.take(Telemetry(effect.topic, payload, message.qos, message.retained, effect.correlation))
        elif effect.durability is Durability.SIGN:
            self._sender.take(self._entry(effect, payload))
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
                self._sender.take(self._entry(effect, payload))
            else:
                self._disk_error = None
                self._sender.take(Kept(effect.topic))

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
        self._sender.connection.ack(token)

    def stop(self, final: Publish, timeout_s: float) -> None:
        """Send what waits, then ``final`` (status `stopped`), then disconnect; all of it within ``timeout_s``."""
        message = final.message
        last = Telemetry(final.topic, message.json_bytes(), message.qos, message.retained, None)
        self._sender.stop(last, timeout_s)

    @property
    def connected(self) -> bool:
        """Whether the broker is there and has our subscriptions; `LinkChanged` comes when the backlog has gone too."""
        return self._sender.connected

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
        """Why the newest rare message is not on disk, None while all is well."""
        return self._disk_error

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
                self._sender.connection.ack(incoming.ack)

    def _usable(self, response_topic: str | None) -> str | None:
        """Give the topic if an answer may go there: anywhere but into wildcards, the broker's own and our topics."""
        if not response_topic or len(response_topic) > MAX_RESPONSE_TOPIC or response_topic.startswith("$"):
            return None
        if any(sign in response_topic for sign in "+#\0"):
            return None
        place = self._topics.split(response_topic)
        return response_topic if place is None or place[1].startswith("resp/") else None

    def _entry(self, effect: Publish, payload: bytes) -> Entry:
        return Entry(0, effect.topic, payload, 1, effect.message.retained, effect.correlation, self._boot, 0)

    def _disk_failed(self, error: OutboxError) -> None:
        if self._disk_error != str(error):
            _log.error("outbox_failed", reason=str(error))
        self._disk_error = str(error)
