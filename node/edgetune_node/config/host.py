"""Reads `mqtt.host`: a name or an address; what else people write there is named together with its right form."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import urlsplit


def read_host(text: str) -> str:
    """Return the host's name or address, an IPv6 address without brackets.

    Raises
    ------
    ValueError
        Where it is a URL, has a port or a user, or is neither name nor address; it says how to write it.
    """
    host = text.strip()
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    with suppress(ValueError):
        ip_address(bare)
        return bare
    if host and not any(character in ":/@[]?#" or character.isspace() for character in host):
        try:
            host.encode("idna")  # as the look-up does
        except UnicodeError:
            raise ValueError("is no host name: each part between dots has 1 to 63 letters") from None
        return host
    raise ValueError(f"must be a name or an address and nothing else; write {_right_form(host)}")


def where(host: str, port: int) -> str:
    """Host and port as people write them, with brackets round an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _right_form(host: str) -> str:
    try:
        parts = urlsplit(host if "://" in host else f"mqtt://{host}")
        name, port = parts.hostname, parts.port
    except ValueError:
        name = port = None
    if not name or any(character.isspace() for character in name):
        return 'for example host = "broker.example.org" and port = 1883'
    settings = [f'host = "{name}"']
    settings += [] if port is None else [f"port = {port}"]
    settings += [] if parts.username is None else ["username, and the password in a secret file"]
    settings += ["the table [mqtt.tls]"] if parts.scheme in {"mqtts", "ssl", "tls", "wss"} else []
    return " and ".join(settings)
