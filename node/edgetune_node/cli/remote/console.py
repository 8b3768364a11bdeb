"""``edgetune console``: the page for operators and maintenance."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import Annotated, Literal

import typer

from edgetune_node.console import (
    LOOPBACK_NAMES,
    ServerSettings,
    check_certificate,
    check_proxies,
    flat,
    hand_over,
    listen,
)
from edgetune_node.errors import NodeError
from edgetune_node.operator import Target, takes_target
from edgetune_signal import install_hint

NEEDED = ("starlette", "uvicorn", "websockets")
ALL_ACT = "whoever reaches this address reads and acts without a login; leave --shared out, or let nobody else reach it"
UNENCRYPTED = "passwords come over the network unencrypted; give --tls-certificate and --tls-key, or use --behind-proxy"


@takes_target
def console(
    target: Target,
    *,
    address: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Where browsers reach the page.")
    ] = "127.0.0.1:8088",
    shared: Annotated[
        bool,
        typer.Option(
            "--shared",
            help="Everybody who can open the page reads and acts, with this command's own login; "
            "for a page that only this machine can reach.",
        ),
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Another name under which browsers call the page, where no login is needed."),
    ] = None,
    behind_proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="A proxy on this machine serves the page to others, with https.")
    ] = False,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS", help="A proxy, or a network of them, that says where requests come from."),
    ] = None,
    proxy_header: Annotated[
        Literal["x-forwarded-for", "forwarded"], typer.Option(help="The header in which it says so.")
    ] = "x-forwarded-for",
    tls_certificate: Annotated[Path | None, typer.Option(help="Certificate (PEM) to serve https with.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key (PEM).")] = None,
) -> None:
    """Serve a page that shows the nodes of a namespace and lets operators act, until Ctrl-C."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise NodeError(f"the console needs {', '.join(missing)}; {install_hint('console')}")
    if (tls_certificate is None) != (tls_key is None):
        raise typer.BadParameter("--tls-certificate and --tls-key belong together; give both or neither")
    for file in (tls_certificate, tls_key):
        if file is not None and not file.is_file():
            raise typer.BadParameter(f"{file} is no file")
    tls = tls_certificate is not None
    if tls_certificate is not None and tls_key is not None:
        check_certificate(tls_certificate, tls_key)
    proxies = check_proxies(trusted_proxy or ())
    listening = listen(address)
    if not listening.loopback and (shared or not (tls or behind_proxy)):
        sys.stderr.write(f"edgetune: {ALL_ACT if shared else UNENCRYPTED}\n")
    settings = ServerSettings(
        namespace=target.seen_namespace,
        prefix=target.prefix,
        broker=flat(target.mqtt),
        guarded=not shared and (behind_proxy or not listening.loopback),
        shared=shared,
        hosts=(*LOOPBACK_NAMES, *(allow_host or ())),
        secure=tls or behind_proxy,
        certificate="" if tls_certificate is None else str(tls_certificate.absolute()),
        proxies=proxies,
        proxy_header=proxy_header,
        key="" if tls_key is None else str(tls_key.absolute()),
    )
    typer.echo(f"the page is at {listening.url(tls=tls)}")
    hand_over(settings, listening.socket.detach())
