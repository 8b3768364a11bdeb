"""Two hundred nodes on one broker: all their machines break at once and heal, and ten are commanded meanwhile.

``python tests/load/fleet.py`` (part of ``make load``): 20 nodes a process, for memory's sake, each with one machine
(1 channel at 6.4 kHz), about three windows a second, indicators and health every 10 s. A SCADA is subscribed
to every `fault`, an operator to every answer. What must arrive is what the nodes' logs say was decided.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from rich.console import Console
from rich.table import Table
from rig import LENGTH, Listener, LoadError, Machine, Process, bench, broker_process, node_section, wait_until

RATE_HZ, HOP = 6400.0, 4 * LENGTH
A_PROCESS = 20
COMMANDED = 10
MIB = 2**20
HOST_PROGRAM = str(Path(__file__).with_name("fleet_host.py"))
Change: TypeAlias = tuple[str, str, bool]
"""Topic and event of a fault, and whether it was raised."""


class Plant:
    """What SCADA and operator have heard."""

    def __init__(self) -> None:
        self.faults: set[Change] = set()
        self.answers: dict[str, list[str]] = {}
        self.online: set[str] = set()
        self._lock = threading.Lock()

    def scada(self, topic: str, payload: bytes, _arrived_s: float) -> None:
        """Process a state of `fault`, or a node's status."""
        told = json.loads(payload)
        if topic.endswith("/status"):
            self.online.add(topic)
        elif told["event"] is not None:
            with self._lock:
                self.faults.add((topic, told["event"], told["active"]))

    def say(self, *, active: bool) -> int:
        """Count the machines of which a fault that was raised, or one that was cleared, has been heard."""
        with self._lock:
            return len({topic for topic, _, raised in self.faults if raised is active})

    def operator(self, _topic: str, payload: bytes, _arrived_s: float) -> None:
        """Process an answer."""
        told = json.loads(payload)
        with self._lock:
            self.answers.setdefault(told["id"], []).append(told["status"])


def decided(logs: list[Path]) -> set[Change]:
    """Read every fault change that the nodes' logs tell of."""
    found: set[Change] = set()
    for log in logs:
        for line in log.read_text(encoding="utf-8").splitlines():
            entry: dict[str, Any] = json.loads(line) if line.startswith("{") else {}
            if entry.get("event") == "fault":
                found.add((entry["topic"], entry["event_id"], entry["active"]))
    return found


@dataclass(frozen=True)
class Outcome:
    """How it went."""

    expected: set[Change]
    heard: int
    answers: dict[str, list[str]]
    raised_s: float
    broker_share: float
    broker_mib: float
    nodes_share: float
    nodes_mib: float

    @property
    def lost(self) -> int:
        """Fault changes that were decided and not heard."""
        return len(self.expected) - self.heard

    def count(self, status: str) -> int:
        """How many commands were answered so."""
        return sum(status in statuses for statuses in self.answers.values())

    @property
    def whole(self) -> bool:
        """Whether everything arrived."""
        return self.lost == 0 and self.count("accepted") == self.count("done") == COMMANDED


def configure(folder: Path, port: int, names: list[str], playing: Path) -> None:
    """Write the configuration of every node, and equip it."""
    machine = Machine.make(folder / "machine", 1, RATE_HZ)
    for name in names:
        data = folder / name
        machine.equip(data, "pump")
        section = machine.section("pump", vibration_s=10, source=f"block_s = 0.2, select_file = '{playing}', ")
        section = section.replace(f"hop = {LENGTH}", f"hop = {HOP}")
        (folder / f"{name}.toml").write_text(node_section(name, data, port, health_s=10) + section)


def measure(folder: Path, port: int, nodes: int, steady_s: float) -> Outcome:
    """Start them all, break and heal their machines, and reckon."""
    playing = folder / "playing.txt"
    names = [f"n{number}" for number in range(nodes)]
    configure(folder, port, names, playing)
    plant = Plant()
    scada = Listener(port, plant.scada, ("load/+/+/fault", 1), ("load/+/status", 1))
    operator = Listener(port, plant.operator, ("load/+/+/resp/+", 1))
    broker = broker_process(port)
    logs: list[Path] = []
    processes: list[Process] = []

    def cpu_s() -> tuple[float, float]:
        return sum(each.cpu_s for each in processes), sum(broker.cpu_times()[:2])

    with ExitStack() as running:
        for first in range(0, nodes, A_PROCESS):
            those = names[first : first + A_PROCESS]
            command = [sys.executable, HOST_PROGRAM, *(str(folder / f"{name}.toml") for name in those)]
            logs.append(folder / f"host-{first}.log")
            processes.append(running.enter_context(Process(command, logs[-1])))
            begun = first + len(those)
            wait_until(lambda begun=begun: len(plant.online) >= begun, "a process' nodes are online")  # type: ignore[misc]
        before, began_s = cpu_s(), time.monotonic()
        time.sleep(steady_s)
        shares = [(now - then) / (time.monotonic() - began_s) for now, then in zip(cpu_s(), before, strict=True)]
        playing.write_text("inner_severe", encoding="utf-8")
        broken_s = time.monotonic()
        for name in names[:COMMANDED]:
            operator.command(f"load/{name}/pump", "record", id=f"c-{name}", label="normal", seconds=2)
        wait_until(lambda: plant.say(active=True) == nodes, "every fault is heard")
        raised_s = time.monotonic() - broken_s
        wait_until(lambda: sum("done" in each for each in plant.answers.values()) >= COMMANDED, "every answer is heard")
        playing.write_text("normal", encoding="utf-8")
        wait_until(lambda: plant.say(active=False) == nodes, "the end of every fault is heard")
        with suppress(LoadError):  # the table tells what was lost
            wait_until(lambda: decided(logs) <= plant.faults, "all that was decided is heard", 30)
        expected = decided(logs)
        outcome = Outcome(
            expected=expected,
            heard=len(expected & plant.faults),
            answers=plant.answers,
            raised_s=raised_s,
            nodes_share=shares[0],
            broker_share=shares[1],
            broker_mib=broker.memory_info().rss / MIB,
            nodes_mib=sum(each.rss_bytes for each in processes) / MIB,
        )
    scada.close()
    operator.close()
    return outcome


def show(found: Outcome, nodes: int) -> None:
    """Print the table."""
    table = Table(title=f"{nodes} nodes on one mosquitto, {A_PROCESS} a process")
    table.add_column("what")
    table.add_column("figure", justify="right")
    for what, figure in (
        ("fault changes decided / heard / lost", f"{len(found.expected)} / {found.heard} / {found.lost}"),
        ("commands given / accepted / done", f"{COMMANDED} / {found.count('accepted')} / {found.count('done')}"),
        ("all machines break to last fault heard", f"{found.raised_s:.1f} s"),
        ("broker CPU, RSS", f"{100 * found.broker_share:.1f} %, {found.broker_mib:.1f} MiB"),
        ("nodes' CPU, all and each", f"{100 * found.nodes_share:.0f} %, {100 * found.nodes_share / nodes:.2f} %"),
        ("RSS a node in a shared process", f"{found.nodes_mib / nodes:.1f} MiB"),
    ):
        table.add_row(what, figure)
    Console(width=100).print(table)


def main() -> int:
    """Print the table; 0 where everything arrived."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=200)
    parser.add_argument("--steady-s", type=float, default=20.0)
    arguments = parser.parse_args()
    with bench() as (folder, port):
        outcome = measure(folder, port, arguments.nodes, arguments.steady_s)
    show(outcome, arguments.nodes)
    return 0 if outcome.whole else 1


if __name__ == "__main__":
    sys.exit(main())
