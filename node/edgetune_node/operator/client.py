"""A small synchronous MQTT client for the operator's side: sends commands and follows what a node says."""

from __future__ import annotations

import json
import queue
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edgetune_node.contract import NODE_COMMANDS, PROPERTY, seal, sign
from edgetune_node.errors import NodeError
from edgetune_node.mqtt import WholePacketClient, connect_arguments, install_reader, prepare, tls_context
from edgetune_node.operator.broker_errors import BrokerError, RefusedError, ended, unreachable
from edgetune_node.operator.broker_limits import BrokerLimits, read_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from paho.mqtt.reasoncodes import ReasonCode

    from edgetune_node.config import MqttSection
    from edgetune_node.contract import Topics
    from edgetune_node.operator.broker_limits import LastWill

GOOD_FOR = timedelta(minutes=5)
"""Half of what a node allows, so that clocks may be wrong by as much, either way."""
CONNECT_S = 8.0
ACKNOWLEDGE_S = 5.0
POLL_S = 0.1
HUNG_UP = "it ends the connection"
HANG_UPS = 2
"""Connections that end in a row with one packet in flight before that packet is taken for the reason."""
STOPPED_S = 2.0
FINAL = frozenset({"done", "failed", "rejected"})
install_reader()


class NoReplyError(NodeError):
    """A node did not answer a command in time."""


def object_or_none(payload: bytes) -> dict[str, Any] | None:
    """Read a JSON object; None where it is none: a follower must not stop at what others publish."""
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


