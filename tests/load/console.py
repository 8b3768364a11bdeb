"""What the console costs with fifty assets that speak once a second: the server, and the browser that shows them."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from brokers import Broker, Recorder
from chromium import Browser
from console_page import ConsoleServer, example

if TYPE_CHECKING:
    from collections.abc import Iterable

NODES, ASSETS = 5, 10
SETTLE_S, SECONDS = 5, 30


def spent(processes: Iterable[psutil.Process]) -> float:
    """Seconds of processor that processes and their children have taken."""
    times = [each.cpu_times() for process in processes for each in (process, *process.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def announce(plant: Recorder) -> None:
    """Publish what is retained of five nodes with ten machines each."""
    info = example("info")[1]
    info["assets"] = [{**info["assets"][0], "id": f"machine{number}"} for number in range(ASSETS)]
    for node in range(NODES):
        plant.publish(f"plant/node{node}/status", json.dumps(example("status")[1]).encode(), retain=True)
        plant.publish(f"plant/node{node}/info", json.dumps(info).encode(), retain=True)


def speak(plant: Recorder, seconds: float) -> None:
    """Publish the indicators and the class of every machine once a second."""
    said = {leaf: json.dumps(example(leaf)[1]).encode() for leaf in ("vibration", "classification")}
    until = time.monotonic() + seconds
    while (began := time.monotonic()) < until:
        for node in range(NODES):
            for number in range(ASSETS):
                for leaf, payload in said.items():
                    plant.publish(f"plant/node{node}/machine{number}/{leaf}", payload, qos=0)
        time.sleep(max(0.0, began + 1 - time.monotonic()))


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker = Broker(folder / "broker").start()
        plant = Recorder(broker)
        announce(plant)
        try:
            with (
                ConsoleServer(folder, broker, "--namespace", "plant", "--shared") as server,
                Browser(folder / "browser") as browser,
            ):
                browser.open(server.url)
                browser.wait(f"document.querySelectorAll('.tile').length === {NODES * ASSETS}")
                speak(plant, SETTLE_S)
                own, shown = psutil.Process(server.pid), [psutil.Process(browser.pid)]
                before = spent([own]), spent(shown)
                speak(plant, SECONDS)
                cpu = [
                    100 * (now - then) / SECONDS for now, then in zip((spent([own]), spent(shown)), before, strict=True)
                ]
                sys.stdout.write(f"server: {own.memory_info().rss / 2**20:.1f} MiB, {cpu[0]:.1f} % of a core\n")
                sys.stdout.write(f"browser: {cpu[1]:.1f} % of a core\n")
        finally:
            plant.close()
            broker.stop()


if __name__ == "__main__":
    main()
