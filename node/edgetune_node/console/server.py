"""The server's process: ``python -m edgetune_node.console.server SETTINGS LISTENER``, both descriptors of files."""

from __future__ import annotations

import contextlib
import socket
import sys

import uvicorn

from edgetune_node.console.app import Console
from edgetune_node.console.handover import ServerSettings

MOST_CONNECTIONS = 200
MOST_MESSAGE_BYTES = 1024
STOP_S = 3


def main(settings: int, listener: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    values = ServerSettings.read(settings)
    config = uvicorn.Config(
        Console(values).app(),
        loop="asyncio",
        http="h11",
        ws="websockets-sansio",
        ws_max_size=MOST_MESSAGE_BYTES,
        ws_per_message_deflate=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=STOP_S,
        proxy_headers=False,
        server_header=False,
        log_level="warning",
        ssl_certfile=values.certificate or None,
        ssl_keyfile=values.key or None,
    )
    with contextlib.suppress(KeyboardInterrupt):  # it has ended in good order before this comes
        uvicorn.Server(config).run(sockets=[socket.socket(fileno=listener)])


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:3]))
