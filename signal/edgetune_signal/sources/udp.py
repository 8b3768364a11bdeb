"""Sample blocks over UDP: the plainest way from a microcontroller with a network to a node."""

from __future__ import annotations

import socket
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

from edgetune_signal.errors import SourceError
from edgetune_signal.options import OptionReader
from edgetune_signal.sources.block_order import BlockOrder
from edgetune_signal.sources.live import LiveSource, Piece, Waiter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgetune_signal.sources.base import Source
    from edgetune_signal.stream import StreamSpec

MAX_DATAGRAM_BYTES = 65_535
MAX_AT_ONCE = 256
"""Datagrams taken in one go."""
RECEIVE_BUFFER_BYTES = 1 << 20
"""What the kernel is asked to keep while nobody reads."""
LAST_PORT = 65_535


class UdpDevice:
    """A UDP port that receives sample blocks, one a datagram.

    Parameters
    ----------
    spec
        What every block must be; another one is refused and the stream goes on.
    host, port
        Address to listen at, of IPv4 or IPv6; ``::`` is every one of both.
    sender
        Address whose datagrams are taken; None for anybody's.
    """

    def __init__(self, spec: StreamSpec, host: str, port: int, sender: str | None) -> None:
        self._address = (host, port)
        self._sender = None if sender is None else plain_address(sender)
        self._admission = BlockOrder(spec)
        self._waiter = Waiter()
        self._socket: socket.socket | None = None

    @property
    def last_error(self) -> str | None:
        """Why the last datagram was refused, or None."""
        return self._admission.last_error

    @property
    def lost(self) -> int:
        """Blocks that never came."""
        return self._admission.lost

    def open(self) -> None:
        """Bind the port."""
        found = socket.getaddrinfo(*self._address, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        self._socket = socket.socket(family, kind, protocol)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        if family == socket.AF_INET6:
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self._socket.bind(address)

    def receive(self, timeout_s: float) -> list[Piece]:
        """Return the blocks that have come and fit."""
        if self._socket is None:
            raise SourceError("the port is not open")
        pieces: list[Piece] = []
        if not self._waiter.readable(self._socket.fileno(), timeout_s):
            return pieces
        for _ in range(MAX_AT_ONCE):
            try:
                payload, (host, *_) = self._socket.recvfrom(MAX_DATAGRAM_BYTES)
            except BlockingIOError:
                break
            wanted = self._sender is None or self._sender == plain_address(host)
            admitted = self._admission.admit(payload) if wanted else None
            if admitted is not None:
                block, gap = admitted
                pieces.append(Piece(block.physical(), gap=gap, time_ns=block.time_ns or None))
        return pieces

    def wake(self) -> None:
        """Let a waiting `receive` return."""
        self._waiter.wake()

    def close(self) -> None:
        """Release the port."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def plain_address(text: str) -> str:
    """Return an address as it is written shortest, IPv4 within IPv6 as IPv4, without its interface; a name as it is."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return text
    inner = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(address if inner is None else inner)


def _bare(text: str | None) -> str | None:
    """Return an address without the brackets that an IPv6 address has in a URL."""
    return text[1:-1] if text and text.startswith("[") and text.endswith("]") else text


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def open_udp(spec: StreamSpec, options: Mapping[str, object]) -> Source:
    """Listen for sample blocks on a UDP port.

    Parameters
    ----------
    spec
        What every block must be.
    options
        ``port`` (1 to 65535), ``host`` (address to listen at, by default every one of IPv4; ``"::"`` is every one of
        IPv6 too), ``sender`` (address whose blocks are taken, by default anybody's).

    Raises
    ------
    SourceOptionsError
        Options are wrong; every problem is named.
    """
    reader = OptionReader("udp", options)
    port = reader.integer("port", 0)
    host = _bare(reader.text("host", None)) or "0.0.0.0"  # noqa: S104 - a sensor is another machine; `sender` narrows it
    sender = _bare(reader.text("sender", None))
    if any(character in host for character in ":/") and not _is_address(host):
        reader.problem("host", f"must be a name or an address and nothing else, not {host!r}")
    if sender is not None and not _is_address(sender):
        reader.problem("sender", f'must be an address, as "192.168.7.20" or "fd00::7", not {sender!r}')
    if not reader.given("port"):
        reader.problem("port", "is missing: give the UDP port that the sensor sends to")
    elif not 1 <= port <= LAST_PORT and not any(problem.startswith("port ") for problem in reader.problems):
        reader.problem("port", f"must be from 1 to {LAST_PORT}, not {port}")
    reader.finish()
    name = f"udp [{host}]:{port}" if ":" in host else f"udp {host}:{port}"
    return LiveSource(UdpDevice(spec, host, port, sender), spec, name)
