"""Which broker, node and asset a command is about: options that several commands share, read once into a `Target`."""

from __future__ import annotations

import functools
import inspect
import os
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from pydantic import SecretStr, ValidationError

from edgetune_node.config import (
    MqttSection,
    NodeSection,
    Settings,
    TlsSection,
    load_settings,
    read_small_file,
    read_url,
)
from edgetune_node.contract import Topics, problems
from edgetune_signal import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable

PASSWORD_VARIABLE = "EDGETUNE_MQTT__PASSWORD"  # noqa: S105 - the variable's name, not a password
KEY_VARIABLE = "EDGETUNE_MQTT__COMMAND_KEY"


@dataclass(frozen=True, slots=True)
class Target:
    """What a command talks to.

    Attributes
    ----------
    mqtt
        The broker and how to log in there.
    namespace
        Topic levels above the node.
    node, asset
        None where the command line does not say.
    settings
        The node's configuration where ``--config`` was given.
    prefix
        Topic levels that a bridge puts before the node's own; empty without a bridge.
    """

    mqtt: MqttSection
    namespace: str
    node: str | None
    asset: str | None
    settings: Settings | None
    prefix: str = ""

    @property
    def seen_namespace(self) -> str:
        """Topic levels above the node at this broker."""
        return f"{self.prefix}/{self.namespace}" if self.prefix else self.namespace

    @property
    def topics(self) -> Topics:
        """Topics of the node; a usage error where no node is named."""
        if self.node is None:
            raise typer.BadParameter("which node? give --node, or --config with the node's configuration")
        return Topics(self.namespace, self.node, self.prefix)


def read_target(
    *,
    broker: Annotated[
        str | None,
        typer.Option(
            help="Broker, as mqtt://user@host:1883, mqtts://, ws://, wss:// or unix:///path (default 127.0.0.1)."
        ),
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(help="Authority of the broker's certificate (with mqtts:// or wss://).")
    ] = None,
    password_file: Annotated[
        Path | None, typer.Option(help=f"File with the broker's password; or set {PASSWORD_VARIABLE}.")
    ] = None,
    command_key_file: Annotated[
        Path | None,
        typer.Option(help=f"File with the key that signs commands, for nodes that want it; or set {KEY_VARIABLE}."),
    ] = None,
    protocol: Annotated[Literal["5", "3.1.1"] | None, typer.Option(help="MQTT version (default 5).")] = None,
    namespace: Annotated[str | None, typer.Option(help="Topic levels above the node (default edgetune).")] = None,
    bridge_prefix: Annotated[
        str, typer.Option(metavar="LEVELS", help="Topic levels that a bridge puts before the node's own topics.")
    ] = "",
    node: Annotated[str | None, typer.Option(help="Id of the node.")] = None,
    asset: Annotated[str | None, typer.Option(help="Id of the asset; not needed where the node has one.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="A node's configuration, which says all of these; options override it.")
    ] = None,
) -> Target:
    """Put the options that name broker, node and asset together.

    Raises
    ------
    ConfigError
        The configuration is wrong.
    typer.BadParameter
        An option is wrong, or contradicts another.
    """
    settings = load_settings(config) if config else None
    secrets = {
        "password": _secret("--password-file", password_file, PASSWORD_VARIABLE),
        "command_key": _secret("--command-key-file", command_key_file, KEY_VARIABLE),
    }
    mqtt = _broker(settings.mqtt if settings else MqttSection(), broker, ca, secrets, protocol)
    if settings:
        namespace, node = namespace or settings.node.namespace, node or settings.node.id
        if node == settings.node.id:
            asset = choose_asset(asset, [each.id for each in settings.asset])
    namespace = namespace or "edgetune"
    try:
        NodeSection(id=node or "any", namespace=namespace)
        if bridge_prefix:
            NodeSection(id="any", namespace=bridge_prefix.removesuffix("/"))
    except ValidationError as error:
        raise typer.BadParameter("; ".join(problems(error)).replace("id: ", "--node: ", 1)) from None
    return Target(mqtt, namespace, node, asset, settings, bridge_prefix.removesuffix("/"))


def takes_target(command: Callable[..., None]) -> Callable[..., None]:
    """Return ``command``, whose first parameter is a `Target`, the options of `read_target` in place of it."""
    shared = inspect.signature(read_target, eval_str=True).parameters
    _, *own = inspect.signature(command, eval_str=True).parameters.values()

    @functools.wraps(command)
    def wrapped(**given: Any) -> None:
        target = read_target(**{name: given.pop(name) for name in shared})
        command(target, **given)

    parameters = [*(item.replace(kind=inspect.Parameter.KEYWORD_ONLY) for item in own), *shared.values()]
    wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {item.name: item.annotation for item in parameters}
    return wrapped


def parse_broker(text: str) -> dict[str, Any]:
    """Return what ``--broker`` says of a broker; `typer.BadParameter` if it is no URL of one or holds a password.

    Of a user name, ``%40`` stands for ``@`` and so on, as in every URL.

    Returns
    -------
    dict
        Fields of `MqttSection`: ``url``, ``host``, ``port``, ``username`` and ``tls``.
    """
    try:
        url = read_url(text if "://" in text else f"mqtt://{text}")
    except ValueError as error:
        shown = text.rpartition("@")[2]  # a password must not be shown
        raise typer.BadParameter(f"--broker ...{shown!r}: {error}") from None
    if url.password is not None:
        raise typer.BadParameter(
            f"--broker holds a password, which every user of this machine can see; use {PASSWORD_VARIABLE} "
            "or --password-file"
        )
    return {
        "url": url.shown,
        "host": url.host,
        "port": url.port,
        "username": url.username,
        "tls": TlsSection() if url.tls else None,
    }


def choose_asset(wanted: str | None, known: list[str]) -> str | None:
    """Return the asset of a configuration that ``--asset`` names, without it the only one; None if there are several.

    Raises
    ------
    typer.BadParameter
        The configuration has no asset of that name.
    """
    if wanted is None:
        return known[0] if len(known) == 1 else None
    if wanted not in known:
        raise typer.BadParameter(
            f"--config has no asset {wanted!r}; it has {', '.join(known)}{did_you_mean(wanted, known)}"
        )
    return wanted


def _broker(
    mqtt: MqttSection, broker: str | None, ca: Path | None, secrets: dict[str, str | None], protocol: str | None
) -> MqttSection:
    changes: dict[str, Any] = parse_broker(broker) if broker else {}
    if broker and changes["username"] is None:
        changes["username"] = mqtt.username
    if protocol:
        changes["protocol"] = protocol
    changes |= {name: SecretStr(value) for name, value in secrets.items() if value is not None}
    if ca:
        tls = changes.get("tls", mqtt.tls)
        if tls is None:
            raise typer.BadParameter("--ca is for TLS; write --broker mqtts://... or wss://... too")
        changes["tls"] = tls.model_copy(update={"ca_file": ca})
    try:
        return MqttSection.model_validate({**dict(mqtt), **changes})
    except ValidationError as error:
        raise typer.BadParameter("; ".join(problems(error))) from None


def _secret(option: str, file: Path | None, variable: str) -> str | None:
    if file is None:
        return os.environ.get(variable)
    try:
        return read_small_file(file).removeprefix("\ufeff").rstrip("\r\n")
    except OSError as error:
        raise typer.BadParameter(f"{option} {file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{option} {file} cannot be read: {error}") from None
