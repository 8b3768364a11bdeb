"""The page that Prometheus reads: ``GET /metrics``, from a thread of its own."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from edgetune_node.errors import ConfigError
from edgetune_node.integrations.exposition import CONTENT_TYPE, exposition

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgetune_node.integrations.exposition import Family

MAX_CLIENTS = 4
"""Requests at once; one more is hung up on."""
CLIENT_S = 5.0
"""Seconds within which a client has to ask, and to read."""
HINT = b"Edgetune: metrics are at /metrics\n"


class MetricsServer:
    """Listens until it is closed.

    Parameters
    ----------
    address
        Host and port.
    families
        Called for each request, in the request's thread.

    Raises
    ------
    ConfigError
        If it cannot listen there.
    """

    def __init__(self, address: tuple[str, int], families: Callable[[], list[Family]]) -> None:
        host, port = address

        class Handler(_Handler):
            metrics = staticmethod(families)

        class Server(_Server):
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        try:
            self._server = Server(address, Handler)
        except OSError as error:
            reason = f"nobody can listen at {host} port {port}: {error.strerror}; choose another address or port"
            raise ConfigError("metrics.listen", [reason]) from None
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, *args: Any) -> None:
        self._free = threading.BoundedSemaphore(MAX_CLIENTS)
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over a client that goes while it is answered."""

    def server_bind(self) -> None:
        """Bind without looking up a name, as `HTTPServer` does: a look-up may take many seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])


class _Handler(BaseHTTPRequestHandler):
    metrics: Callable[[], list[Family]]
    server_version = "edgetune"
    sys_version = ""

    def setup(self) -> None:
        """Hang up on a client that has not asked in time: each byte of a slow one begins the time-out again."""
        super().setup()
        self.connection.settimeout(CLIENT_S)
        self._late = threading.Timer(CLIENT_S, self._hang_up)
        self._late.daemon = True
        self._late.start()

    def finish(self) -> None:
        self._late.cancel()
        super().finish()

    def _hang_up(self) -> None:
        with suppress(OSError):  # it has gone
            self.connection.shutdown(socket.SHUT_RDWR)

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        self._late.cancel()
        path = self.path.partition("?")[0]
        if path == "/metrics":
            content, kind, status = exposition(self.metrics()), CONTENT_TYPE, HTTPStatus.OK
        else:
            found = HTTPStatus.OK if path == "/" else HTTPStatus.NOT_FOUND
            content, kind, status = HINT, "text/plain; charset=utf-8", found
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named by the base class
        """Log nothing: who scrapes asks every few seconds."""