class OperatorClient:
    """One connection to a broker, on behalf of a person.

    It reconnects and subscribes again by itself; what a node publishes meanwhile and is not retained is missed.

    Parameters
    ----------
    mqtt
        The broker; ``client_id`` of it is not used, since that is the node's.
    topics
        The node that commands go to; None for a client that only listens.
    asset
        The asset that commands go to.
    will
        What the broker publishes when this client vanishes.
    parse
        Reads a payload; where it gives None the message is passed over.

    Attributes
    ----------
    limits
        What the broker takes; QoS and retain flag of what is published are lowered to that.

    Raises
    ------
    BrokerError
        No connection; the message says which broker, why, and what to do.
    ConfigError
        A file of ``[mqtt.tls]`` cannot be used.
    """

    def __init__(
        self,
        mqtt: MqttSection,
        topics: Topics | None = None,
        asset: str | None = None,
        *,
        will: LastWill | None = None,
        parse: Callable[[bytes], dict[str, Any] | None] = object_or_none,
    ) -> None:
        self.client_id = f"edgetune-operator-{uuid.uuid4().hex[:12]}"
        self.topics = topics
        self.asset = asset
        self.limits = BrokerLimits()
        self._mqtt = mqtt
        self._five = mqtt.protocol == "5"
        self._inbox: queue.SimpleQueue[tuple[str, dict[str, Any]]] = queue.SimpleQueue()
        self._passed_over: list[tuple[str, dict[str, Any]]] = []
        self._filters: dict[str, int] = {}
        self._changed = threading.Condition()
        self._parse = parse
        self._connected = False
        self._connections = 0
        self._endings = 0
        self._refusal: str | None = None
        self._granted: dict[int, list[ReasonCode]] = {}
        self._refused: dict[int, str] = {}
        self._client = self._make(will)
        self._connect()

    @property
    def connected(self) -> bool:
        """Whether the broker is there at the moment."""
        return self._connected

    @property
    def connections(self) -> int:
        """How many times it has connected: more than before means the broker was away."""
        return self._connections

    def subscribe(self, *filters: str, qos: int = 1) -> None:
        """Listen to more topics; returns once the broker has confirmed.

        Raises
        ------
        RefusedError
            The broker refuses a filter, or hangs up because of it.
        BrokerError
            It does not answer.
        """
        self._filters.update(dict.fromkeys(filters, qos))
        before = self._endings
        _, mid = self._client.subscribe([(name, qos) for name in filters])
        codes = self._subscription(mid, filters, before)
        refused = [f"{name} ({code})" for name, code in zip(filters, codes, strict=False) if code.is_failure]
        if refused:
            raise RefusedError(f"broker {self._where} refuses the subscription to {', '.join(refused)}", "read")

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Publish, and with QoS 1 return once the broker has it; QoS 0 is lost while there is no connection.

        Raises
        ------
        RefusedError
            The broker refuses the message (with MQTT 5), or hangs up because of it.
        BrokerError
            It does not confirm the message.
        """
        self._publish(topic, payload, qos, retain=retain)

    def send(self, name: str, **fields: Any) -> str:
        """Send a command with a fresh id, signed where there is a key, and listen for its answers.

        Parameters
        ----------
        name
            The command, for example ``recalibrate``.
        **fields
            Its fields; those that are None are left out.

        Returns
        -------
        str
            The command's id.
        """
        if self.topics is None or (self.asset is None and name not in NODE_COMMANDS):
            raise ValueError(f"{name} needs a node and an asset to go to")
        base = self.topics.base if name in NODE_COMMANDS else f"{self.topics.base}/{self.asset}"
        answers = [f"{base}/resp/{name}"]
        if self._five:
            answers.append(f"{base}/resp/{name}/{self.client_id}")
        new = [topic for topic in answers if topic not in self._filters]
        if new:
            self.subscribe(*new)
        command_id = uuid.uuid4().hex
        topic = f"{base}/cmd/{name}"
        content = {"id": command_id, **{key: value for key, value in fields.items() if value is not None}}
        key = self._mqtt.command_key
        if key is not None:
            content.setdefault("expires", (datetime.now(UTC) + GOOD_FOR).isoformat())
        payload = json.dumps(content).encode()
        properties = None
        if self._five:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.ResponseTopic = self.topics.own(answers[-1])
            properties.CorrelationData = command_id.encode()
        if key is not None:
            secret, signed = key.get_secret_value().encode(), self.topics.own(topic)
            if properties is None or self.topics.prefix:  # a bridge may speak 3.1.1 and drop properties
                payload = seal(secret, signed, payload)
            else:
                properties.UserProperty = (PROPERTY, sign(secret, signed, payload))
        self._publish(topic, payload, 1, properties=properties)
        return command_id

    def messages(self, timeout: float | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
        """Return ``(topic, payload)`` of every JSON object that arrives, in order, for ``timeout`` seconds at the most.

        What `wait_reply` passed over comes first. ``timeout`` counts from the first ``next``; None never ends.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            if self._passed_over:
                yield self._passed_over.pop(0)
                continue
            item = self._next(deadline)
            if item is None:
                return
            yield item

    def wait_reply(self, command_id: str, *, timeout: float, final: bool = True) -> dict[str, Any]:
        """Wait for the answer to a command; other messages stay for `messages`.

        Parameters
        ----------
        command_id
            What `send` returned.
        timeout
            Seconds to wait.
        final
            True waits for ``done``, ``failed`` or ``rejected``; false takes the first answer.

        Raises
        ------
        NoReplyError
            None came in time.
        """
        deadline = time.monotonic() + timeout
        while (item := self._next(deadline)) is not None:
            topic, payload = item
            if "/resp/" in topic and payload.get("id") == command_id and (not final or payload.get("status") in FINAL):
                return payload
            self._passed_over.append(item)
        node = self.topics.base if self.topics else "the node"
        raise NoReplyError(f"{node} did not answer within {timeout:g} s; is it running? (edgetune watch shows it)")

    def close(self) -> None:
        """Disconnect from the broker."""
        self._client.disconnect()
        thread = threading.Thread(target=self._client.loop_stop, daemon=True)  # hangs on a frozen broker
        thread.start()
        thread.join(STOPPED_S)
        if not thread.is_alive():
            self._client._reset_sockets()  # noqa: SLF001 - as above, and the connection where it was just reconnecting

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- connecting ----

    @property
    def _where(self) -> str:
        return self._mqtt.where

    def _make(self, will: LastWill | None) -> paho.Client:
        client = WholePacketClient(
            CallbackAPIVersion.VERSION2,
            client_id=self.client_id,
            protocol=paho.MQTTv5 if self._five else paho.MQTTv311,
            transport=self._mqtt.transport,
        )
        if self._mqtt.transport == "websockets":
            client.ws_set_options(self._mqtt.path)
        client.connect_timeout = CONNECT_S
        client.reconnect_delay_set(1, 5)
        if self._mqtt.username is not None:
            password = self._mqtt.password
            client.username_pw_set(self._mqtt.username, password.get_secret_value() if password else None)
        if will:
            client.will_set(will.topic, will.payload, will.qos, will.retain)
        if self._mqtt.tls:
            client.tls_set_context(tls_context(self._mqtt.tls))
        client.on_socket_open = prepare
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        return client

    def _connect(self) -> None:
        try:
            self._client.connect(*connect_arguments(self._mqtt), keepalive=self._mqtt.keepalive_s)
        except OSError as error:
            self._client._reset_sockets()  # noqa: SLF001 - else a pair of its own stays open
            raise unreachable(self._where, error, tls=self._mqtt.tls is not None) from None
        self._client.loop_start()
        with self._changed:
            self._changed.wait_for(lambda: self._connected or self._refusal is not None, CONNECT_S)
            connected, refusal = self._connected, self._refusal
        if connected:
            return
        self.close()
        raise ended(self._mqtt, refusal)

    # ---- what paho's thread calls ----

    def _on_connect(
        self, client: paho.Client, _userdata: object, _flags: object, reason: ReasonCode, properties: object
    ) -> None:
        with self._changed:
            if reason.is_failure:
                self._refusal = str(reason)
            else:
                if properties is not None:  # 3.1.1 does not say
                    self.limits = read_limits(properties)
                self._connected = True
                self._connections += 1
                if self._filters:
                    client.subscribe(list(self._filters.items()))
            self._changed.notify_all()

    def _on_disconnect(
        self, _client: paho.Client, _userdata: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        with self._changed:
            self._refusal = self._refusal or str(reason)
            self._connected = False
            self._endings += 1
            self._changed.notify_all()

    def _on_message(self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        payload = self._parse(bytes(message.payload))
        if payload is not None:
            self._inbox.put((message.topic, payload))

    def _on_subscribe(
        self, _client: paho.Client, _userdata: object, mid: int, codes: list[ReasonCode], _properties: object
    ) -> None:
        with self._changed:
            self._granted[mid] = codes
            self._changed.notify_all()

    def _on_publish(
        self, _client: paho.Client, _userdata: object, mid: int, code: ReasonCode, _properties: object
    ) -> None:
        if code.is_failure:
            self._refused[mid] = str(code)

    # ---- waiting for it ----

    def _publish(
        self, topic: str, payload: bytes, qos: int, *, retain: bool = False, properties: Properties | None = None
    ) -> None:
        with self._changed:
            connected = self._changed.wait_for(lambda: self._connected, ACKNOWLEDGE_S if qos else 0)
            before = self._endings
        qos, retain = min(qos, self.limits.qos), retain and self.limits.retain
        if not connected and qos:
            raise BrokerError(f"broker {self._where} is gone; {topic} was not sent", passing=True)
        info = self._client.publish(topic, payload, qos, retain, properties)
        if qos == 0:
            return
        deadline = time.monotonic() + ACKNOWLEDGE_S
        while info.rc == paho.MQTT_ERR_SUCCESS and not info.is_published() and time.monotonic() < deadline:
            if self._endings - before >= HANG_UPS:
                seen = f"broker {self._where} ends the connection whenever it gets {topic}"
                self._client.drop_out_messages()  # else it is sent again and again
                raise RefusedError(seen, "write", HUNG_UP, hung_up=True)
            info.wait_for_publish(POLL_S)
        if info.rc != paho.MQTT_ERR_SUCCESS or not info.is_published():
            raise BrokerError(f"broker {self._where} does not confirm {topic}; is it overloaded or gone?", passing=True)
        refusal = self._refused.pop(info.mid, None)
        if refusal is not None:
            raise RefusedError(f"broker {self._where} refuses to take {topic}: {refusal}", "write", refusal)

    def _subscription(self, mid: int | None, filters: tuple[str, ...], before: int) -> list[ReasonCode]:
        """Codes of a subscription; ``before`` is how often the connection had ended when it was asked for."""
        with self._changed:
            if mid is not None:
                self._changed.wait_for(
                    lambda: mid in self._granted or self._endings - before >= HANG_UPS, ACKNOWLEDGE_S
                )
            if mid is not None and mid in self._granted:
                return self._granted.pop(mid)
        names = ", ".join(filters)
        if self._endings - before >= HANG_UPS:
            seen = f"broker {self._where} ends the connection whenever it is asked for {names}"
            raise RefusedError(seen, "read", HUNG_UP, hung_up=True)
        raise BrokerError(f"broker {self._where} does not confirm the subscription to {names}", passing=True)

    def _next(self, deadline: float | None) -> tuple[str, dict[str, Any]] | None:
        """Take the next message from the network; None once ``deadline`` has passed and nothing is left."""
        try:
            if deadline is None:
                return self._inbox.get()
            return self._inbox.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            return None
