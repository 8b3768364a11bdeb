"""One node under load: a machine played at many times its own pace, until windows drop; then an hour of signal.

``python tests/load/one_node.py`` (part of ``make load``): 3 channels at 25.6 kHz, every window classified and told,
indicators and defects once a second of signal where ``vibration_s`` allows it (0.1 s), health every second.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rig import LENGTH, Listener, Machine, Process, bench, node_section, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHANNELS, RATE_HZ = 3, 25_600.0
BLOCK = 512
"""Samples of a chunk of a simulated machine, 20 ms."""
SPEEDS = (1, 2, 4, 8, 12, 16, 24, 32)
SHORTEST_VIBRATION_S = 0.1
MIB = 2**20
METRICS_PORT = 19_464
SYSTEMS = {
    "none": "",
    "Sparkplug": '[sparkplug]\ngroup = "load"\n',
    "metrics": f'[metrics]\nlisten = "127.0.0.1:{METRICS_PORT}"\n[home_assistant]\nprefix = "homeassistant"\n',
}
"""Settings of what else a node may have to serve; metrics are scraped once a second, and Home Assistant is on."""


@dataclass
class Heard:
    """What a subscriber has got of one asset."""

    health: list[dict[str, Any]] = field(default_factory=list)
    vibrations: int = 0
    windows: list[tuple[int, float, float]] = field(default_factory=list)
    """Number of the window, its time stamp and its arrival, both in UTC seconds."""

    def take(self, topic: str, payload: bytes, arrived_s: float) -> None:
        """Count a message."""
        match topic.rpartition("/")[2]:
            case "health":
                self.health.append(json.loads(payload))
            case "vibration":
                self.vibrations += 1
            case "classification":
                told = json.loads(payload)
                self.windows.append((told["window"], datetime.fromisoformat(told["ts"]).timestamp(), arrived_s))

    def latencies_s(self, speed: float) -> np.ndarray:
        """Seconds from when a window's last sample was due to its arrival at the subscriber.

        Time stamps are those of the signal; at ``speed`` times its pace it was due so many times sooner after the
        first sample, whose time the first window tells.
        """
        windows = np.array(self.windows)
        number, stamp_s, arrived_s = windows.T
        began_s = stamp_s[0] - ((number[0] + 1) * LENGTH - 1) / RATE_HZ
        return np.asarray(arrived_s - (began_s + (stamp_s - began_s) / speed))


@dataclass(frozen=True)
class Outcome:
    """How one run went."""

    speed: float
    system: str
    signal_s: float
    pace: float
    windows: int
    lost: int
    unheard: int
    vibrations: int
    cpu_share: float
    rss_mib: tuple[float, float, float]
    latency_ms: tuple[float, float]

    @property
    def kept(self) -> bool:
        """Whether every window was classified, and the node kept pace."""
        return self.lost == 0 and self.pace > 0.97 * self.speed


@contextmanager
def scraping() -> Iterator[None]:
    """Read the metrics once a second, as Prometheus does at most."""
    over = threading.Event()

    def scrape() -> None:
        while not over.wait(1.0):
            with suppress(OSError, HTTPException):  # it has not begun yet, or has ended
                connection = HTTPConnection("127.0.0.1", METRICS_PORT, timeout=5)
                connection.request("GET", "/metrics")
                connection.getresponse().read()
                connection.close()

    thread = threading.Thread(target=scrape, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def play(folder: Path, machine: Machine, port: int, *, speed: float, signal_s: float, system: str = "none") -> Outcome:
    """Run a node until ``signal_s`` seconds of signal were heard, and count."""
    name = f"at-{speed:g}-{time.monotonic_ns()}"
    data = folder / name
    machine.equip(data, "pump")
    vibration_s = max(SHORTEST_VIBRATION_S, 1 / speed)
    config = folder / f"{name}.toml"
    more, scraped = SYSTEMS[system], scraping if system == "metrics" else nullcontext
    config.write_text(
        node_section(name, data, port) + more + machine.section("pump", speed=speed, vibration_s=vibration_s)
    )
    heard = Heard()
    listener = Listener(port, heard.take, (f"load/{name}/health", 0), (f"load/{name}/pump/+", 0))
    with Process.node(config) as node, scraped():
        wait_until(lambda: len(heard.windows) > 10 * speed, "the node classifies")
        rss, cpu_s, began_s = [node.rss_bytes], node.cpu_s, time.monotonic()
        first = heard.health[-1]["assets"][0]["samples"]

        def signal() -> float:
            return float((heard.health[-1]["assets"][0]["samples"] - first) / RATE_HZ)

        wait_until(lambda: signal() >= signal_s / 2, "half of it was heard", 60 + 10 * signal_s / speed)
        rss.append(node.rss_bytes)
        wait_until(lambda: signal() >= signal_s, "all of it was heard", 60 + 10 * signal_s / speed)
        took_s = time.monotonic() - began_s
        cpu_share = (node.cpu_s - cpu_s) / took_s
        rss.append(node.rss_bytes)
        last = heard.health[-1]
    listener.close()
    [asset] = last["assets"]
    lost = (asset["samples"] + BLOCK * asset["dropped_chunks"]) // LENGTH - asset["windows"]
    numbers = [number for number, _, _ in heard.windows]
    latencies_ms = heard.latencies_s(speed)[len(numbers) // 20 :] * 1e3
    p50, p99 = np.percentile(latencies_ms, (50, 99))
    return Outcome(
        speed=speed,
        system=system,
        signal_s=signal(),
        pace=signal() / took_s,
        windows=asset["windows"],
        lost=lost,
        unheard=numbers[-1] - numbers[0] + 1 - len(numbers),
        vibrations=heard.vibrations,
        cpu_share=cpu_share,
        rss_mib=(rss[0] / MIB, rss[1] / MIB, rss[2] / MIB),
        latency_ms=(float(p50), float(p99)),
    )


def show(outcomes: list[Outcome]) -> None:
    """Print the table."""
    table = Table(title=f"one node, {CHANNELS} channels at {RATE_HZ / 1000:g} kHz, windows of {LENGTH}")
    for column in (
        "x real time",
        "also on",
        "signal s",
        "kept pace",
        "windows",
        "dropped",
        "unheard",
        "vibrations",
        "CPU %",
        "RSS MiB start/middle/end",
        "latency ms p50/p99",
    ):
        table.add_column(column, justify="right")
    for each in outcomes:
        table.add_row(
            f"{each.speed:g}",
            each.system,
            f"{each.signal_s:.0f}",
            f"{each.pace:.1f}",
            f"{each.windows:,}",
            str(each.lost),
            str(each.unheard),
            str(each.vibrations),
            f"{100 * each.cpu_share:.0f}",
            "/".join(f"{value:.1f}" for value in each.rss_mib),
            "/".join(f"{value:.1f}" for value in each.latency_ms),
        )
    Console(width=150).print(table)


def main() -> None:
    """Raise the pace until windows drop, then play the long run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hour-s", type=float, default=3600.0, help="signal of the long run; 0 leaves it out")
    parser.add_argument("--step-s", type=float, default=10.0, help="seconds that each pace is tried for")
    parser.add_argument("--speeds", type=float, nargs="*", default=SPEEDS)
    parser.add_argument("--pace", type=float, help="of the long run; else three quarters of the last that was kept")
    arguments = parser.parse_args()
    outcomes = []
    with bench() as (folder, port):
        machine = Machine.make(folder / "machine", CHANNELS, RATE_HZ)
        for speed in arguments.speeds:
            outcome = play(folder, machine, port, speed=speed, signal_s=speed * arguments.step_s)
            outcomes.append(outcome)
            show([outcome])
            if not outcome.kept:
                break
        outcomes += [
            play(folder, machine, port, speed=1, signal_s=arguments.step_s, system=system)
            for system in ("Sparkplug", "metrics")
        ]
        if arguments.hour_s:
            steady = arguments.pace or 0.75 * max((each.speed for each in outcomes if each.kept), default=1.0)
            outcomes.append(play(folder, machine, port, speed=steady, signal_s=arguments.hour_s))
    show(outcomes)


if __name__ == "__main__":
    main()
