"""Hands settings from the command line to the server's process, which imports far less and so stays small."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn, Self

from edgetune_node.errors import NodeError

if TYPE_CHECKING:
    from edgetune_node.config import MqttSection
    from edgetune_node.console.proxies import Header

PIPE_BYTES = 60_000
"""What a pipe takes before anybody reads it."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A password or key that no text of an object shows."""

    value: str = field(repr=False)

    def get_secret_value(self) -> str:
        """Return it."""
        return self.value


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What the server needs to know.

    Attributes
    ----------
    namespace
        Topic levels above the nodes, with those of a bridge.
    prefix
        The bridge's share of ``namespace``.
    broker
        The fields and properties of ``[mqtt]``, see `flat`.
    guarded
        Reading needs a login.
    shared
        Everybody may act, with the console's own login.
    hosts
        Names by which browsers may call the server where reading needs no login; any where it does.
    secure
        Browsers use https, so cookies are for https alone.
    certificate, key
        Files for https; empty without.
    proxies, proxy_header
        Addresses of proxies that are believed where a request comes from, and the header in which they say it.
    """

    namespace: str
    broker: dict[str, Any] = field(repr=False)
    prefix: str = ""
    guarded: bool = True
    shared: bool = False
    hosts: tuple[str, ...] = ()
    secure: bool = False
    certificate: str = ""
    key: str = ""
    proxies: tuple[str, ...] = ()
    proxy_header: Header = "x-forwarded-for"

    @classmethod
    def read(cls, descriptor: int) -> Self:
        """Return what `hand_over` wrote."""
        with os.fdopen(descriptor, "rb") as pipe:
            values = json.loads(pipe.read())
        lists = {name: tuple(values.get(name, ())) for name in ("hosts", "proxies")}
        return cls(**{**values, **lists})

    def login(self, username: str | None = None, password: str | None = None) -> Any:
        """Return the broker's settings, of another user where one is given, as `OperatorClient` reads them."""
        values = dict(self.broker)
        if username is not None:
            values |= {"username": username, "password": {"secret": password or ""}}
        return _revived(values)


def flat(section: MqttSection) -> dict[str, Any]:
    """Return a configuration section's fields and properties as JSON; a secret or a path is an object with one key."""
    properties = (name for name in dir(type(section)) if isinstance(getattr(type(section), name), property))
    names = [*type(section).model_fields, *(name for name in properties if not name.startswith(("_", "model_")))]
    return {name: _plain(getattr(section, name)) for name in names}


def hand_over(settings: ServerSettings, listener: int) -> NoReturn:
    """Become the server; secrets go through a pipe, where no list of processes shows them.

    Parameters
    ----------
    settings
        What it serves.
    listener
        Descriptor of the listening socket.
    """
    content = json.dumps(asdict(settings)).encode()
    if len(content) > PIPE_BYTES:
        raise NodeError("the settings of the broker are too long for the console")
    reading, writing = os.pipe()
    os.write(writing, content)
    os.close(writing)
    for descriptor in (reading, listener):
        os.set_inheritable(descriptor, True)
    sys.stdout.flush()
    module = "edgetune_node.console.server"
    words = [sys.executable, "-P", "-m", module, str(reading), str(listener)]
    os.execv(sys.executable, words)  # noqa: S606 - ourselves


def _plain(value: Any) -> Any:
    from pydantic import BaseModel, SecretStr  # the server itself does without

    if isinstance(value, SecretStr):
        return {"secret": value.get_secret_value()}
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Path):
        return {"path": str(value.absolute())}
    return value


def _revived(values: dict[str, Any]) -> Any:
    """Return an object with these attributes."""
    return SimpleNamespace(**{name: _value(value) for name, value in values.items()})


def _value(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    match value:
        case {"secret": str(text), **rest} if not rest:
            return Secret(text)
        case {"path": str(text), **rest} if not rest:
            return Path(text)
    return _revived(value)
