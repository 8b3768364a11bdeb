"""Paho's client, stopped at any moment and flooded."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from edgetune_node.mqtt import WholePacketClient
from edgetune_node.mqtt.paho_client import Client

KIB = 1024
MOST = 128 * KIB * KIB
LENGTH = 4096
"""What is behind the length of a packet; with it a packet has 4099 bytes, a prime number."""


def ending(kind: type[mqtt.Client]) -> Any:
    """Return a client whose network thread ends just after the first look at whether there is one."""
    thread = threading.Thread(target=lambda: None)
    thread.start()
    looks = iter([thread])

    class Ending(kind):  # type: ignore[misc, valid-type]
        _thread = property(lambda _self: next(looks, None), lambda _self, _value: None)

    return Ending(CallbackAPIVersion.VERSION2)


def test_a_network_thread_that_ends_by_itself_meanwhile_is_stopped() -> None:
    assert ending(WholePacketClient).loop_stop() is MQTTErrorCode.MQTT_ERR_SUCCESS
    assert ending(WholePacketClient)._thread is not None
    with pytest.raises(AttributeError, match="join"):  # once paho bears it, `loop_stop` of ours can go
        ending(mqtt.Client).loop_stop()


class Flood:
    """A broker that sends without end, in packets none of which ends where a reading of 64 KiB does."""

    def __init__(self) -> None:
        self.heard = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with self._listener, self._listener.accept()[0] as client:
            client.recv(KIB)
            client.sendall(b"\x20\x02\x00\x00")  # CONNACK of 3.1.1
            listening = threading.Thread(target=self._listen, args=(client,))
            listening.start()
            packet = b"\x30\x80\x20\x00\x05flood" + bytes(LENGTH - 7)
            for _ in range(MOST // len(packet)):
                if self.heard.is_set():
                    break
                client.sendall(packet)
            client.shutdown(socket.SHUT_WR)
            listening.join()

    def _listen(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while received := client.recv(64 * KIB):
                if b"/health" in received:
                    self.heard.set()

    def join(self) -> None:
        self._thread.join()


def test_under_a_flood_what_waits_is_written() -> None:
    broker = Flood()
    client = Client(CallbackAPIVersion.VERSION2)
    begun = threading.Event()
    client.on_message = lambda *_: begun.set()
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    assert begun.wait(60)
    client.publish("n1/health", b"{}")
    broker.join()  # it sends 128 MiB, or less where it has heard
    assert broker.heard.is_set()
    client.disconnect()
    client.loop_stop()
