"""One node for a line of machines: twenty assets, two of them recalibrating, then ever more until windows drop.

``python tests/load/gateway.py`` (part of ``make load``): each asset has 3 channels at 6.4 kHz, a model, indicators and
defects every second. The searches are child processes, counted apart.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil
from rich.console import Console
from rich.table import Table
from rig import LENGTH, Listener, LoadError, Machine, Process, bench, node_section, wait_until

if TYPE_CHECKING:
    from pathlib import Path

CHANNELS, RATE_HZ = 3, 6400.0
BLOCK = 128
"""Samples of a chunk of a simulated machine, 20 ms."""
SEARCHING = ("pump0", "pump1")
MIB = 2**20


class Heard:
    """What a subscriber has got of a gateway."""

    def __init__(self) -> None:
        self.health: dict[str, Any] = {}
        self.answers: dict[str, list[str]] = {}
        self.windows = 0
        self._lock = threading.Lock()

    def take(self, topic: str, payload: bytes, _arrived_s: float) -> None:
        """Count a message."""
        _, _, name, *rest = topic.split("/")
        if name == "health":
            self.health = json.loads(payload)
        elif rest[0] == "classification":
            self.windows += 1
        elif rest[0] == "resp":
            with self._lock:
                self.answers.setdefault(name, []).append(json.loads(payload)["status"])

    def ended(self, asset: str) -> bool:
        """Whether an asset's job has had its last answer."""
        return bool({"done", "failed", "rejected"} & set(self.answers.get(asset, ())))


@dataclass(frozen=True)
class Outcome:
    """How a gateway of some size did."""

    assets: int
    searched: str
    windows: int
    lost: int
    behind: int
    unheard: int
    cpu_share: float
    cpu_alone: float
    rss_mib: float
    rss_end_mib: float
    queue: int

    @property
    def kept(self) -> bool:
        """Whether every window of every asset was classified, and no source was too late to be read in time."""
        return self.lost == 0 and self.behind == 0


def run(folder: Path, machine: Machine, port: int, *, assets: int, search_s: float, watch_s: float) -> Outcome:
    """Let a gateway monitor alone for a while, then while two of its assets search; count over all of it."""
    name = f"line-{assets}"
    data = folder / name
    names = [f"pump{number}" for number in range(assets)]
    for asset in names:
        machine.equip(data, asset)
    config = folder / f"{name}.toml"
    config.write_text(node_section(name, data, port) + "".join(machine.section(asset) for asset in names))
    heard = Heard()
    base = f"load/{name}"
    filters = (f"{base}/health", 0), (f"{base}/+/classification", 0), (f"{base}/+/resp/+", 1)
    listener = Listener(port, heard.take, *filters)
    with Process.node(config) as node:
        wait_until(lambda: heard.windows > 2 * assets, "the gateway classifies")
        cpu_s, began_s = node.cpu_s, time.monotonic()
        rss = node.rss_bytes
        wait_until(lambda: time.monotonic() - began_s > watch_s, "it has monitored alone")
        cpu_alone = (node.cpu_s - cpu_s) / (time.monotonic() - began_s)
        cpu_s, began_s = node.cpu_s, time.monotonic()
        for asset in SEARCHING:
            budget = {"search_seconds": search_s}
            listener.command(f"{base}/{asset}", "recalibrate", id="r1", source="stored", deploy="always", budget=budget)
        deepest = 0
        try:
            while not all(heard.ended(asset) for asset in SEARCHING):
                if time.monotonic() - began_s > 10 * search_s + 300:
                    raise LoadError(f"the searches have not ended: {heard.answers}")
                deepest = max(deepest, heard.health["queue_depth"])
                time.sleep(0.1)
        except psutil.NoSuchProcess as error:
            raise LoadError("the gateway has died") from error
        cpu_share = (node.cpu_s - cpu_s) / (time.monotonic() - began_s)
        newest = heard.health["uptime_s"]
        wait_until(lambda: heard.health["uptime_s"] > newest + 1, "a last message on health")
        rss_end, last = node.rss_bytes, heard.health
    listener.close()
    figures = last["assets"]
    came = (each["samples"] + BLOCK * each["dropped_chunks"] for each in figures)
    lost = sum(samples // LENGTH for samples in came) - sum(each["windows"] for each in figures)
    windows = sum(each["windows"] for each in figures)
    return Outcome(
        assets=assets,
        searched=" ".join(heard.answers[asset][-1] for asset in SEARCHING),
        windows=windows,
        lost=lost,
        behind=sum(each["gaps"] > each["dropped_chunks"] for each in figures),
        unheard=max(0, windows - heard.windows - 2 * assets),  # health is older than what is under way
        cpu_share=cpu_share,
        cpu_alone=cpu_alone,
        rss_mib=rss / MIB,
        rss_end_mib=rss_end / MIB,
        queue=deepest,
    )


def show(outcomes: list[Outcome]) -> None:
    """Print the table."""
    table = Table(title=f"one node, assets of {CHANNELS} channels at {RATE_HZ / 1000:g} kHz, two of them recalibrating")
    for column in (
        "assets",
        "searches",
        "windows",
        "dropped",
        "behind",
        "unheard",
        "CPU % alone",
        "CPU % searching",
        "CPU % an asset",
        "RSS MiB start/end",
        "MiB an asset",
        "deepest queue",
    ):
        table.add_column(column, justify="right")
    one = outcomes[0]
    for each in outcomes:
        more = each.assets - one.assets
        table.add_row(
            str(each.assets),
            each.searched,
            f"{each.windows:,}",
            str(each.lost),
            str(each.behind),
            str(each.unheard),
            f"{100 * each.cpu_alone:.0f}",
            f"{100 * each.cpu_share:.0f}",
            f"{100 * each.cpu_alone / each.assets:.1f}",
            f"{each.rss_mib:.0f}/{each.rss_end_mib:.0f}",
            f"{(each.rss_end_mib - one.rss_end_mib) / more:.1f}" if more else "",
            str(each.queue),
        )
    Console(width=160).print(table)


def main() -> None:
    """Try larger and larger gateways until windows drop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=int, nargs="+", default=(2, 20, 40, 60, 80, 100))
    parser.add_argument("--search-s", type=float, default=20.0)
    parser.add_argument("--watch-s", type=float, default=10.0)
    arguments = parser.parse_args()
    outcomes: list[Outcome] = []
    with bench() as (folder, port):
        machine = Machine.make(folder / "machine", CHANNELS, RATE_HZ)
        for assets in arguments.assets:
            outcomes.append(
                run(folder, machine, port, assets=assets, search_s=arguments.search_s, watch_s=arguments.watch_s)
            )
            show(outcomes)
            if not outcomes[-1].kept:
                break


if __name__ == "__main__":
    main()
