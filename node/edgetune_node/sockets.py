"""What every MQTT connection of ours asks of its socket."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paho.mqtt.client import Client


def send_at_once(_client: Client, _userdata: Any, connection: Any) -> None:
    """Turn Nagle's algorithm off: with it a message may wait 40 ms for the acknowledgement of the one before."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
