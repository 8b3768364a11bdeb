"""What a node costs: windows a second, latency to a subscriber, memory, start-up. Run by ``make bench``.

Prints one table; every throughput is also given as a ratio to the network alone in the same run.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from edgetune_nas.bundle.read import Bundle, load_bundle
from edgetune_nas.card import Budget
from edgetune_nas.search.run import search
from edgetune_node.config.mqtt import MqttSection
from edgetune_node.contract.messages import Classification
from edgetune_node.contract.topics import Topics
from edgetune_node.demo.broker import HOST, DemoBroker, find_mosquitto
from edgetune_node.operator.client import OperatorClient
from edgetune_node.storage.models import ModelStore
from edgetune_signal import (
    Block,
    Chunk,
    Recording,
    StreamSpec,
    Windower,
    encode_block,
    recordings_dataset,
)
from edgetune_signal.simulators.bearing import BearingSimulator

if TYPE_CHECKING:
    from collections.abc import Callable

RATE = 12_000.0
LENGTH = 512
CLASSES = ("normal", "inner_severe", "outer_severe")
TOPICS = Topics("bench", "node-1")
ASSET = "bearing"


def make_bundle(folder: Path, channels: int) -> Path:
    """Closed-form model of a simulated bearing, made as an operator's would be."""
    recordings = []
    for number, condition in enumerate(CLASSES):
        samples = BearingSimulator(condition=condition, rate_hz=RATE, channels=channels, seed=number).generate(
            int(3 * RATE)
        )
        recordings.append(Recording(samples=samples, rate_hz=RATE, label=condition, unit="g", group=condition))
    dataset = recordings_dataset(recordings, window=LENGTH, hop=LENGTH)
    result = search(
        dataset,
        task="fault",
        budget=Budget(ram_bytes=8192, search_seconds=20),
        out=folder,
        candidates=8,
    )
    return result.bundle


def throughput(bundle: Bundle, channels: int) -> tuple[float, float]:
    """Windows a second through ring, network and JSON, and through the network alone; one core."""
    random = np.random.default_rng(0)
    signal = random.normal(0, 1, (channels, LENGTH * 64)).astype(np.float32)
    windows = signal.reshape(channels, 64, LENGTH).swapaxes(0, 1)

    def network() -> int:
        for window in windows:
            bundle.classifier.probabilities(window[np.newaxis])
        return len(windows)

    windower = Windower(channels, LENGTH, LENGTH)
    count = iter(range(10**9))

    def everything() -> int:
        done = 0
        for start in range(0, signal.shape[1], 256):
            chunk = Chunk(signal[:, start : start + 256], start, RATE, next(count))
            for window in windower.push(chunk):
                probabilities = bundle.classifier.probabilities(window.samples[np.newaxis])[0]
                best = int(probabilities.argmax())
                Classification(
                    ts=datetime.now(UTC),
                    boot="bench",
                    seq=window.sequence,
                    window=window.sequence,
                    class_=bundle.card.classes[best],
                    confidence=float(probabilities[best]),
                    probabilities=dict(zip(bundle.card.classes, probabilities.tolist(), strict=True)),
                    model=bundle.card.id,
                    quality=list(window.quality),
                ).json_bytes()
                done += 1
        return done

    return _rate(everything), _rate(network)


def _rate(work: Callable[[], int], seconds: float = 2.0) -> float:
    work()
    rates = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        started = time.perf_counter()
        rates.append(work() / (time.perf_counter() - started))
    return statistics.median(rates)


