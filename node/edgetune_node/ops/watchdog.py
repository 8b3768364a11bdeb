"""What systemd is told: that the node runs, that it stops and, while samples and publishing go on, that it lives.

The protocol is that of ``sd_notify(3)``: one datagram of ``NAME=value`` lines to the socket named in ``NOTIFY_SOCKET``.
A manager that does not ask (no such variable, as on a terminal or in a container) is told nothing.
"""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PINGS_PER_LIMIT = 4
"""So many signs of life in the time that the manager waits for one; systemd asks for at least two."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Reading:
    """How the reading of one asset's source goes: seconds that it has not come back, and whether it ever delivered."""

    asset: str
    stuck_s: float
    heard: bool


@dataclass(frozen=True, slots=True)
class Publishing:
    """How publishing goes: whether its thread runs, whether the broker is there, and seconds since a message left."""

    running: bool
    connected: bool
    quiet_s: float


def stalled(
    readings: Iterable[Reading], publishing: Publishing, *, samples_limit_s: float, publishing_limit_s: float
) -> str | None:
    """Return why the process should be started anew; None while it should not.

    Only what a new process can mend counts: a source that hangs in its driver although it delivered before, and
    messages that do not leave although the broker is there. A sensor that is unplugged, a plant that sends nothing, a
    recording that has ended and a broker that is away are told in ``health``, and no restart would bring them back. A
    source that hung from the start hangs in the next process too.

    Parameters
    ----------
    readings, publishing
        How it goes.
    samples_limit_s, publishing_limit_s
        Seconds that a source may hang, and that nothing may leave for a broker that is there.
    """
    for reading in readings:
        if reading.heard and reading.stuck_s > samples_limit_s:
            return f"the source of {reading.asset} has hung for {reading.stuck_s:.0f} s"
    if not publishing.running:
        return "the thread that publishes has ended"
    if publishing.connected and publishing.quiet_s > publishing_limit_s:
        return f"the broker is there, but nothing has left for {publishing.quiet_s:.0f} s"
    return None


class Watchdog:
    """The service manager that started this process, if it wants to be told.

    Parameters
    ----------
    environment
        Where ``NOTIFY_SOCKET`` and ``WATCHDOG_USEC`` are found.
    health_interval_s, keepalive_s
        How often the node publishes at the least, and after which silence a broker counts as lost.

    Attributes
    ----------
    limit_s
        Seconds after which the manager takes a process without a sign of life for dead; None where it never does.
    """

    def __init__(self, environment: Mapping[str, str], *, health_interval_s: float, keepalive_s: float) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        usec, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
        meant = pid in {"", str(os.getpid())}
        self.limit_s = int(usec) / 1e6 if self._address and meant and usec.isdecimal() and int(usec) else None
        self._publishing_s = max(3 * health_interval_s, 2 * keepalive_s)
        self._next_ping_s = float("-inf")
        self._stalled: str | None = None

    def ready(self) -> None:
        """Report that the start is over."""
        self._say("READY=1")

    def stopping(self) -> None:
        """Report that the end has begun."""
        self._say("STOPPING=1")

    def check(self, readings: Iterable[Reading], publishing: Publishing, now_s: float) -> None:
        """Return a sign of life where one is due and nothing has stalled; ``now_s`` is monotonic."""
        if self.limit_s is None:
            return
        reason = stalled(
            readings,
            publishing,
            samples_limit_s=self.limit_s,
            publishing_limit_s=max(self.limit_s, self._publishing_s),
        )
        if reason is None and now_s >= self._next_ping_s:
            self._next_ping_s = now_s + self.limit_s / PINGS_PER_LIMIT
            self._say("WATCHDOG=1")
        if reason is not None and self._stalled is None:
            _log.error("no more signs of life, so that the service manager starts the node anew", reason=reason)
        self._stalled = reason

    def _say(self, line: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.setblocking(False)  # a manager that is busy must not hold up the samples
            out.sendto(line.encode(), self._address)
