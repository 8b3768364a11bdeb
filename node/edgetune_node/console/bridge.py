"""One connection to the broker for all pages, in a thread of its own; tries again for ever."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from edgetune_node.console.overhearing import Overhearing
from edgetune_node.errors import NodeError
from edgetune_node.operator import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgetune_node.operator import OperatorClient

SLICE_S = 0.1
AGAIN_S = 2.0

Batch = list[tuple[str, dict[str, Any], int]]


class Bridge:
    """Hands over what arrives under the filters, and whether the broker is there.

    Parameters
    ----------
    mqtt
        The broker, with the console's own login.
    filters
        What to listen to.
    welcome
        The same, where the broker permits it.
    take
        Called in the bridge's thread with messages as ``(topic, payload, milliseconds since 1970)``, in order; no more
        is read of the broker than it keeps up with.
    say
        Called in that thread whenever the broker comes or goes.
    """

    def __init__(
        self,
        mqtt: Any,
        filters: list[str],
        welcome: list[str],
        take: Callable[[Batch], None],
        say: Callable[[dict[str, Any]], None],
    ) -> None:
        self._mqtt, self._filters, self._welcome, self._take, self._say = mqtt, filters, list(welcome), take, say
        self._stopping = threading.Event()
        self._heard_from = now_ms()
        self._thread = threading.Thread(target=self._run, name="bridge", daemon=True)

    def start(self) -> None:
        """Connect, and go on connecting."""
        self._thread.start()

    def stop(self) -> None:
        """Disconnect."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with Overhearing(self._mqtt) as client:
                    client.subscribe(*self._filters)
                    self._subscribe_welcome(client)
                    self._listen(client)
            except NodeError as error:
                self._announce(connected=False, reason=getattr(error, "seen", str(error)))
                self._stopping.wait(AGAIN_S)

    def _subscribe_welcome(self, client: OperatorClient) -> None:
        for name in tuple(self._welcome):
            try:
                client.subscribe(name)
            except RefusedError as error:
                self._welcome.remove(name)
                if error.hung_up:  # it would again, each time this client comes back
                    raise

    def _listen(self, client: Overhearing) -> None:
        connected, connections = True, client.connections
        self._announce(connected=True)
        while not self._stopping.is_set():
            before = now_ms()
            batch: Batch = [(topic, payload, now_ms()) for topic, payload in client.messages(SLICE_S)]
            if client.connected != connected or client.connections != connections:
                if client.connections != connections or not client.connected:
                    self._heard_from = before
                connected, connections = client.connected, client.connections
                where = self._mqtt.where
                self._announce(connected=connected, reason="" if connected else f"broker {where} is gone")
            if batch:
                self._take(batch)
                client.taken(len(batch))

    def _announce(self, *, connected: bool, reason: str = "") -> None:
        """Report how things stand; what came before ``heard_from`` may have changed while nobody listened."""
        state = {"connected": connected, "reason": reason, "since": now_ms(), "heard_from": self._heard_from}
        self._say(state)


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000
