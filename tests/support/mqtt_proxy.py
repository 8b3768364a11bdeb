"""A proxy between a client and its broker that keeps every packet of the client: a will is seen nowhere else."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass
from typing import Any

CONNECT, PUBLISH, SUBSCRIBE, DISCONNECT = 1, 3, 8, 14


@dataclass(frozen=True, slots=True)
class Connect:
    """A CONNECT packet."""

    level: int
    clean: bool
    keepalive_s: int
    client_id: str
    session_expiry_s: int
    will_topic: str | None
    will_payload: bytes
    will_qos: int
    will_retain: bool


class _Reader:
    def __init__(self, body: bytes) -> None:
        self.body, self.at = body, 0

    def take(self, count: int) -> bytes:
        piece = self.body[self.at : self.at + count]
        self.at += count
        return piece

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "big")

    def blob(self) -> bytes:
        return self.take(self.number(2))

    def properties(self) -> bytes:
        size = shift = 0
        while True:
            byte = self.number(1)
            size |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return self.take(size)


class MqttProxy:
    """Listens on a port, one of its own where none is given, and passes everything on to ``broker``."""

    host = "127.0.0.1"

    def __init__(self, broker: Any, port: int = 0) -> None:
        self.behind = broker
        self._listener = socket.create_server((self.host, port))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._packets: list[tuple[int, int, int, bytes]] = []
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def packets(self, kind: int) -> list[tuple[int, int, bytes]]:
        """Packets of one type so far: number of the connection, flags, body."""
        with self._lock:
            return [(number, flags, body) for number, of, flags, body in self._packets if of == kind]

    def order(self) -> list[tuple[int, int]]:
        """Number of the connection and type of every packet so far."""
        with self._lock:
            return [(number, kind) for number, kind, _, _ in self._packets]

    def connects(self) -> list[Connect]:
        return [_connect(body) for _, _, body in self.packets(CONNECT)]

    def filters(self) -> list[tuple[str, int]]:
        """Filters of all SUBSCRIBE packets so far, with QoS."""
        found = []
        five = self.connects()[0].level == 5
        for _, _, body in self.packets(SUBSCRIBE):
            reader = _Reader(body)
            reader.take(2)
            if five:
                reader.properties()
            while reader.at < len(body):
                found.append((reader.blob().decode(), reader.number(1) & 3))
        return found

    def cut(self) -> None:
        """Cut every connection, as a network does."""
        with self._lock:
            cut, self._sockets = self._sockets, []
        for each in cut:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self.cut()
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def _accept(self) -> None:
        for number in range(10_000):
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                broker = socket.create_connection((self.behind.host, self.behind.port))
            except OSError:
                client.close()
                continue
            with self._lock:
                self._sockets += [client, broker]
            pair = [
                threading.Thread(target=self._pass_on, args=(client, broker, number), daemon=True),
                threading.Thread(target=self._pass_on, args=(broker, client, None), daemon=True),
            ]
            self._threads += pair
            for thread in pair:
                thread.start()

    def _pass_on(self, here: socket.socket, there: socket.socket, number: int | None) -> None:
        waiting = b""
        with contextlib.suppress(OSError):
            while data := here.recv(65536):
                if number is not None:
                    waiting = self._note(number, waiting + data)
                there.sendall(data)
        for each in (here, there):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        here.close()

    def _note(self, number: int, data: bytes) -> bytes:
        while True:
            size, at, shift = 0, 1, 0
            while True:
                if at >= len(data):
                    return data
                byte = data[at]
                size |= (byte & 0x7F) << shift
                at, shift = at + 1, shift + 7
                if not byte & 0x80:
                    break
            if len(data) < at + size:
                return data
            with self._lock:
                self._packets.append((number, data[0] >> 4, data[0] & 0x0F, data[at : at + size]))
            data = data[at + size :]


def _connect(body: bytes) -> Connect:
    reader = _Reader(body)
    assert reader.blob() == b"MQTT"
    level, flags, keepalive_s = reader.number(1), reader.number(1), reader.number(2)
    expiry_s = 0
    if level == 5:
        properties = reader.properties()
        if 0x11 in properties:
            at = properties.index(0x11)
            expiry_s = int.from_bytes(properties[at + 1 : at + 5], "big")
    name = reader.blob().decode()
    topic, payload = None, b""
    if flags & 0x04:
        if level == 5:
            reader.properties()
        topic, payload = reader.blob().decode(), reader.blob()
    return Connect(
        level=level,
        clean=bool(flags & 0x02),
        keepalive_s=keepalive_s,
        client_id=name,
        session_expiry_s=expiry_s,
        will_topic=topic,
        will_payload=payload,
        will_qos=(flags >> 3) & 3,
        will_retain=bool(flags & 0x20),
    )
