"""A port that takes each connection and resets it, as that of a proxy with nothing behind it."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "127.0.0.1"
RESET = struct.pack("ii", 1, 0)  # of SO_LINGER: closing resets


@contextlib.contextmanager
def resetting(*, greeted: bool) -> Iterator[tuple[int, list[float]]]:
    """Yield the port, and when each connection came; with ``greeted`` the first packet is read before the reset."""
    taken_s: list[float] = []
    with socket.create_server((HOST, 0)) as listener:

        def reset() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                taken_s.append(time.monotonic())
                with connection:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    if greeted:
                        connection.recv(65_536)

        thread = threading.Thread(target=reset)
        thread.start()
        try:
            yield listener.getsockname()[1], taken_s
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(30)
