"""What ``edgetune doctor`` finds out about the address at which metrics are to be read."""

from __future__ import annotations

import http.client
import socket

from edgetune_node.cli.local.finding import Finding

CHECK = "metrics"
ASK_S = 5.0
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - asked at this machine's own address


def check_metrics(address: tuple[str, int] | None, *, running: bool) -> list[Finding]:
    """Whether a node can listen at ``metrics.listen``, or one that is ``running`` does."""
    if address is None:
        return []
    where, reason = f"{address[0]} port {address[1]}", _refusal(address)
    if reason is None and running:
        seen = f"nobody listens at {where}, although the node is running"
        return [Finding(CHECK, "warning", seen, "restart the node if metrics.listen was changed since it started")]
    if reason is None:
        return [Finding(CHECK, "ok", f"{where} is free")]
    served = _server(address).startswith("edgetune")
    if served and running:
        return [Finding(CHECK, "ok", f"Edgetune's metrics are at {where}")]
    seen = f"nobody can listen at {where}: {reason}" + ("; another node serves its metrics there" * served)
    return [Finding(CHECK, "problem", seen, "choose another address or port for metrics.listen, or end what uses it")]


def _refusal(address: tuple[str, int]) -> str | None:
    """Return why nobody can listen there now; None where one can."""
    try:
        socket.create_server(address, family=socket.AF_INET6 if ":" in address[0] else socket.AF_INET).close()
    except OSError as error:
        return (error.strerror or str(error)).partition(" (")[0]  # Python adds the address
    return None


def _server(address: tuple[str, int]) -> str:
    """Return how whoever listens there names itself over HTTP; empty where it does not."""
    host, port = address
    asked = http.client.HTTPConnection(EVERYWHERE.get(host, host), port, timeout=ASK_S)
    try:
        asked.request("HEAD", "/")
        return asked.getresponse().getheader("Server") or ""
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        asked.close()
