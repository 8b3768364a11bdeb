"""Reads `mqtt.url`: the way to the broker in one line, held against the settings that it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from edgetune_node.config.host import read_host, where

if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.parse import SplitResult

Transport = Literal["tcp", "websockets", "unix"]
PORTS: Final = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
FORMS: Final = (
    "mqtt://user@host:1883, mqtts://host:8883, ws://host:9001/mqtt, wss://host/mqtt or unix:///path/to/socket"
)
ODD: Final = "in a user name or password write % as %25, / as %2F, ? as %3F, # as %23, : as %3A, @ as %40"
LOCAL: Final = "127.0.0.1"
MAX_SOCKET_BYTES: Final = 107
"""Of the path of a unix socket on Linux."""
_AS_IT_IS: Final = "%/?:@!$&'()*+,;=~"
"""Characters of a path that stand in a request; all others are written with percent signs."""


@dataclass(frozen=True, slots=True)
class BrokerUrl:
    """A URL of a broker, read.

    Attributes
    ----------
    scheme
        ``mqtt``, ``mqtts``, ``ws``, ``wss`` or ``unix``.
    host, port
        Of a unix socket those of this machine, which are not used.
    path
        Of websockets where they are on the server, of a unix socket its file; else empty.
    username, password
        As they are, without percent signs for odd characters; None where the URL has none.
    """

    scheme: str
    host: str
    port: int
    path: str
    username: str | None
    password: str | None

    @property
    def transport(self) -> Transport:
        """What carries MQTT's packets."""
        if self.scheme == "unix":
            return "unix"
        return "websockets" if self.scheme in {"ws", "wss"} else "tcp"

    @property
    def tls(self) -> bool:
        """Whether the connection is protected by TLS."""
        return self.scheme in {"mqtts", "wss"}

    @property
    def where(self) -> str:
        """The broker as people write it, without a user."""
        if self.scheme == "unix":
            return f"unix://{self.path}"
        place = where(self.host, self.port)
        return f"{self.scheme}://{place}{self.path}" if self.transport == "websockets" else place

    @property
    def shown(self) -> str:
        """The URL without its password."""
        user = "" if self.username is None else f"{quote(self.username, safe='')}@"
        if self.scheme == "unix":
            return f"{self.scheme}://{user}{quote(self.path)}"
        return f"{self.scheme}://{user}{where(self.host, self.port)}{self.path}"


def read_url(text: str) -> BrokerUrl:
    """Read a URL.

    Raises
    ------
    ValueError
        Saying what is wrong and how it must look; never with the password.
    """
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        raise ValueError(f"must look like {FORMS}, with a port from 1 to 65535; {ODD}") from None
    if parts.scheme not in {*PORTS, "unix"}:
        raise ValueError(f"must look like {FORMS}")
    path = parts.path
    if parts.scheme == "unix":
        if parts.hostname or port is not None or not path.strip("/"):
            raise ValueError("of a unix socket it must be unix:// and the whole path, as unix:///run/mosquitto.sock")
        host, port = LOCAL, PORTS["mqtt"]
        path = unquote(path)
        if len(path.encode()) > MAX_SOCKET_BYTES or "\0" in path:
            raise ValueError(f"of a unix socket has a path of at most {MAX_SOCKET_BYTES} bytes, without %00")
    else:
        if not parts.hostname or port == 0:
            raise ValueError(f"must look like {FORMS}; {ODD}")
        named = parts.hostname
        zone = ":" in named  # within a URL the % before a zone is written %25
        host = read_host(named.replace("%25", "%", 1) if zone else named)
        port = port or PORTS[parts.scheme]
        path = _path(parts)
    if parts.fragment or (parts.query and parts.scheme not in {"ws", "wss"}):
        raise ValueError(f"must end with the port or the path; {ODD}")
    return BrokerUrl(parts.scheme, host, port, path, _plain(parts.username), _plain(parts.password))


def spread(values: Any) -> Any:
    """Return ``[mqtt]`` with what its ``url`` says put into the settings that it stands for, and no password in it.

    Raises
    ------
    ValueError
        If the URL is wrong or contradicts another setting; both values are named.
    """
    if not isinstance(values, dict) or not isinstance(values.get("url"), str):
        return values
    try:
        url = read_url(values["url"])
    except ValueError as error:
        raise ValueError(f"url: {error}") from None
    _refuse_contradictions(url, values)
    implied: dict[str, Any] = {"host": url.host, "port": url.port}
    implied |= {} if url.username is None else {"username": url.username}
    implied |= {} if url.password is None else {"password": url.password}
    implied |= {"tls": {}} if url.tls and values.get("tls") is None else {}
    return {**values, **implied, "url": url.shown}


def _refuse_contradictions(url: BrokerUrl, values: Mapping[str, Any]) -> None:
    for name, said in (("host", url.host), ("port", url.port), ("username", url.username)):
        given = values.get(name)
        if given is not None and said is not None and not _same(name, given, said):
            raise ValueError(
                f"url: {url.shown} has the {name} {said!r}, and {name} = {given!r} is set too; give one of them"
            )
    password = values.get("password")
    if url.password is not None and password is not None and _secret(password) != url.password:
        raise ValueError("url: it has another password than the setting password; give one of them")
    if values.get("tls") is not None and not url.tls:
        raise ValueError(
            f"url: {url.shown} is without TLS, and the table [mqtt.tls] is there;"
            " write mqtts:// or wss://, or take the table out"
        )


def _same(name: str, given: Any, said: object) -> bool:
    if name == "host" and isinstance(given, str):
        try:
            return read_host(given).lower() == str(said).lower()
        except ValueError:
            return False
    return str(given) == str(said)


def _secret(password: Any) -> str:
    return str(password.get_secret_value() if hasattr(password, "get_secret_value") else password)


def _path(parts: SplitResult) -> str:
    """Where websockets are on the server; `ValueError` for another way that has a path."""
    if parts.scheme in {"ws", "wss"}:
        return urlunsplit(("", "", quote(parts.path, _AS_IT_IS) or "/mqtt", quote(parts.query, _AS_IT_IS), ""))
    if parts.path.strip("/"):
        raise ValueError(f"must end with the port: {parts.scheme}:// has no path; {ODD}")
    return ""


def _plain(text: str | None) -> str | None:
    try:
        plain = None if text is None else unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("has a user name or password that is not UTF-8 behind its % signs") from None
    if plain is not None and "\0" in plain:
        raise ValueError("has a user name or password with %00, which MQTT does not allow")
    return plain
