"""A broker for as long as the demo runs: mosquitto where it is installed, else the one from a package."""

from __future__ import annotations

import shutil
import socket
import sys
import time
from typing import TYPE_CHECKING, Literal, Self

from edgetune_node.demo.errors import DemoError
from edgetune_node.demo.processes import ChildProcess
from edgetune_signal import install_hint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

HOST = "127.0.0.1"
START_S = 10.0
ATTEMPTS = 3
MAX_PAYLOAD_BYTES = 2 * 2**20
_POLL_S = 0.02
_SBIN = "/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"

_MOSQUITTO = """\
listener {port} {host}
allow_anonymous true
persistence false
max_queued_messages 10000
set_tcp_nodelay true
"""
_IOTCORE = """\
id = 0
[router]
id = 0
max_connections = 100
max_outgoing_packet_count = 2000
max_segment_size = 104857600
max_segment_count = 10
[v5.demo]
name = "demo"
listen = "{host}:{port}"
next_connection_delay_ms = 1
[v5.demo.connections]
connection_timeout_ms = 60000
max_payload_size = {max_payload}
max_inflight_count = 1000
dynamic_filters = true
"""
_IOTCORE_MAIN = "import sys; from iotcore import IotCoreBroker; IotCoreBroker(config_path=sys.argv[1]).run_forever()"


def find_mosquitto() -> str | None:
    """Path of mosquitto, which Debian keeps in a folder that is not on everybody's PATH."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=_SBIN)


def choose_broker(name: Literal["mosquitto", "iotcore"] | None) -> str | None:
    """Return the path of mosquitto, or None for the package's broker; without a name, what is there.

    Raises
    ------
    DemoError
        Where the broker that was asked for, or any, is not installed.
    """
    mosquitto = None if name == "iotcore" else find_mosquitto()
    if mosquitto is None and (name == "mosquitto" or not has_iotcore()):
        raise DemoError(
            "a broker is there",
            f"{name + ' is not' if name else 'neither mosquitto nor the package iotcore is'} installed; "
            f"apt install mosquitto, or {install_hint('dev')}",
        )
    return mosquitto


def has_iotcore() -> bool:
    """Whether the package with a broker inside is installed."""
    from importlib.util import find_spec

    return find_spec("iotcore") is not None


class DemoBroker:
    """An MQTT 5 broker on a free port of this machine, reachable from this machine only; a context manager.

    Parameters
    ----------
    folder
        Where its configuration and log go.
    mosquitto
        Path of mosquitto; None takes the broker of the package ``iotcore``.

    Raises
    ------
    DemoError
        On entering, where it does not start.
    """

    def __init__(self, folder: Path, mosquitto: str | None) -> None:
        self._folder = folder
        self._mosquitto = mosquitto
        self._process: ChildProcess | None = None
        self.port = 0
        self.name = "mosquitto" if mosquitto else "iotcore"

    def __enter__(self) -> Self:
        for _ in range(ATTEMPTS):  # another program may take the free port before the broker does
            self.port = free_port()
            process = self._process = ChildProcess(self._command(), self._folder / "broker.log")
            if self._listens(process):
                return self
            process.stop(wait_s=1.0)
        raise DemoError("the broker listens", f"{self.name} does not accept connections", process.log_tail())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.stop()

    def _command(self) -> list[str]:
        values = {"port": self.port, "host": HOST, "max_payload": MAX_PAYLOAD_BYTES}
        if self._mosquitto:
            file = self._folder / "mosquitto.conf"
            file.write_text(_MOSQUITTO.format(**values), encoding="utf-8")
            return [self._mosquitto, "-c", str(file)]
        file = self._folder / "iotcore.toml"
        file.write_text(_IOTCORE.format(**values), encoding="utf-8")
        return [sys.executable, "-P", "-c", _IOTCORE_MAIN, str(file)]

    def _listens(self, process: ChildProcess) -> bool:
        answered = wait_until(lambda: process.code is not None or accepts(self.port), START_S)
        return answered and process.code is None


def free_port() -> int:
    """Find a TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def accepts(port: int) -> bool:
    """Whether something accepts connections on ``port`` of this machine."""
    try:
        with socket.create_connection((HOST, port), timeout=0.5):
            return True
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Ask ``condition`` until it holds or ``seconds`` have passed; give whether it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True
