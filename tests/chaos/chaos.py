"""Break a plant on purpose, again and again, and count what its node said against what was heard of it.

``make chaos`` runs all of it, ``python tests/chaos/chaos.py --quick`` the part that ``make test`` runs. The same seed
makes the same faults after the same times; what a node is doing at that microsecond is the machine's affair.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hardships import FAKETIME, Disk, Memory, Sensor, full_disk, named, no_memory, other_time, unplugged, waiting
from ledger import Account, Said, account, logged_faults, outbox_faults
from plant import Broker, Machine, Node, PlantError, Watcher, Wire, wait_until
from rich.console import Console
from rich.table import Table

from edgetune_nas.bundle import load_bundle
from edgetune_nas.card import Budget
from edgetune_nas.search import search
from edgetune_node.demo.broker import find_mosquitto
from edgetune_node.store import ModelStore
from edgetune_signal import Recording, RecordingStore, StreamSpec, recordings_dataset
from edgetune_signal.simulated_bearing import BearingSimulator

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

SHORT = {"search_seconds": 5}
RATE_HZ = 12_000.0
WINDOW = 512
CONDITIONS = ("normal", "inner_severe")
CONFIG = """
[node]
id = "n1"
data_dir = '{data}'
health_interval_s = 1
disk_reserve_bytes = 1048576
[mqtt]
port = {port}
keepalive_s = 5
replay_per_second = 500
[[asset]]
id = "bearing"
rate_hz = 12000
classification_hz = 10
alarm = {{ heartbeat_s = 3600 }}
source = {{ type = "simulated", condition = "normal", speed = 4, select_file = '{playing}' }}
[[asset]]
id = "press"
rate_hz = 12000
source = {{ type = "simulated", condition = "normal" }}
[[asset]]
id = "pump"
rate_hz = 2560
source = {{ type = "udp", host = "127.0.0.1", port = {sensor} }}
"""
FAULT = "edgetune/n1/bearing/fault"


@dataclass(frozen=True, slots=True)
class Plan:
    """How often each fault is tried."""

    kills: dict[str, int]
    restarts: int
    freezes_s: tuple[float, ...]
    cuts: int
    full_s: tuple[float, ...]
    unplugged: int
    starved_mib: tuple[int, ...]
    jumps_s: tuple[int, ...]


FULL = Plan(
    kills={"monitoring": 20, "recording": 10, "collecting": 10, "searching": 10, "deploying": 10},
    restarts=10,
    freezes_s=(2, 5, 10, 60),
    cuts=30,
    full_s=(0, 5, 15, 30),
    unplugged=5,
    starved_mib=(48, 64, 80),
    jumps_s=(3600, -3600),
)
QUICK = Plan(
    kills={"monitoring": 1, "recording": 1, "collecting": 1, "searching": 1, "deploying": 1},
    restarts=1,
    freezes_s=(2,),
    cuts=7,
    full_s=(1,),
    unplugged=1,
    starved_mib=(),
    jumps_s=(),
)


def prepare(folder: Path) -> None:
    """Put recordings and a model where the node has them, and two models where it may be told to take them."""
    recordings = [
        Recording(
            samples=BearingSimulator(condition=condition, rate_hz=RATE_HZ, seed=seed).generate(int(4 * RATE_HZ)),
            rate_hz=RATE_HZ,
            label=condition,
            unit="g",
            group=f"{condition}-{seed}",
        )
        for condition in CONDITIONS
        for seed in range(2)
    ]
    data = folder / "data"
    for asset in ("bearing", "press"):
        kept = RecordingStore(data / "assets" / asset / "recordings", 2**28)
        for recording in recordings:
            kept.add(recording)
    dataset = recordings_dataset(recordings, window=WINDOW, hop=WINDOW)
    for number in range(2):
        budget = Budget(ram_bytes=4096, search_seconds=20)
        found = search(dataset, task="fault", budget=budget, out=folder / f"out-{number}", candidates=2, seed=number)
        shutil.copytree(found.bundle, data / "incoming" / f"model-{number}")
    models = ModelStore(data / "assets" / "bearing" / "models", StreamSpec(1, RATE_HZ, "g"), WINDOW, "fault")
    models.install(data / "incoming" / "model-0")


class Chaos:
    """One plant from its start to the reckoning."""

    def __init__(self, folder: Path, mosquitto: str, seed: int, disk: Disk) -> None:
        self._folder = folder
        self._data = folder / "data"
        self._random = random.Random(seed)
        self._broker = Broker(mosquitto, folder)
        self._broker.start()
        self._wire = Wire(self._broker.port)
        self._machine = Machine(folder / "playing.txt", CONDITIONS, seed)
        self._disk = disk
        self._sensor = Sensor()
        self.memory = Memory()
        config = folder / "config.toml"
        places = {"data": self._data, "playing": folder / "playing.txt"}
        config.write_text(CONFIG.format(port=self._wire.port, sensor=self._sensor.port, **places))
        self._log = folder / "node.log"
        self._node = Node(config, self._log)
        self._watcher = Watcher(self._broker.port, "edgetune/n1/#", name="scada")
        self._read_to = 0
        self._expected: dict[Said, None] = {}
        self._commands = 0
        self.defects: list[str] = []
        self.rows: list[tuple[str, int, Account, float]] = []

    def begin(self) -> None:
        """Start the node, and see that it hears the machine break and heal."""
        self._node.start()
        wait_until(lambda: self._watcher.boots, "the node classifies")
        self._machine.live()
        wait_until(lambda: any("raised" in said.what for said in self._watcher.said), "a fault is raised")
        self._settle()

    def kill(self, phase: str) -> float:
        """Kill the node at a random moment of a phase, and start it; give the seconds until it classifies again."""
        self._watcher.phases.clear()
        command = self._command(phase)
        if phase in ("recording", "collecting", "searching"):
            seen = "recording" if phase == "collecting" else phase
            wait_until(lambda: seen in self._watcher.phases or command in self._watcher.said, f"phase {seen}")
        self._wait(0.4 if phase == "deploying" else 2.0)
        self._node.kill()
        self._watcher.newest.clear()
        self._read_log()
        for said in outbox_faults(self._data / "outbox.sqlite", self._folder):
            self._expected.setdefault(said)
        load_bundle(self._data / "assets" / "bearing" / "models" / "current")  # raises where it is not whole
        known = set(self._watcher.boots)
        began_s = time.monotonic()
        self._node.start()
        wait_until(lambda: set(self._watcher.boots) - known, "the node classifies after a kill")
        took_s = time.monotonic() - began_s
        if phase == "collecting":
            wait_until(lambda: waiting(self._watcher, "press") or command in self._watcher.said, "the take waits")
            if waiting(self._watcher, "press"):
                self._give("press", "continue")
        if command is not None:
            wait_until(lambda: command in self._watcher.said, f"the fate of {command.name} is told")
        return took_s

    def restart(self) -> float:
        """Stop the broker and start it again; give the seconds until it has a classification."""
        self._wait(1.0)
        self._broker.stop()
        self._wait(3.0)
        self._broker.start()
        return self._until_heard(time.monotonic())

    def freeze(self, seconds: float) -> float:
        """Let the broker hold every connection and answer nothing."""
        self._wait(1.0)
        self._broker.send(signal.SIGSTOP)
        time.sleep(seconds)
        self._broker.send(signal.SIGCONT)
        return self._until_heard(time.monotonic())

    def cut(self) -> float:
        """Break the connection after a random byte of what the node sends."""
        cuts, connections = self._wire.cuts, self._wire.connections
        self._wire.cut_after(self._random.randrange(2000))
        wait_until(lambda: self._wire.cuts > cuts, "the wire is cut")
        began_s = time.monotonic()
        wait_until(lambda: self._wire.connections > connections, "the node connects again")
        self._until_heard(time.monotonic())
        if named(self._watcher, "another client"):
            self.defects.append("a cut was taken for another client of the same id")
        return time.monotonic() - began_s

    def fill(self, seconds: float) -> float:
        """Leave the node no room on its disk for a while."""
        self._wait(1.0)
        return full_disk(self._disk, self._watcher, seconds)

    def unplug(self) -> float:
        """Take an asset's sensor away until that is told."""
        self._wait(1.0)
        return unplugged(self._sensor, self._watcher)

    def starve(self, spare_mib: int) -> float:
        """Let a search run out of memory."""
        return no_memory(self.memory, self._node, self._watcher, lambda: self._command("searching"), spare_mib * 2**20)

    def jump(self, by_s: int) -> float:
        """Let the time of day jump, and back, under a node that was started for it."""
        self._node.stop()
        took_s = other_time(self._node, self._watcher, self._folder, by_s)
        self._node.stop()
        known = set(self._watcher.boots)
        self._node.start()
        wait_until(lambda: set(self._watcher.boots) - known, "the node classifies")
        return took_s

    def end(self) -> None:
        """Stop the node, and look at what is left behind."""
        code = self._node.stop()
        if code != 0:
            self.defects.append(f"the node was told to stop and ended with exit code {code}")
        self._read_log()
        everything = account(self._expected, self._watcher.said)
        self.defects += [f"never decided, but heard: {said}" for said in everything.invented]
        self.defects += [f"out of order: {said}" for said in everything.misplaced]
        self.defects += self._watcher.defects
        late = Watcher(self._broker.port, FAULT, name="late")
        wait_until(lambda: late.said, "the fault's state is retained")
        newest = [said for said in self._expected if said.topic == FAULT][-1]
        if late.said[0] != newest:
            self.defects.append(f"retained is {late.said[0]}, decided last was {newest}")
        late.close()
        self.defects += [f"left behind: {path}" for path in leftovers(self._data)]
        self.defects += [f"in the log: {line}" for line in self._log.read_text().splitlines() if "Traceback" in line]

    def close(self) -> None:
        """End every process."""
        self._machine.close()
        self._sensor.close()
        self._node.close()
        self.memory.close()
        self._watcher.close()
        self._broker.stop()

    def row(self, name: str, tries: list[Callable[[], float]]) -> None:
        """Try a fault while the machine breaks and heals, wait until nothing is under way, and reckon."""
        before, heard = len(self._expected), len(self._watcher.said)
        self._machine.live()
        wait_until(lambda: any("raised" in said.what for said in self._watcher.said[heard:]), "a fault is raised")
        recoveries_s = [each() for each in tries]
        self._settle()
        since = list(self._expected)[before:]
        found = account(since, self._watcher.said)
        self.rows.append((name, len(recoveries_s), found, max(recoveries_s)))
        self.defects += [f"{name}: lost {said}" for said in found.lost]
        sys.stderr.write(f"{name}: {len(recoveries_s)} times, {found.expected} expected, {len(found.lost)} lost\n")

    def _command(self, phase: str) -> Said | None:
        """Give the command that brings the node into a phase; give the answer to expect."""
        match phase:
            case "recording":
                return self._give("press", "record", label="normal", seconds=1)
            case "collecting":
                take = {"classes": ["normal"], "takes": 1, "seconds_per_take": 2, "pace": "countdown", "countdown_s": 1}
                return self._give("press", "recalibrate", source="live", deploy="never", budget=SHORT, **take)
            case "searching":
                return self._give("bearing", "recalibrate", source="stored", deploy="always", budget=SHORT)
            case "deploying":
                return self._give("bearing", "deploy", model=f"model-{self._commands % 2}")
        return None

    def _give(self, asset: str, name: str, **fields: Any) -> Said:
        """Give a command; give the answer to expect."""
        self._commands += 1
        command_id = f"c{self._commands}"
        said = Said(f"edgetune/n1/{asset}/resp/{name}", command_id, "answered")
        self._expected[said] = None
        self._watcher.publish(f"edgetune/n1/{asset}/cmd/{name}", {"id": command_id, **fields})
        return said

    def _wait(self, at_most_s: float) -> None:
        time.sleep(self._random.uniform(0, at_most_s))

    def _until_heard(self, since_s: float) -> float:
        wait_until(lambda: self._watcher.classified_s > since_s, "the node is heard again")
        return self._watcher.classified_s - since_s

    def _read_log(self) -> None:
        found, self._read_to = logged_faults(self._log, self._read_to)
        for said in found:
            self._expected.setdefault(said)

    def _settle(self) -> None:
        """Let the machine be well, and wait until all that was expected is heard; what is not by then is lost."""
        self._machine.rest()

        def settled() -> bool:
            self._read_log()
            newest = next((said for said in reversed(self._expected) if said.topic == FAULT), None)
            well = newest is not None and newest.what.endswith("cleared")
            return well and set(self._expected) <= set(self._watcher.said)

        try:
            wait_until(settled, "everything that was expected has been heard")
        except PlantError as error:
            self.defects.append(str(error))


