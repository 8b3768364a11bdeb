"""One connection to the broker for all pages, in a thread of its own; tries again for ever."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from edgetune_node.errors import NodeError
from edgetune_node.operator import OperatorClient, object_or_none

if TYPE_CHECKING:
    from collections.abc import Callable

SLICE_S = 0.1
AGAIN_S = 2.0
MOST_BYTES = 256 * 1024

Batch = list[tuple[str, dict[str, Any], int]]


class Bridge:
    """Hands over what arrives under the filters, and whether the broker is there.

    Parameters
    ----------
    mqtt
        The broker, with the console's own login.
    filters
        What to listen to.
    take
        Called in the bridge's thread with messages as ``(topic, payload, milliseconds since 1970)``, in order.
    say
        Called in that thread whenever the broker comes or goes.
    """

    def __init__(
        self,
        mqtt: Any,
        filters: list[str],
        take: Callable[[Batch], None],
        say: Callable[[dict[str, Any]], None],
    ) -> None:
        self._mqtt, self._filters, self._take, self._say = mqtt, filters, take, say
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
                with OperatorClient(self._mqtt, parse=parse) as client:
                    client.subscribe(*self._filters)
                    self._listen(client)
            except NodeError as error:
                self._announce(connected=False, reason=getattr(error, "seen", str(error)))
                self._stopping.wait(AGAIN_S)

    def _listen(self, client: OperatorClient) -> None:
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

    def _announce(self, *, connected: bool, reason: str = "") -> None:
        """Report how things stand; what came before ``heard_from`` may have changed while nobody listened."""
        state = {"connected": connected, "reason": reason, "since": now_ms(), "heard_from": self._heard_from}
        self._say(state)


def parse(payload: bytes) -> dict[str, Any] | None:
    """Read a JSON object; an empty payload is an empty object, anything else is passed over."""
    if not payload:
        return {}
    return object_or_none(payload) if len(payload) <= MOST_BYTES else None


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000
