"""Aedes, a broker of npm that hangs up, as RabbitMQ, HiveMQ, VerneMQ and AWS IoT do; installed once, into the cache."""

from __future__ import annotations

import fcntl
import json
import subprocess
import threading
from pathlib import Path
from typing import IO

import npm
import pytest

AEDES = "aedes@1.2.0"
SCRIPT = Path(__file__).with_name("aedes.js")


def install(folder: Path) -> Path:
    """Return the folder of npm's modules; the test is skipped where they cannot be had."""
    modules = folder / "node_modules"
    with (folder / "lock").open("w") as lock:  # tests run in parallel
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (modules / "aedes" / "package.json").exists():
            npm.install(folder, AEDES)
    return modules


class Aedes:
    """A broker that ends a connection on a publish to a topic, or a subscription, that a pattern denies.

    Parameters
    ----------
    modules
        Where it is installed.
    denied, denied_filter
        Regular expressions; empty ones deny nothing.
    how
        `"close"`, `"reset"`, or `""` for aedes' own way; `"refuse"` refuses a subscription in words.
    """

    host = "127.0.0.1"

    def __init__(self, modules: Path, *, denied: str = "", denied_filter: str = "", how: str = "") -> None:
        self.connections = 0
        self.port = 0
        self._started = threading.Event()
        self._process = subprocess.Popen(
            ["node", str(SCRIPT), denied, denied_filter, how],
            env={"NODE_PATH": str(modules), "PATH": "/usr/local/bin:/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,))
        self._reader.start()
        if not self._started.wait(120):
            self.stop()
            pytest.fail("aedes does not start")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()

    def _read(self, lines: IO[str]) -> None:
        with lines:
            for line in lines:
                told = json.loads(line)
                self.connections = told.get("connections", self.connections)
                if "port" in told:
                    self.port = told["port"]
                    self._started.set()
        self._started.set()