def leftovers(data: Path) -> list[Path]:
    """Files that only a write under way may leave."""
    return [each for each in data.rglob("*") if each.name.startswith((".writing", ".tmp")) or each.suffix == ".part"]


def show(chaos: Chaos, seed: int) -> None:
    """Print the table, and whatever is wrong."""
    table = Table(title=f"chaos, seed {seed}")
    for name in ("fault", "tried", "expected", "delivered", "duplicated", "lost", "recovery s, worst"):
        table.add_column(name, justify="left" if name == "fault" else "right")
    for name, tried, found, recovery_s in chaos.rows:
        counts = (tried, found.expected, found.delivered, found.duplicated, len(found.lost))
        table.add_row(name, *map(str, counts), f"{recovery_s:.1f}")
    console = Console(width=110)
    console.print(table)
    for defect in chaos.defects:
        console.print(defect, markup=False, highlight=False)


def main() -> int:
    """Run it; 0 where nothing was lost, invented, out of order or left behind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="each fault once or twice")
    arguments = parser.parse_args()
    mosquitto = find_mosquitto()
    if mosquitto is None:
        parser.error("mosquitto is not installed: apt install mosquitto")
    plan = QUICK if arguments.quick else FULL
    with tempfile.TemporaryDirectory(prefix="edgetune-chaos-") as name:
        folder = Path(name)
        disk = Disk(folder / "data")
        prepare(folder)
        chaos = Chaos(folder, mosquitto, arguments.seed, disk)
        try:
            chaos.begin()
            for phase, count in plan.kills.items():
                chaos.row(f"kill -9 while {phase}", [partial(chaos.kill, phase)] * count)
            chaos.row("broker restarted", [chaos.restart] * plan.restarts)
            chaos.row("broker frozen", [partial(chaos.freeze, seconds) for seconds in plan.freezes_s])
            chaos.row("cut mid-message", [chaos.cut] * plan.cuts)
            chaos.row("sensor unplugged", [chaos.unplug] * plan.unplugged)
            if disk.there:
                chaos.row("disk full", [partial(chaos.fill, seconds) for seconds in plan.full_s])
            if chaos.memory.there and plan.starved_mib:
                chaos.row("no memory to search", [partial(chaos.starve, spare) for spare in plan.starved_mib])
            if FAKETIME is not None and plan.jumps_s:
                chaos.row("clock jumped an hour", [partial(chaos.jump, by_s) for by_s in plan.jumps_s])
            chaos.end()
        except PlantError as error:
            chaos.defects.append(f"{error}; the node's log ends with\n{chr(10).join(log_tail(folder))}")
        finally:
            chaos.close()
            disk.close()
    show(chaos, arguments.seed)
    return 1 if chaos.defects else 0


def log_tail(folder: Path) -> list[str]:
    return (folder / "node.log").read_text().splitlines()[-20:]


if __name__ == "__main__":
    sys.exit(main())
