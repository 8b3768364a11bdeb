"""Whose address a request comes from, where a proxy stands in between."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any, Literal

from edgetune_node.errors import NodeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from starlette.requests import HTTPConnection

    Address = ipaddress.IPv4Address | ipaddress.IPv6Address
    Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAPPED_BITS = 96
Header = Literal["x-forwarded-for", "forwarded"]
MOST_HOPS = 32
"""Addresses of a header that are looked at, from its end."""


def check_proxies(names: Iterable[str]) -> tuple[str, ...]:
    """Return addresses and networks as they are compared.

    Raises
    ------
    NodeError
        One is neither; names it.
    """
    found = []
    for name in names:
        try:
            found.append(str(_unmapped(ipaddress.ip_network(name))))
        except ValueError as error:
            raise NodeError(
                f"--trusted-proxy {name!r} is no address or network ({error}); give 127.0.0.1 or 10.0.0.0/24"
            ) from None
    return tuple(found)


def _unmapped(network: Network) -> Network:
    """Return the network of version 4 that one of version 6 stands for (``::ffff:10.0.0.0/104``), as addresses are."""
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    bits = network.prefixlen - MAPPED_BITS
    return network if mapped is None or bits < 0 else ipaddress.ip_network((mapped, bits))


def client_address(connection: HTTPConnection, proxies: Sequence[str], header: Header) -> str:
    """Return the address that a request comes from.

    A proxy's word is taken only if its own address is one of ``proxies``. Each adds to the end of the header, so the
    last address that is no proxy's counts; what stands before it anybody may have written.
    """
    peer = connection.client.host if connection.client else ""
    trusted = [ipaddress.ip_network(each) for each in proxies]
    if not trusted or not _is_one_of(_address(peer), trusted):
        return peer
    split = _named if header == "forwarded" else _listed
    hops = [hop for value in connection.headers.getlist(header) for hop in split(value)]
    address = peer
    for hop in reversed(hops[-MOST_HOPS:]):
        found = _address(hop)
        if found is None:  # hidden, or no address: the proxy that said so is the nearest that is known
            return address
        address = str(found)
        if not _is_one_of(found, trusted):
            return address
    return address


def _is_one_of(address: Address | None, networks: Sequence[Any]) -> bool:
    return address is not None and any(address in network for network in networks)


def _listed(value: str) -> list[str]:
    return value.split(",")


def _named(value: str) -> list[str]:
    """Return what ``for`` says in each element of ``Forwarded``; empty without it.

    A browser chooses its ``host``, which some proxies add in quotes: what looks like an element in there is none.
    """
    parts = re.sub(r"\\.", "", value).split('"')
    if len(parts) % 2 == 0:  # a quote that is not closed: nothing behind it can be told apart
        return [""]
    parts[1::2] = [re.sub(r"[,;=]", " ", part) for part in parts[1::2]]
    return [_for(element) for element in "".join(parts).split(",")]


def _for(element: str) -> str:
    pairs = (pair.partition("=") for pair in element.split(";"))
    return next((value for name, _, value in pairs if name.strip().lower() == "for"), "")


def _address(text: str) -> Address | None:
    """Read an address, in quotes, in brackets or with a port as it may be; None if it is none."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found
