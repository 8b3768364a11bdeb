"""systemd hears of a node that lives, and no more of one whose samples or messages have really stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from edgetune_node.config.settings import AssetSection
from edgetune_node.ops.watchdog import Publishing, Reading, Watchdog, stalled
from edgetune_node.runtime.inbox import Inbox
from edgetune_node.runtime.source_thread import SourceReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

GOOD = Publishing(running=True, connected=True, quiet_s=0.1)
LIMITS = {"samples_limit_s": 60.0, "publishing_limit_s": 90.0}
NODE = """
[node]
id = "n1"
data_dir = '{folder}/data'
health_interval_s = 1
[mqtt]
port = {port}
"""
BEARING = """
[[asset]]
id = "bearing"
rate_hz = 12000
[asset.source]
type = "simulated"
machine = "bearing"
"""
PRESS = """
[[asset]]
id = "press"
rate_hz = 1000
[asset.source]
type = "moody"
mood = '{folder}/mood'
"""
DRIVER = """
import pathlib, threading, time
import numpy as np
from edgetune_signal import Chunk

class Moody:
    def __init__(self, spec, options):
        self.spec, self.chunks, self.mood = spec, 0, pathlib.Path(options["mood"])

    def read(self, timeout_s):
        while self.mood.read_text() == "hangs":
            threading.Event().wait(0.1)
        threading.Event().wait(0.05)
        if self.mood.read_text() != "delivers":
            return None
        self.chunks += 1
        return Chunk(np.random.normal(0, 1, (1, 50)).astype(np.float32), time.time_ns(), 1000.0, self.chunks)

    def close(self):
        pass
"""


class Manager:
    """The socket on which a service manager listens."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def next(self, seconds: float = 120.0) -> str | None:
        """Return the next word, or None where none comes in time."""
        self._socket.settimeout(seconds)
        try:
            return self._socket.recv(1024).decode()
        except TimeoutError:
            return None

    def drain(self) -> None:
        """Forget what came so far."""
        self._socket.setblocking(False)
        try:
            while True:
                self._socket.recv(1024)
        except BlockingIOError:
            return

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "notify") if request.param == "path" else f"@edgetune-{os.getpid()}-{tmp_path.name}")
    yield made
    made.close()


# ---- what counts ---------------------------------------------------------------------------------------------------


def test_a_node_that_hears_and_publishes_is_alive() -> None:
    assert stalled([Reading("press", 0.2, heard=True)], GOOD, **LIMITS) is None


def test_a_source_that_hangs_after_it_delivered_is_dead() -> None:
    assert stalled([Reading("press", 61, heard=True)], GOOD, **LIMITS) == "the source of press has hung for 61 s"


def test_a_source_that_hung_from_the_start_would_hang_again() -> None:
    assert stalled([Reading("press", 1e6, heard=False)], GOOD, **LIMITS) is None


def test_a_broker_that_is_away_is_no_reason_to_start_anew() -> None:
    assert stalled([], Publishing(running=True, connected=False, quiet_s=1e6), **LIMITS) is None


def test_nothing_leaving_for_a_broker_that_is_there_is_death() -> None:
    said = stalled([], Publishing(running=True, connected=True, quiet_s=91), **LIMITS)
    assert said == "the broker is there, but nothing has left for 91 s"
    assert "ended" in (stalled([], Publishing(running=False, connected=False, quiet_s=0), **LIMITS) or "")


# ---- what is said --------------------------------------------------------------------------------------------------


def watchdog(manager: Manager | None, **environment: str) -> Watchdog:
    address = {} if manager is None else {"NOTIFY_SOCKET": manager.address}
    return Watchdog({**address, **environment}, health_interval_s=1, keepalive_s=5)


def test_signs_of_life_come_several_times_within_the_limit_and_stop_with_the_samples(manager: Manager) -> None:
    told = watchdog(manager, WATCHDOG_USEC="40000000")
    told.ready()
    for now_s in range(21):
        told.check([Reading("press", 0, heard=True)], GOOD, float(now_s))
    told.check([Reading("press", 41, heard=True)], GOOD, 40.0)
    told.check([Reading("press", 0, heard=True)], GOOD, 41.0)
    told.stopping()
    assert [manager.next() for _ in range(6)] == ["READY=1", *4 * ["WATCHDOG=1"], "STOPPING=1"]