class Live:
    """A real node on a real broker, fed with blocks in real time."""

    def __init__(self, folder: Path, bundle: Path, port: int) -> None:
        self._folder = folder
        self._port = port
        data = folder / "data"
        ModelStore(data / "assets" / ASSET / "models", StreamSpec(1, RATE, "g"), LENGTH, "fault").install(bundle)
        config = folder / "config.toml"
        config.write_text(
            f"""
[node]
id = "{TOPICS.node_id}"
namespace = "{TOPICS.namespace}"
data_dir = '{data}'
health_interval_s = 1
[mqtt]
host = "{HOST}"
port = {port}
[[asset]]
id = "{ASSET}"
rate_hz = {RATE}
window = {{ length = {LENGTH}, hop = {LENGTH} }}
""",
            encoding="utf-8",
        )
        self._command = [sys.executable, "-m", "edgetune_node", "run", "--config", str(config)]

    def measure(self, seconds: float) -> dict[str, Any]:
        """Start-up to the first classification, latency of each window, resident memory at the end."""
        client = OperatorClient(MqttSection(host=HOST, port=self._port), TOPICS, ASSET)
        client.subscribe(TOPICS.asset(ASSET, "classification"), TOPICS.node("health"))
        stop = threading.Event()
        sender = threading.Thread(target=self._send, args=(stop,))
        latencies: list[float] = []
        rss = 0
        with (self._folder / "node.log").open("wb") as log:
            started = time.time()
            node = subprocess.Popen(self._command, stdout=log, stderr=log)
            sender.start()
            first = None
            try:
                while first is None or time.time() - started < first + seconds:
                    for topic, payload in client.messages(0.5):
                        now = time.time()
                        if topic.endswith("/health"):
                            rss = max(rss, payload["rss_bytes"])
                            continue
                        first = first or now - started
                        latencies.append(now - datetime.fromisoformat(payload["ts"]).timestamp())
                        if now - started >= first + seconds:
                            break
            finally:
                stop.set()
                sender.join()
                node.terminate()
                node.wait(10)
                client.close()
        return {"first_s": first, "latencies_s": latencies[50:], "rss_bytes": rss}

    def _send(self, stop: threading.Event) -> None:
        """Send each block the moment its last sample is due, stamped so that the window's time is true."""
        client = OperatorClient(MqttSection(host=HOST, port=self._port), TOPICS, ASSET)
        simulator = BearingSimulator(condition="normal", rate_hz=RATE, channels=1, seed=9)
        n = LENGTH // 2
        period = n / RATE
        due = time.monotonic() + period
        sequence = 0
        while not stop.is_set():
            samples = simulator.generate(n)
            stop.wait(max(0.0, due - time.monotonic()))
            due += period
            first = time.time_ns() - round((n - 1) / RATE * 1e9)
            block = Block(samples, sequence, first, RATE, "g")
            client.publish(TOPICS.asset(ASSET, "samples"), encode_block(block), qos=0)
            sequence += 1
        client.close()


def main() -> None:
    """Print the table."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    table = Table(title="edgetune node")
    for name in ("what", "figure", "of the network alone"):
        table.add_column(name, justify="left" if name == "what" else "right")
    with tempfile.TemporaryDirectory(prefix="edgetune-bench-") as name:
        folder = Path(name)
        bundles = {channels: make_bundle(folder / f"out{channels}", channels) for channels in (1, 3)}
        for channels, path in bundles.items():
            everything, network = throughput(load_bundle(path), channels)
            table.add_row(
                f"ring + network + JSON, {channels} x {LENGTH}",
                f"{everything:,.0f} windows/s",
                f"{everything / network:.2f}",
            )
        with DemoBroker(folder, find_mosquitto()) as broker:
            live = Live(folder, bundles[1], broker.port).measure(20.0)
        milliseconds = np.array(live["latencies_s"]) * 1e3
        p50, p99 = np.percentile(milliseconds, (50, 99))
        table.add_row("last sample to subscriber, p50", f"{p50:.1f} ms", "")
        table.add_row(f"last sample to subscriber, p99 ({len(milliseconds)} windows)", f"{p99:.1f} ms", "")
        table.add_row("start-up to first classification", f"{live['first_s']:.1f} s", "")
        table.add_row("resident memory while monitoring", f"{live['rss_bytes'] / 2**20:.0f} MiB", "")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
