"""paho's client under a flood: it reads ahead, and holds acknowledgements back.

paho asks the kernel for each packet several times, and each time the thread that decides may go first: under load it
read under a thousand packets a second. What the broker says of our own messages waits behind what was not read.

mosquitto sends more than Receive Maximum allows, and takes acknowledgements more slowly. paho would queue them without
bound, in front of what the node has to say.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import deque
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import MQTTErrorCode

READ_AHEAD: Final = 2**16
"""Bytes that are read at once."""
MAX_OUT: Final = 40
"""Packets that wait in paho; as long as more do, acknowledgements wait here."""


class WholePacketClient(mqtt.Client):
    """A client that keeps a packet of which a websocket has taken only a part; paho throws it away.

    The rest of the frame would wait for the next packet, and that would be lost in it. It can also be stopped at any
    moment.
    """

    def _sock_send(self, buf: bytes | bytearray) -> int:
        sent = super()._sock_send(buf)
        if buf and not sent:
            self._call_socket_register_write()
            raise BlockingIOError
        return sent

    def loop_stop(self) -> MQTTErrorCode:
        """Stop the network thread and wait for it; paho fails where that ends by itself just now."""
        thread: threading.Thread | None = self._thread
        if thread is None:
            return MQTTErrorCode.MQTT_ERR_INVAL
        self._thread_terminate = True
        if thread is not threading.current_thread():
            thread.join()
        return MQTTErrorCode.MQTT_ERR_SUCCESS


class Client(WholePacketClient):
    """A client that reads all that is there, up to 64 KiB, and then handles the packets."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._ahead, self._at = b"", 0
        self._acks: deque[int] = deque()  # at most one for each of the 65,535 numbers of packets
        super().__init__(*args, **options)

    def begin(self) -> None:
        """Forget what an earlier connection has left; to be called before each connection."""
        self._ahead, self._at = b"", 0
        self._acks.clear()

    def ack(self, mid: int, qos: int) -> MQTTErrorCode:
        """Acknowledge a message of QoS 1, as soon as the broker takes it; from any thread."""
        del qos
        self._acks.append(mid)
        self._hand_over_acks()
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def loop_write(self) -> MQTTErrorCode:
        """Write what waits, and let acknowledgements follow."""
        result = super().loop_write()
        self._hand_over_acks()
        return result

    def _hand_over_acks(self) -> None:
        with contextlib.suppress(IndexError):  # all are handed over, or another thread has taken the last
            while len(self._out_packet) < MAX_OUT:
                super().ack(self._acks.popleft(), 1)

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Handle every packet that has been read, for the socket tells nothing of those.

        A packet that goes on behind what was read makes it read ahead again. Under a flood there is no end to that, so
        what waits is written, and the broker is asked whether it is there, in between.
        """
        result = super().loop_read(max_packets)
        while result is MQTTErrorCode.MQTT_ERR_SUCCESS and self._at < len(self._ahead):
            result = self.loop_write() if self._out_packet else self.loop_misc()
            if result is MQTTErrorCode.MQTT_ERR_SUCCESS:
                result = super().loop_read(max_packets)
        return result

    def _create_unix_socket_connection(self) -> socket.socket:
        """Connect to a unix socket, and close it where nobody listens: paho leaves it open."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(self._host)
        except OSError:
            connection.close()
            raise
        return connection

    def _sock_recv(self, bufsize: int) -> bytes:
        if self._at >= len(self._ahead):
            self._ahead, self._at = b"", 0
            self._ahead = super()._sock_recv(max(bufsize, READ_AHEAD))
        piece = self._ahead[self._at : self._at + bufsize]
        self._at += len(piece)
        return piece