@pytest.mark.parametrize("environment", [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_PID": "1"}])
def test_a_manager_without_a_watchdog_for_this_process_gets_no_signs_of_life(
    manager: Manager, environment: dict[str, str]
) -> None:
    usec = {} if "WATCHDOG_USEC" in environment or not environment else {"WATCHDOG_USEC": "1000000"}
    told = watchdog(manager, **usec, **environment)
    told.check([], GOOD, 0.0)
    told.stopping()
    assert manager.next() == "STOPPING=1"


def test_a_manager_that_is_gone_hinders_nobody(manager: Manager) -> None:
    told = watchdog(manager, WATCHDOG_USEC="1000000")
    manager.close()
    told.check([], GOOD, 0.0)
    watchdog(None).ready()


# ---- a source, and a whole node --------------------------------------------------------------------------------------


def test_a_reader_tells_how_long_its_source_has_not_come_back(until: Callable[..., None]) -> None:
    release = threading.Event()

    class Blocking:
        def read(self, timeout: float) -> Any:
            del timeout
            release.wait(60)

        def close(self) -> None:
            pass

    source: Any = Blocking()
    reader = SourceReader(AssetSection(id="press", rate_hz=1000), Inbox(), source)
    assert reader.stuck_s == 0
    reader.start()
    until(lambda: reader.stuck_s > 0.3)
    release.set()
    until(lambda: reader.stuck_s < 0.1)
    reader.stop()


@contextlib.contextmanager
def running(config: str, folder: Path, manager: Manager, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A node that is given to a service manager, and ends at the end."""
    (folder / "config.toml").write_text(config)
    known = {name: value for name, value in os.environ.items() if not name.startswith("EDGETUNE_")}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "edgetune_node", "run", "--config", str(folder / "config.toml")],
            stderr=log,
            env={**known, "NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "4000000", **environment},
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        manager.close()


@pytest.mark.slow
def test_a_node_lives_through_an_outage_of_the_broker_and_dies_when_it_is_frozen(
    fresh_broker: Any, tmp_path: Path, until: Callable[..., None]
) -> None:
    manager = Manager(str(tmp_path / "notify"))
    config = (NODE + BEARING).format(folder=tmp_path, port=fresh_broker.port)
    with running(config, tmp_path, manager) as process:
        assert manager.next() == "READY=1"
        assert manager.next() == "WATCHDOG=1"
        fresh_broker.kill()
        manager.drain()
        assert [manager.next() for _ in range(3)] == 3 * ["WATCHDOG=1"]
        fresh_broker.start()
        assert [manager.next() for _ in range(3)] == 3 * ["WATCHDOG=1"]
        process.send_signal(signal.SIGSTOP)
        until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED)
        manager.drain()
        assert manager.next(5) is None
        process.send_signal(signal.SIGCONT)
        assert manager.next() == "WATCHDOG=1"
        manager.drain()
        process.send_signal(signal.SIGTERM)
        until(lambda: manager.next() == "STOPPING=1")
        assert process.wait(120) == 0


@pytest.mark.slow
def test_a_node_lives_without_samples_and_dies_where_its_driver_hangs(
    fresh_broker: Any, recorder: Any, tmp_path: Path, until: Callable[..., None]
) -> None:
    described = tmp_path / "moody-1.0.dist-info"
    described.mkdir()
    (tmp_path / "moody.py").write_text(DRIVER)
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: moody\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text("[edgetune.sources]\nmoody = moody:Moody\n")
    scada, health = (recorder(fresh_broker, f"edgetune/n1/{topic}") for topic in ("press/state", "health"))

    def play(mood: str, reason: str) -> None:
        """Let the sensor be so, until the state says it."""
        (tmp_path / "mood").write_text(mood)
        until(lambda: scada.messages and reason in scada.messages[-1].json()["reason"])

    (tmp_path / "mood").write_text("delivers")
    manager = Manager(str(tmp_path / "notify"))
    config = (NODE + PRESS).format(folder=tmp_path, port=fresh_broker.port)
    with running(config, tmp_path, manager, PYTHONPATH=str(tmp_path), WATCHDOG_USEC="2000000"):
        assert [manager.next() for _ in range(4)] == ["READY=1", *3 * ["WATCHDOG=1"]]
        play("silent", "no samples")
        manager.drain()
        assert [manager.next() for _ in range(6)] == 6 * ["WATCHDOG=1"]  # for longer than the manager would wait
        play("delivers", "no model")
        play("hangs", "the source hangs")
        health.wait_for(lambda message: "hangs" in (message.json()["assets"][0]["source_error"] or ""))
        until(lambda: "the source of press has hung" in (tmp_path / "log").read_text())
        manager.drain()
        assert manager.next(3) is None
        play("delivers", "no model")
        assert manager.next() == "WATCHDOG=1"
