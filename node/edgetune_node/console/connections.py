"""Connections that ask for nothing are closed, so that they take no place from those that do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

REQUEST_S = 10.0
"""Within this time a browser has sent a whole request."""


class PromptProtocol(H11Protocol):
    """Speaks HTTP with whoever sends requests without delay."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to count the time."""
        super().connection_made(transport)
        self._watch(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count no longer."""
        self._stop()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Leave the connection to the websocket."""
        self._stop()
        super().handle_websocket_upgrade(event)

    def _stop(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _watch(self, cycle: object) -> None:
        self._late = self.loop.call_later(REQUEST_S, self._judge, cycle)

    def _judge(self, before: object) -> None:
        """Close where no request came since ``before``, or the whole of it did not."""
        now = self.cycle
        answering = now is not None and not now.more_body and not now.response_complete
        if now is before and not answering:
            self._late = None
            self.transport.abort()
        else:
            self._watch(now)
