"""Where the console listens: the address is read and taken before the server starts, so that problems have names."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from edgetune_node.errors import NodeError

if TYPE_CHECKING:
    from pathlib import Path

PORT = 8088
WAITING = 128
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Listening:
    """A listening socket and how browsers call it."""

    socket: socket.socket
    host: str

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        address: str = self.socket.getsockname()[0]
        return ipaddress.ip_address(address).is_loopback

    def url(self, *, tls: bool) -> str:
        """Address of the page, on this machine where it is reached under every address."""
        port = self.socket.getsockname()[1]
        everywhere = ipaddress.ip_address(self.socket.getsockname()[0]).is_unspecified
        host = "localhost" if everywhere else f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if tls else 'http'}://{host}:{port}/"


def parse_listen(text: str) -> tuple[str, int]:
    """Read ``127.0.0.1:8088``, ``[::1]:8088``, ``:8088`` or a host alone.

    Raises
    ------
    NodeError
        It is none of these.
    """
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname or "0.0.0.0", parts.port  # noqa: S104 - asked for
    except ValueError:
        raise NodeError(f"--listen {text!r} must look like 127.0.0.1:8088") from None
    if not text or parts.path or parts.query or parts.username is not None:
        raise NodeError(f"--listen {text!r} must look like 127.0.0.1:8088")
    return host, PORT if port is None else port


def check_certificate(certificate: Path, key: Path) -> None:
    """See whether https can be served with these files.

    Raises
    ------
    NodeError
        It cannot; says why.
    """
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise NodeError(
            f"{certificate} and {key} cannot serve https: {why}; "
            "both must be PEM files, the key without a password and that of the certificate"
        ) from None


def listen(text: str) -> Listening:
    """Take an address.

    Raises
    ------
    NodeError
        It cannot be had; names it, why, and what to do.
    """
    host, port = parse_listen(text)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        taken = socket.socket(family, kind, protocol)
        with contextlib.ExitStack() as undo:
            undo.callback(taken.close)
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(address)
            taken.listen(WAITING)
            undo.pop_all()
    except OSError as error:
        raise NodeError(f"the console cannot listen on {text}: {error.strerror}; choose another --listen") from None
    return Listening(taken, host)
