"""What every MQTT connection of ours asks of its socket, and what a socket tells of its end."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paho.mqtt.client import Client

    from edgetune_node.config import MqttSection

UNHEARD_S = 5.0
"""Where nothing that was sent is acknowledged for so long, the network is cut: a connection half open would else be
waited for, minutes if need be, when the network has long come back."""
UNREAD_BYTES = 2**16
"""What may wait in the kernel to be read: in megabytes of a flood an acknowledgement would wait for many seconds."""
CLOSE_WAIT = 8
"""Of Linux's ``tcp_info``: the other side has ended the connection in good order, this one has not."""


def plain_socket(connection: Any) -> Any:
    """Return the socket beneath a connection by websockets; any other connection is one itself."""
    return getattr(connection, "_socket", connection)


def connect_arguments(mqtt: MqttSection) -> tuple[str, int]:
    """Return the host and port that paho connects to; of a unix socket it takes the file for the host."""
    return (mqtt.path if mqtt.transport == "unix" else mqtt.host), mqtt.port


def prepare(_client: Client, _userdata: Any, connection: Any) -> None:
    """Turn Nagle's algorithm off (with it a message may wait 40 ms), and bound two waits.

    They are for what is not read yet, and for a network that is cut.
    """
    connection = plain_socket(connection)
    if connection.family == socket.AF_UNIX:
        return  # neither algorithm nor network
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UNREAD_BYTES)
    if sys.platform == "linux":
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(UNHEARD_S * 1000))


def ended_by_peer(connection: Any) -> bool:
    """Whether the other side hung up: no reset, no silence; true as well where that cannot be told."""
    connection = plain_socket(connection)
    if sys.platform != "linux" or connection.family == socket.AF_UNIX:
        return True
    if connection.fileno() < 0:
        return False  # closed here already
    state: int = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return state == CLOSE_WAIT
