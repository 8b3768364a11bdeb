"""One paho client: speaks MQTT 5 or 3.1.1, and turns paho's callbacks into signals.

paho runs one network thread, and an exception in a callback would end it while ``is_connected()`` stays true. So
every callback here is guarded, hands on a value and returns; nothing waits in that thread. paho's own queue is emptied
on each connect: what is sent again after an outage, in which order and marked how, is decided by `delivery`.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import socket
import ssl
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from edgetune_node.contract import PROPERTY
from edgetune_node.mqtt.broker_limits import Limits, limits_of
from edgetune_node.mqtt.client_id_conflict import MAX_RECONNECT_S, MIN_RECONNECT_S, ClientIdConflicts
from edgetune_node.mqtt.paho_client import Client
from edgetune_node.mqtt.property_text import install_reader
from edgetune_node.mqtt.signals import Down, Incoming, Sent, Signal, Up
from edgetune_node.mqtt.sockets import connect_arguments, ended_by_peer, plain_socket, prepare
from edgetune_node.mqtt.subscriptions import Subscriptions
from edgetune_node.mqtt.tls import distrust, own_certificate
from edgetune_node.mqtt.wills import Wills

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgetune_node.config import MqttSection
    from edgetune_node.contract import Topics

MAX_INFLIGHT = 20
"""Messages on their way at once; also the least that a broker's Receive Maximum usually is."""
MAX_INCOMING_BYTES = 4 * 2**20
"""Larger packets are dropped by an MQTT 5 broker."""
MAX_UNREACHABLE_S = 2.0
"""A broker that cannot be reached is tried again at least so often, so that a node is soon back when its network is."""
ENDED_AT_ONCE = ConnectionResetError, ConnectionAbortedError, BrokenPipeError
"""Somebody took the connection, and ended it before the first packet had left: not the same as nobody there."""
MID_BITS = 16
OF_OUR_OWN = frozenset({0x82, 0x8D})
"""Protocol error, keep alive timeout: where the broker did not say so, paho ended the connection."""
OF_NO_MESSAGE = frozenset({0x8B, 0x8D, 0x8E, 0x98})
"""Server shutting down, keep alive timeout, session taken over, administrative action: no message is to blame."""
MAYBE_OVER_THE_WILL = frozenset({0x80, 0x83, 0x87, 0x90})
"""Refusals that may mean the last will: unspecified, implementation specific, not authorized, topic name invalid."""

_log = structlog.get_logger(__name__)
_P = ParamSpec("_P")
install_reader()


