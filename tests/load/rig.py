"""What load is put on: a broker, a node's process with simulated machines, and a listener that counts what it hears."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import threading
import time
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import paho.mqtt.client as mqtt
import psutil
from paho.mqtt.enums import CallbackAPIVersion

from edgetune_nas.card import Budget
from edgetune_nas.search.run import search
from edgetune_node.demo.broker import HOST, DemoBroker, find_mosquitto
from edgetune_node.demo.processes import ChildProcess
from edgetune_node.mqtt import WholePacketClient
from edgetune_node.storage.models import ModelStore
from edgetune_signal import Recording, RecordingStore, StreamSpec, recordings_dataset
from edgetune_signal.simulators.bearing import BearingSimulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LENGTH = 512
CLASSES = ("normal", "inner_severe")
PATIENCE_S = 120.0


class LoadError(Exception):
    """Something that was waited for did not come."""


def wait_until(condition: Callable[[], object], what: str, seconds: float = PATIENCE_S) -> None:
    """Return as soon as ``condition`` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise LoadError(f"after {seconds:g} s this does not hold: {what}")
        time.sleep(0.02)


@contextmanager
def bench() -> Iterator[tuple[Path, int]]:
    """Return a folder and a broker's port for as long as the load lasts."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory(prefix="edgetune-load-") as name:
        folder = Path(name)
        with DemoBroker(folder, find_mosquitto()) as broker:
            yield folder, broker.port


@dataclass(frozen=True)
class Machine:
    """A kind of simulated machine, and what a node has of it: recordings, and a model made from them."""

    folder: Path
    channels: int
    rate_hz: float

    @classmethod
    def make(cls, folder: Path, channels: int, rate_hz: float) -> Self:
        """Record it well and broken, and search a closed-form model."""
        recordings = [
            Recording(
                samples=BearingSimulator(condition=condition, rate_hz=rate_hz, channels=channels, seed=seed).generate(
                    int(4 * rate_hz)
                ),
                rate_hz=rate_hz,
                label=condition,
                unit="g",
                group=f"{condition}-{seed}",
            )
            for condition in CLASSES
            for seed in range(2)
        ]
        stored = RecordingStore(folder / "recordings", 2**30)
        for recording in recordings:
            stored.add(recording)
        dataset = recordings_dataset(recordings, window=LENGTH, hop=LENGTH)
        budget = Budget(ram_bytes=16_384, search_seconds=60)
        search(dataset, task="fault", budget=budget, out=folder / "found", candidates=2, seed=0)
        return cls(folder, channels, rate_hz)

    def equip(self, data: Path, asset: str) -> None:
        """Put recordings and model where a node looks for its asset's."""
        place = data / "assets" / asset
        shutil.copytree(self.folder / "recordings", place / "recordings")
        [bundle] = (self.folder / "found").glob("model-*")
        ModelStore(place / "models", StreamSpec(self.channels, self.rate_hz, "g"), LENGTH, "fault").install(bundle)

    def section(self, asset: str, *, speed: float = 1.0, vibration_s: float = 1.0, source: str = "") -> str:
        """Return the ``[[asset]]`` table of one such machine, played at ``speed`` times its own pace."""
        seed = zlib.crc32(asset.encode()) % 1000
        return f"""
[[asset]]
id = "{asset}"
channels = {self.channels}
rate_hz = {self.rate_hz}
vibration_s = {vibration_s}
machine = {{ bearing = "6205-2RS", shaft_rpm = 1797.0, group = 2, support = "rigid" }}
window = {{ length = {LENGTH}, hop = {LENGTH} }}
alarm = {{ raise_after_s = 0.4, clear_after_s = 0.4 }}
source = {{ type = "simulated", condition = "normal", speed = {speed}, {source}seed = {seed} }}
"""


def node_section(name: str, data: Path, port: int, health_s: float = 1.0) -> str:
    """Return ``[node]`` and ``[mqtt]``."""
    return f"""
[node]
id = "{name}"
namespace = "load"
data_dir = '{data}'
health_interval_s = {health_s}
[mqtt]
host = "{HOST}"
port = {port}
"""


class Process:
    """A process that load is put on, and what it takes."""

    def __init__(self, command: list[str], log: Path) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("EDGETUNE_")}
        self._child = ChildProcess(command, log, environment)
        self._process = psutil.Process(self._child.pid)

    @classmethod
    def node(cls, config: Path) -> Self:
        """Start ``edgetune run``."""
        command = [sys.executable, "-m", "edgetune_node", "run", "--config", str(config)]
        return cls(command, config.with_suffix(".log"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    @property
    def rss_bytes(self) -> int:
        """Resident memory, without its children's."""
        return int(self._process.memory_info().rss)

    @property
    def cpu_s(self) -> float:
        """Processor time, without its children's."""
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def stop(self) -> int:
        """End it as a service manager would; give its exit code."""
        return self._child.stop()


class Listener:
    """A subscriber that hands every message to its owner, with the time of arrival, and publishes commands."""

    def __init__(self, port: int, heard: Callable[[str, bytes, float], None], *filters: tuple[str, int]) -> None:
        self._heard = heard
        subscribed = threading.Event()
        self._client = WholePacketClient(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.on_connect = lambda *_: self._client.subscribe(list(filters))
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.on_message = lambda _client, _data, message: heard(message.topic, message.payload, time.time())
        self._client.connect(HOST, port, 60)
        self._client.loop_start()
        wait_until(subscribed.is_set, "the listener has subscribed")

    def command(self, base: str, name: str, **fields: Any) -> None:
        """Publish a command to ``base``; returns when the broker has it."""
        self._client.publish(f"{base}/cmd/{name}", json.dumps(fields), qos=1).wait_for_publish(PATIENCE_S)

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()


def broker_process(port: int) -> psutil.Process:
    """Find the broker among this process' children."""
    for child in psutil.Process().children():
        if any(found.laddr.port == port and found.status == psutil.CONN_LISTEN for found in child.net_connections()):
            return child
    raise LoadError(f"no child of this process listens on port {port}")
