"""The MQTT connection of an edge node; it tells what happens, in paho's thread, and decides nothing."""

from __future__ import annotations

import hashlib
import ssl
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edgetune_node.integrations.sparkplug.received import Received, ReceivedMessages
from edgetune_node.mqtt import (
    ENDED_AT_ONCE,
    MAX_INCOMING_BYTES,
    Client,
    ClientIdConflicts,
    connect_arguments,
    distrust,
    ended_by_peer,
    prepare,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgetune_node.config import MqttSection
    from edgetune_node.integrations.sparkplug.names import SparkplugNames
    from edgetune_node.integrations.sparkplug.session import Outgoing

LONGEST_WAIT_S: Final = 5.0
"""Longest wait before connecting again; where somebody refuses or ends each connection it is `REFUSED_WAIT_S`."""
REFUSED_WAIT_S: Final = 30.0
FILTERS: Final = 8
"""Filters of one SUBSCRIBE packet; AWS IoT takes no more."""
REFUSED: Final = 0x80
WITH_WILL: Final = 0x04
"""MQTT 5's reason code of a DISCONNECT after which the broker publishes the will."""
MOST_WAITING: Final = 40
"""Packets that wait for the socket; as long as more do, nothing is added that can be said later."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Up:
    """Connected and subscribed, with this ``bdSeq``; ``refused`` are the filters that the broker refuses.

    With ``echo`` the edge node's own births come back.
    """

    bdseq: int
    refused: tuple[str, ...]
    echo: bool


@dataclass(frozen=True, slots=True)
class Down:
    """Not connected, or not any more."""

    reason: str


@dataclass(frozen=True, slots=True)
class Fenced:
    """The broker has handled everything that was published before this fence."""

    fence: int


@dataclass(frozen=True, slots=True)
class Heard:
    """A message of the broker waits; `Connection.take` returns it."""

    topic: str


Signal: TypeAlias = Up | Down | Fenced | Heard


class Connection:
    """A client that connects, and reconnects, until it is closed: clean sessions, and a new will each time.

    Parameters
    ----------
    settings
        The broker.
    names
        Topics of the edge node.
    filters
        What to subscribe to, with QoS.
    echo
        One filter more, of the own births. A broker that ends the connection over it is not asked again.
    will
        Called for each CONNECT: gives ``bdSeq`` and the will.
    tls
        None for a connection without TLS.
    jitter_s
        Spreads the reconnects of several nodes.
    tell
        Takes signals; called in paho's thread, must not wait.
    conflicts
        Counts takeovers over all connections of this edge node.
    """

    def __init__(
        self,
        settings: MqttSection,
        names: SparkplugNames,
        filters: list[tuple[str, int]],
        *,
        echo: str,
        will: Callable[[], tuple[int, Outgoing]],
        tls: ssl.SSLContext | None,
        jitter_s: float,
        tell: Callable[[Signal], None],
        conflicts: ClientIdConflicts,
    ) -> None:
        self._settings, self._filters, self._next_will = settings, filters, will
        self._five = settings.protocol == "5"
        self._tell, self._jitter_s, self._conflicts = tell, jitter_s, conflicts
        self._echo, self._echo_permitted = echo, True
        self._fence = names.topic("NCMD", "fence")
        self._waits_s: tuple[float, float] | None = None
        self._refused: list[str] = []
        self._by_mid: dict[int, list[str]] = {}
        self._bdseq = 0
        self._up = self._hung_up = self._turned_away = False
        self._received = ReceivedMessages()
        self._client = client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id(names),
            clean_session=None if self._five else True,
            protocol=mqtt.MQTTv5 if self._five else mqtt.MQTTv311,
            transport=settings.transport,
        )
        if settings.transport == "websockets":
            client.ws_set_options(settings.path)
        self._delay(LONGEST_WAIT_S)
        if settings.username is not None:
            password = settings.password
            client.username_pw_set(settings.username, None if password is None else password.get_secret_value())
        if tls is not None:
            client.tls_set_context(tls)
        client.on_pre_connect = self._guard(lambda *_: self._client.begin())
        client.on_socket_open = self._guard(self._on_socket_open)
        client.on_socket_close = self._guard(self._on_socket_close)
        client.on_connect = self._guard(self._on_connect)
        client.on_connect_fail = self._guard(self._on_connect_fail)
        client.on_disconnect = self._guard(self._on_disconnect)
        client.on_subscribe = self._guard(self._on_subscribe)
        client.on_unsubscribe = self._guard(lambda _client, _data, mid, *_: self._tell(Fenced(mid)))
        client.on_message = self._guard(self._on_message)

    def start(self) -> None:
        """Begin to connect; a broker that is down is asked again and again."""
        settings, options = self._settings, dict[str, Any]()
        if self._five:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = 0
            properties.MaximumPacketSize = MAX_INCOMING_BYTES
            options = {"clean_start": True, "properties": properties}
        self._client.connect_async(*connect_arguments(settings), settings.keepalive_s, **options)
        self._client.loop_start()

    @property
    def problem(self) -> str | None:
        """What was left out of the broker's messages, for ``health``."""
        return self._received.problem

    def take(self, topic: str) -> Received | None:
        """Return the oldest message that waits of a topic; None where newer ones have pushed it out."""
        return self._received.take(topic)

    @property
    def busy(self) -> bool:
        """Whether the broker does not take what was published."""
        return len(self._client._out_packet) > MOST_WAITING  # noqa: SLF001 - paho counts only messages with QoS

    def publish(self, message: Outgoing) -> None:
        """Hand a message over; one that does not leave is lost, and `Down` follows."""
        self._client.publish(message.topic, message.payload, message.qos, retain=False)

    def fence(self) -> int | None:
        """Ask for something that changes nothing; `Fenced` follows when the broker has handled all before it."""
        code, fence = self._client.unsubscribe(self._fence)
        return fence if code == MQTTErrorCode.MQTT_ERR_SUCCESS else None

    def close(self, death: Outgoing | None, timeout_s: float) -> None:
        """Publish the death of an edge node that was born, and disconnect; give up after ``timeout_s``."""
        client, began_s = self._client, time.monotonic()
        if death is not None and self._up:
            info = client.publish(death.topic, death.payload, death.qos, retain=False)
            if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
                _wait(info, timeout_s / 2)
        if self._five and death is not None:
            client.disconnect(ReasonCode(PacketTypes.DISCONNECT, identifier=WITH_WILL))
        else:
            client.disconnect()
        stopper = threading.Thread(target=client.loop_stop, name="sparkplug-stop", daemon=True)  # it might never end
        stopper.start()
        stopper.join(max(0.1, began_s + timeout_s - time.monotonic()))
        if stopper.is_alive():
            client._sock_close()  # noqa: SLF001 - the broker is frozen
            stopper.join(0.2)

    # ---- callbacks, all in paho's thread -------------------------------------------------------------------------

    def _on_socket_open(self, client: mqtt.Client, userdata: Any, connection: Any) -> None:
        """Take the next ``bdSeq``: CONNECT is sent now, and not where no broker was reached."""
        prepare(client, userdata, connection)
        self._bdseq, will = self._next_will()
        client.will_set(will.topic, will.payload, will.qos, retain=False)

    def _on_socket_close(self, _client: Any, _userdata: Any, connection: Any) -> None:
        self._hung_up = ended_by_peer(connection)

    def _on_connect(self, client: mqtt.Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._turned_away = reason.is_failure
        if reason.is_failure:
            self._delay(REFUSED_WAIT_S)
            self._tell(Down(f"the broker refused the connection: {reason}"))
            return
        self._refused.clear()
        self._by_mid.clear()
        for first in range(0, len(self._filters), FILTERS):
            self._ask(client, self._filters[first : first + FILTERS])

    def _ask(self, client: mqtt.Client, filters: list[tuple[str, int]]) -> None:
        _, mid = client.subscribe(filters)
        self._by_mid[mid or 0] = [name for name, _ in filters]

    def _on_subscribe(
        self, client: mqtt.Client, _userdata: Any, mid: int, reasons: list[Any], _properties: Any
    ) -> None:
        names = self._by_mid.pop(mid, [])
        refused = [name for name, reason in zip(names, reasons, strict=False) if reason.value >= REFUSED]
        asked_echo = names == [self._echo]
        if asked_echo:
            self._echo_permitted = not refused
        else:
            self._refused += refused
        if self._by_mid or self._up:
            return
        if self._echo_permitted and not asked_echo:
            self._ask(client, [(self._echo, 0)])
            return
        self._up = True
        self._conflicts.up(time.monotonic())
        self._tell(Up(self._bdseq, tuple(self._refused), echo=self._echo_permitted))

    def _on_connect_fail(self, *_: Any) -> None:
        error = sys.exc_info()[1]  # paho calls this while it handles the error, and does not pass it on
        told = distrust(error) if isinstance(error, ssl.SSLCertVerificationError) else str(error)
        self._conflicts.down(time.monotonic(), hung_up=False)
        refused = isinstance(error, (ssl.SSLError, *ENDED_AT_ONCE))
        self._delay(REFUSED_WAIT_S if refused else LONGEST_WAIT_S)
        self._tell(Down(f"no connection to {self._settings.where}: {told}"))

    def _on_disconnect(self, _client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._conflicts.down(time.monotonic(), hung_up=self._hung_up)
        if [self._echo] in self._by_mid.values():
            self._echo_permitted = False
        self._delay(LONGEST_WAIT_S if self._up else REFUSED_WAIT_S)
        if not self._turned_away:  # else this only repeats the refusal
            self._tell(Down(f"the connection was lost: {reason}"))
        self._up = self._turned_away = False

    def _on_message(self, _client: Any, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        if self._received.add(message.topic, Received(bytes(message.payload), message.retain)):
            self._tell(Heard(message.topic))

    def _delay(self, longest_s: float) -> None:
        shortest_s = self._conflicts.wait_s
        waits_s = shortest_s + self._jitter_s, max(longest_s, shortest_s) + self._jitter_s
        if waits_s != self._waits_s:  # else paho would begin anew with the shortest
            self._waits_s = waits_s
            self._client.reconnect_delay_set(*waits_s)  # type: ignore[arg-type] # it only adds

    def _guard(self, callback: Callable[..., None]) -> Callable[..., None]:
        def guarded(*args: Any) -> None:
            try:
                callback(*args)
            except Exception:  # noqa: BLE001 - whatever it is, paho's thread must outlive it
                _log.exception("sparkplug callback failed")

        return guarded


def client_id(names: SparkplugNames) -> str:
    """Return a client id that two edge nodes of one name share, so that the broker lets only one of them in."""
    digest = hashlib.blake2b(f"{names.group}/{names.node}".encode(), digest_size=4).hexdigest()
    return f"edgetune-sparkplug-{names.node}-{digest}"


def _wait(info: mqtt.MQTTMessageInfo, timeout_s: float) -> None:
    try:
        info.wait_for_publish(timeout_s)
    except (RuntimeError, ValueError):  # the connection is gone: the broker publishes the will
        return