def _guarded(
    callback: Callable[Concatenate[Connection, _P], None],
) -> Callable[Concatenate[Connection, _P], None]:
    @functools.wraps(callback)
    def guarded(self: Connection, /, *args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            callback(self, *args, **kwargs)
        except Exception:  # noqa: BLE001 - whatever it is, paho's thread must outlive it
            _log.exception("mqtt_callback_failed", callback=callback.__name__)

    return guarded


class Connection:
    """A client that connects, and reconnects with a delay of its own, until it is closed.

    Parameters
    ----------
    settings, topics
        The broker, and what to subscribe to.
    mqtt_assets
        Assets whose samples come from the broker.
    will
        Payload of the last will on the node's ``status``.
    tls
        None for a connection without TLS.
    numbers
        Gives each connection its number, ever growing, also over several clients.
    jitter
        Between 0 and 1; spreads the nodes of a plant when their broker comes back.
    on_signal, on_message
        Called in paho's thread; must not wait.
    """

    def __init__(
        self,
        settings: MqttSection,
        topics: Topics,
        *,
        mqtt_assets: tuple[str, ...],
        will: bytes,
        tls: ssl.SSLContext | None,
        numbers: Iterator[int],
        jitter: float,
        on_signal: Callable[[Signal], None],
        on_message: Callable[[Incoming], None],
    ) -> None:
        self._settings = settings
        self._five = settings.protocol == "5"
        self._subscriptions = Subscriptions(topics.subscriptions(mqtt_assets))
        self._wills = Wills(retain=settings.retain == "auto")
        self._will = topics.node("status"), will
        self._fence = topics.node("fence")
        self._fences = self._fences_passed = 0
        self._answered = self._proving = False
        self._numbers = numbers
        self._signal = on_signal
        self._deliver = on_message
        self._number = 0
        self._up = False
        self._jitter = jitter
        self._conflicts = ClientIdConflicts()
        self._hung_up = False
        self._waits_s: tuple[float, float] | None = None
        self._refused = False
        self._limits = Limits(MAX_INFLIGHT)
        self._thread: threading.Thread | None = None
        self._client_id = settings.client_id or client_id(topics)
        self._client = client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            clean_session=None if self._five else False,
            protocol=mqtt.MQTTv5 if self._five else mqtt.MQTTv311,
            transport=settings.transport,
            manual_ack=True,
        )
        if settings.transport == "websockets":
            client.ws_set_options(settings.path)
        client.on_socket_open = prepare
        client.on_socket_close = self._on_socket_close
        client.max_inflight_messages_set(MAX_INFLIGHT)
        client.max_queued_messages_set(2 * MAX_INFLIGHT)
        self._delay_reconnects(MAX_UNREACHABLE_S)
        if settings.username is not None:
            password = settings.password
            client.username_pw_set(settings.username, None if password is None else password.get_secret_value())
        if tls is not None:
            client.tls_set_context(tls)
        client.on_pre_connect = self._on_pre_connect
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_unsubscribe = self._on_unsubscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message

    def start(self) -> None:
        """Begin to connect; a broker that is down is asked again and again."""
        settings = self._settings
        if self._five:
            properties = _properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = settings.session_expiry_s
            properties.MaximumPacketSize = MAX_INCOMING_BYTES
            properties.ReceiveMaximum = MAX_INFLIGHT
            self._client.connect_async(
                *connect_arguments(settings), settings.keepalive_s, clean_start=False, properties=properties
            )
        else:
            self._client.connect_async(*connect_arguments(settings), settings.keepalive_s)
        self._client.loop_start()

    @property
    def dead(self) -> bool:
        """Whether paho's network thread has ended although nobody closed it."""
        return self._thread is not None and not self._thread.is_alive()

    @property
    def flapping(self) -> str | None:
        """What it looks like where the broker ends connections again and again; None once this one lasts."""
        times = self._conflicts.seen(time.monotonic())
        if not times:
            return None
        return (
            f"the broker ended {times} connections in a row, each within a minute: does another client use the"
            f" client id {self._client_id}? Give each node its own node.id or mqtt.client_id"
        )

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool, correlation: bytes | None) -> int | None:
        """Hand a message to paho; gives the number that `Sent` will carry, None if the connection is gone.

        Where the broker takes no QoS 1, the message goes with QoS 0 and a request follows it that changes nothing. A
        broker answers in order, so that the answer acknowledges the message.

        Raises
        ------
        ValueError
            If nothing can be published on such a topic.
        """
        properties = None
        if self._five and correlation is not None:
            properties = _properties(PacketTypes.PUBLISH)
            properties.CorrelationData = correlation
        limits = self._limits
        info = self._client.publish(topic, payload, min(qos, limits.max_qos), retain and limits.retain, properties)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return None
        if qos <= limits.max_qos:
            return info.mid
        self._fences += 1
        code, fence = self._client.unsubscribe(self._fence)
        return fence if code == MQTTErrorCode.MQTT_ERR_SUCCESS else None

    def settled(self) -> None:
        """Note that the message over which the broker ended connections was found: the next may come soon."""
        self._conflicts.settled()

    def ack(self, token: int) -> None:
        """Acknowledge a message; one of an earlier connection is left, since the broker sends it again."""
        if token >> MID_BITS == self._number:
            self._client.ack(token & ((1 << MID_BITS) - 1), 1)

    def close(self, timeout_s: float) -> None:
        """Disconnect, so that the broker forgets the will; gives up after ``timeout_s`` where the broker is frozen."""
        client = self._client
        client.drop_out_messages()
        client.disconnect()
        stopper = threading.Thread(target=client.loop_stop, name="mqtt-stop", daemon=True)  # alone it might never end
        stopper.start()
        stopper.join(max(timeout_s, 0.2) / 2)
        if stopper.is_alive():
            self.abandon()
            stopper.join(max(timeout_s, 0.2) / 2)
        if self.dead:
            client._reset_sockets()  # noqa: SLF001 - it leaves its own pair open, and the connection where it reconnects

    def abandon(self) -> None:
        """Cut the connection as it is; the broker publishes the will."""
        connection = plain_socket(self._client.socket())
        if isinstance(connection, socket.socket):
            with contextlib.suppress(OSError):  # it may be cut already
                connection.shutdown(socket.SHUT_RDWR)
            if self.dead:
                connection.close()  # else its thread does

    # ---- callbacks, all in paho's thread -------------------------------------------------------------------------

    @_guarded
    def _on_pre_connect(self, *_: Any) -> None:
        self._thread = threading.current_thread()
        self._client.begin()
        self._refused = self._answered = self._proving = False
        will = self._wills.will
        if will is None:
            self._client.will_clear()
        else:
            self._client.will_set(*self._will, qos=will.qos, retain=will.retain)

    @_guarded
    def _on_connect(self, client: mqtt.Client, _userdata: Any, _flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._refused = True
            if self._wills.lacks(reason.value):
                self._delay_reconnects(MIN_RECONNECT_S)
            else:
                if reason.value in MAYBE_OVER_THE_WILL:
                    self._wills.failed()
                self._delay_reconnects(MAX_RECONNECT_S)
            self._signal(Down(f"the broker refused the connection: {reason}"))
            return
        if not self._wills.accepted():
            self._proving = True
            self.abandon()
            return
        self._answered = True
        client.drop_out_messages()
        self._fences = self._fences_passed = 0
        self._number = next(self._numbers)
        self._limits = limits_of(properties, self._wills.will, MAX_INFLIGHT, retain=self._settings.retain == "auto")
        self._subscribe(self._subscriptions.begin())

    @_guarded
    def _on_connect_fail(self, *_: Any) -> None:
        error = sys.exc_info()[1]  # paho calls this while it handles the error, and does not pass it on
        told = distrust(error) if isinstance(error, ssl.SSLCertVerificationError) else str(error)
        self._conflicts.down(time.monotonic(), hung_up=False)
        if isinstance(error, ENDED_AT_ONCE):
            self._closed_unanswered(told)
            return
        self._delay_reconnects(MAX_RECONNECT_S if isinstance(error, ssl.SSLError) else MAX_UNREACHABLE_S)
        self._signal(Down(f"no connection to {self._settings.where}: {told}"))

    @_guarded
    def _on_socket_close(self, _client: Any, _userdata: Any, connection: Any) -> None:
        self._hung_up = ended_by_peer(connection)

    @_guarded
    def _on_disconnect(self, _client: Any, _userdata: Any, flags: Any, reason: Any, _properties: Any) -> None:
        blameless = reason.value in (OF_NO_MESSAGE if flags.is_disconnect_packet_from_server else OF_OUR_OWN)
        in_flight = bool(self._client._out_messages) or self._fences > self._fences_passed  # noqa: SLF001 - it tells nobody
        self._conflicts.down(time.monotonic(), hung_up=self._hung_up, in_flight=in_flight and not blameless)
        if self._up:
            self._delay_reconnects(MAX_UNREACHABLE_S)
            self._signal(Down(self.flapping or f"the connection was lost: {reason}", blameless=blameless))
        elif self._answered:
            if not blameless:
                self._subscriptions.ended()
            self._delay_reconnects(MAX_RECONNECT_S)
            self._signal(Down(f"the broker closed the connection when asked for the node's subscriptions: {reason}"))
        elif self._proving:
            self._delay_reconnects(MIN_RECONNECT_S)
        elif not self._refused:  # else this only repeats the refusal
            self._closed_unanswered(str(reason))
        self._up = False

    def _closed_unanswered(self, reason: str) -> None:
        self._wills.failed()
        self._delay_reconnects(MIN_RECONNECT_S if self._wills.searching else MAX_RECONNECT_S)
        tls = self._settings.tls
        hint = "does it expect TLS?" if tls is None else own_certificate(tls)
        self._signal(Down(f"the broker closed the connection before answering: {reason}; {hint}"))

    def _delay_reconnects(self, longest_s: float) -> None:
        """Wait as long as takeovers ask for, then ever longer while nothing comes of it, up to ``longest_s``."""
        waits_s = self._conflicts.wait_s + self._jitter, max(longest_s, self._conflicts.wait_s) + self._jitter
        if waits_s != self._waits_s:  # else paho would begin anew with the shortest
            self._waits_s = waits_s
            self._client.reconnect_delay_set(*waits_s)  # type: ignore[arg-type] # it only adds

    def _subscribe(self, filters: list[tuple[str, int]]) -> None:
        """Ask for some subscriptions; when all have been answered, the connection is up."""
        for name, qos in filters:
            asked = [(name, _subscribe_options(name, qos))] if self._five else [(name, qos)]
            _, mid = self._client.subscribe(asked)
            self._subscriptions.asked(mid or 0, name)
        if not self._subscriptions.complete or self._up:
            return
        self._up = True
        self._limits = self._limits.granted(self._subscriptions.granted, five=self._five)
        self._conflicts.up(time.monotonic())
        if self._subscriptions.refused is not None:
            _log.error("mqtt_subscription_refused", refused=self._subscriptions.refused)
        self._signal(Up(self._number, self._limits, self._subscriptions.refused))

    @_guarded
    def _on_subscribe(self, _client: Any, _userdata: Any, mid: int, reasons: list[Any], _properties: Any) -> None:
        reason = reasons[0]
        self._subscribe(self._subscriptions.answered(mid, reason.value, str(reason) if reason.is_failure else None))

    @_guarded
    def _on_unsubscribe(self, _client: Any, _userdata: Any, mid: int, *_: Any) -> None:
        self._fences_passed += 1
        self._signal(Sent(mid, None))

    @_guarded
    def _on_publish(self, _client: Any, _userdata: Any, mid: int, reason: Any, _properties: Any) -> None:
        self._signal(Sent(mid, str(reason) if reason.is_failure else None))

    @_guarded
    def _on_message(self, _client: Any, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        properties = message.properties
        self._deliver(
            Incoming(
                topic=message.topic,
                payload=bytes(message.payload),
                retained=message.retain,
                response_topic=getattr(properties, "ResponseTopic", None),
                correlation=getattr(properties, "CorrelationData", None),
                ack=(self._number << MID_BITS) | message.mid if message.qos else None,
                signature=dict(getattr(properties, "UserProperty", [])).get(PROPERTY),
            )
        )


def client_id(topics: Topics) -> str:
    """Client identifier that stays the same over restarts and differs between plants."""
    digest = hashlib.blake2b(topics.base.encode(), digest_size=4).hexdigest()
    return f"edgetune-{topics.node_id}-{digest}"


def _properties(packet: int) -> Properties:
    return Properties(packet)  # type: ignore[no-untyped-call]


def _subscribe_options(name: str, qos: int) -> SubscribeOptions:
    """Commands: a retained one keeps its mark, so that it is refused, and is not refused anew on each reconnect.

    Samples: retained ones are not sent, and what is live does not look retained, however it was published.
    """
    if name.endswith("/samples"):
        return SubscribeOptions(qos=qos, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
    handling = SubscribeOptions.RETAIN_SEND_IF_NEW_SUB if "/cmd/" in name else SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE
    return SubscribeOptions(qos=qos, retainAsPublished=True, retainHandling=handling)
