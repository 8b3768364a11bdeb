"""Break a plant on purpose, again and again, and count what its node said against what was heard of it.

``make chaos`` runs all of it, ``python tests/chaos/chaos.py --quick`` the part that ``make test`` runs. The same seed
makes the same faults after the same times; what a node is doing at that microsecond is the machine's affair.
"""

from __future__ import annotations

import argparse
import random
import resource
import signal
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import folders
import sinks
import starts
from cable import Cable
from clocks import clock_rows
from floods import floods
from hardships import (
    FAKETIME,
    POISON_TOPICS,
    Disk,
    Memory,
    Sensor,
    full_disk,
    named,
    no_memory,
    no_network,
    other_time,
    poison,
    twin,
    unplugged,
    waiting,
)
from ledger import Account, Said, account, logged_faults, outbox_faults
from plans import FULL, QUICK, Plan
from plant import Broker, Machine, Node, PlantError, Watcher, Wire, wait_until
from printed import show
from stage import CONDITIONS, CONFIG, prepare

from edgetune_nas.bundle.read import load_bundle
from edgetune_node.demo.broker import find_mosquitto

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

DATA = "disk/data"
"""The folder within that of the run; its parent is a file system of its own, so it can be removed and renamed."""
SHORT = {"search_seconds": 5}
FAULT, STATUS = "edgetune/n1/bearing/fault", "edgetune/n1/status"


class Chaos:
    """One plant from its start to the reckoning."""

    def __init__(self, folder: Path, mosquitto: str, seed: int, disk: Disk) -> None:
        self._folder = folder
        self._data = folder / DATA
        self._random = random.Random(seed)
        self._broker = Broker(mosquitto, folder)
        self._broker.start()
        self.cable = Cable()
        self._wire = Wire(self.cable.listen(), self._broker.port)
        self._machine = Machine(folder / "playing.txt", CONDITIONS, seed)
        self._disk = disk
        self._sensor = Sensor()
        self.memory = Memory()
        config = folder / "config.toml"
        places = {"data": self._data, "playing": folder / "playing.txt"}
        config.write_text(CONFIG.format(host=self.cable.host, port=self._wire.port, sensor=self._sensor.port, **places))
        self._log = folder / "node.log"
        self._node = Node(config, self._log)
        self._watcher = Watcher(self._broker.port, "edgetune/n1/#", name="scada")
        self._read_to = 0
        self._expected: dict[Said, None] = {}
        self._commands = 0
        self.stops_s: list[float] = []
        self.defects: list[str] = []
        self.rows: list[tuple[str, int, Account, float]] = []
        self.skipped: list[tuple[str, str]] = []

    def begin(self) -> None:
        """Start the node, and see that it hears the machine break and heal."""
        self._node.start()
        wait_until(lambda: self._watcher.boots, "the node classifies")
        self._machine.live()
        wait_until(lambda: any("raised" in said.what for said in self._watcher.said), "a fault is raised")
        self._settle()

    def end_in(self, phase: str, *, kill: bool) -> float:
        """Kill or stop the node at a random moment of a phase, and start it; give the seconds until it classifies."""
        self._watcher.phases.clear()
        command = self._command(phase)
        if phase in ("recording", "collecting", "searching"):
            seen = "recording" if phase == "collecting" else phase
            wait_until(lambda: seen in self._watcher.phases or command in self._watcher.said, f"phase {seen}")
        self._wait(0.4 if phase == "deploying" else 2.0)
        if kill:
            self._node.kill()
        else:
            self._stop(phase)
        self._watcher.newest.clear()
        self._read_log()
        for said in outbox_faults(self._data / "outbox.sqlite", self._folder):
            self._expected.setdefault(said)
        load_bundle(self._data / "assets" / "bearing" / "models" / "current")  # raises where it is not whole
        known = set(self._watcher.boots)
        began_s = time.monotonic()
        self._node.start()
        wait_until(lambda: set(self._watcher.boots) - known, "the node classifies again")
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

    def pull(self, seconds: float) -> float:
        """Let no packet through between node and broker for a while."""
        self._wait(1.0)
        return no_network(self.cable, self._watcher, seconds)

    def poison(self, *, kill: bool) -> float:
        """Let the broker hang up on one message, also over a restart, and take it in the end."""
        took_s = poison(self._wire, self._watcher, lambda topic: self._command("recording", response_topic=topic))
        if kill:
            took_s = max(took_s, self.end_in("monitoring", kill=True))
        if self._wire.hung_up == 0:
            self.defects.append("the broker was to hang up on an answer, and was sent none")
        if named(self._watcher, "another client"):
            self.defects.append("a message that the broker hangs up on was taken for another client of the same id")
        self._wire.denied = None
        return took_s

    def poison_topics(self) -> float:
        """Ask for answers to topics that the broker ends a connection for; the node gives them where they belong."""
        began_s = time.monotonic()
        answers = [self._command("deploying", response_topic=topic) for topic in POISON_TOPICS]
        wait_until(lambda: set(answers) <= set(self._watcher.said), "commands with bad response topics are answered")
        return self._until_heard(began_s)

    def twin(self) -> float:
        """Let another client use the node's id."""
        return twin(self._broker.port, self._watcher)

    def fill(self, seconds: float) -> float:
        """Leave the node no room on its disk for a while."""
        self._wait(1.0)
        return full_disk(self._disk, self._watcher, lambda: self._command("recording"), seconds)

    def floods(self, seconds: tuple[float, ...]) -> Iterator[tuple[str, list[Callable[[], float]], str]]:
        """Let somebody flood the node through the broker."""
        return floods(self._broker.port, self._node, self._watcher, lambda: self._give(None, "ping"), seconds)

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
        self.cable.close()
        self._watcher.close()
        self._broker.stop()

    def row(self, name: str, tries: list[Callable[[], float]]) -> None:
        """Try a fault while the machine breaks and heals, wait until nothing is under way, and reckon."""
        before, heard, began_s = len(self._expected), len(self._watcher.said), time.monotonic()
        tell(f"{name} ")
        self._machine.live()
        wait_until(lambda: any("raised" in said.what for said in self._watcher.said[heard:]), "a fault is raised")
        recoveries_s = []
        for each in tries:
            recoveries_s.append(each())
            tell(".")
        self._settle()
        since = list(self._expected)[before:]
        found = account(since, self._watcher.said)
        self.rows.append((name, len(recoveries_s), found, max(recoveries_s)))
        self.defects += [f"{name}: lost {said}" for said in found.lost]
        took_s = time.monotonic() - began_s
        tell(f" {len(recoveries_s)} times, {found.expected} expected, {len(found.lost)} lost, {took_s:.0f} s\n")

    def _command(self, phase: str, response_topic: str | None = None) -> Said | None:
        """Return the command that brings the node into a phase; return the answer to expect."""
        match phase:
            case "recording":
                return self._give("press", "record", response_topic, label="normal", seconds=1)
            case "collecting":
                take = {"classes": ["normal"], "takes": 1, "seconds_per_take": 2, "pace": "countdown", "countdown_s": 1}
                return self._give("press", "recalibrate", source="live", deploy="never", budget=SHORT, **take)
            case "searching":
                return self._give("bearing", "recalibrate", source="stored", deploy="always", budget=SHORT)
            case "deploying":
                return self._give("bearing", "deploy", response_topic, model=f"model-{self._commands % 2}")
        return None

    def _give(self, asset: str | None, name: str, response_topic: str | None = None, **fields: Any) -> Said:
        """Publish a command to an asset, or to the node; return the answer to expect."""
        self._commands += 1
        command_id = f"c{self._commands}"
        base = "edgetune/n1" if asset is None else f"edgetune/n1/{asset}"
        said = Said(f"{base}/resp/{name}", command_id, "answered")
        self._expected[said] = None
        self._watcher.publish(f"{base}/cmd/{name}", {"id": command_id, **fields}, response_topic=response_topic)
        return said

    def _stop(self, phase: str) -> None:
        """Report the node to stop, and see that it says so, and that nothing went wrong."""
        began_s = time.monotonic()
        code = self._node.stop()
        self.stops_s.append(time.monotonic() - began_s)
        if code != 0:
            self.defects.append(f"stopped while {phase}, the node ended with exit code {code}")
        wait_until(lambda: self._watcher.newest.get(STATUS, {}).get("status") == "stopped", "`stopped` is heard")

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


def tell(words: str) -> None:
    sys.stderr.write(words)
    sys.stderr.flush()


def faults(chaos: Chaos, plan: Plan, disk: Disk) -> Iterator[tuple[str, list[Callable[[], float]], str]]:
    """Return each fault, what tries it, and what is missing here for that."""
    for phase, count in plan.kills.items():
        yield f"kill -9 while {phase}", [partial(chaos.end_in, phase, kill=True)] * count, ""
    for phase, count in plan.stops.items():
        yield f"SIGTERM while {phase}", [partial(chaos.end_in, phase, kill=False)] * count, ""
    yield "broker restarted", [chaos.restart] * plan.restarts, ""
    yield "broker frozen", [partial(chaos.freeze, seconds) for seconds in plan.freezes_s], ""
    yield "cut mid-message", [chaos.cut] * plan.cuts, ""
    missing = "" if chaos.cable.there else "network namespaces cannot be made (as root they can, with iproute2)"
    yield "cable pulled", [partial(chaos.pull, seconds) for seconds in plan.pulled_s], missing
    yield from chaos.floods(plan.floods_s)
    yield "sensor unplugged", [chaos.unplug] * plan.unplugged, ""
    missing = "" if disk.there else "a file system can only be mounted by root"
    yield "disk full", [partial(chaos.fill, seconds) for seconds in plan.full_s], missing
    missing = "" if chaos.memory.there else "memory cgroups cannot be made"
    yield "no memory to search", [partial(chaos.starve, spare) for spare in plan.starved_mib], missing
    yield "poison: broker hangs up", [partial(chaos.poison, kill=bool(turn % 2)) for turn in range(plan.poisons)], ""
    yield "poison: response topics", [chaos.poison_topics] * plan.poisons, ""
    yield "another client of its id", [chaos.twin] * plan.twins, ""
    missing = "" if FAKETIME is not None else "libfaketime is not installed"
    yield "clock jumped an hour", [partial(chaos.jump, by_s) for by_s in plan.jumps_s], missing
    yield from starts.faults(chaos, plan)
    yield from sinks.faults(chaos, plan)
    yield from folders.faults(chaos, plan, disk)
    yield from clock_rows(chaos, plan)


def leftovers(data: Path) -> list[Path]:
    """Files that only a write under way may leave."""
    return [each for each in data.rglob("*") if each.name.startswith((".writing", ".tmp")) or each.suffix == ".part"]


def main() -> int:
    """Run it; 0 where nothing was lost, invented, out of order or left behind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="each fault once or twice")
    arguments = parser.parse_args()
    mosquitto = find_mosquitto()
    if mosquitto is None:
        parser.error("mosquitto is not installed: apt install mosquitto")
    plan, began_s = QUICK if arguments.quick else FULL, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="edgetune-chaos-") as name:
        folder = Path(name)
        disk = Disk(folder / "disk")
        prepare(folder, folder / DATA)
        chaos = Chaos(folder, mosquitto, arguments.seed, disk)
        try:
            chaos.begin()
            for fault, tries, missing in faults(chaos, plan, disk):
                if missing:
                    chaos.skipped.append((fault, missing))
                    tell(f"{fault}: not tried, {missing}\n")
                elif tries:
                    chaos.row(fault, tries)
            chaos.end()
        except PlantError as error:
            chaos.defects.append(f"{error}; the node's log ends with\n{chr(10).join(log_tail(folder))}")
        finally:
            chaos.close()
            disk.close()
    show(chaos, arguments.seed)
    cpu_s = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    took_s = time.monotonic() - began_s
    tell(f"{took_s / 60:.1f} minutes, {cpu_s / took_s:.0%} of a core\n")
    return 1 if chaos.defects else 0


def log_tail(folder: Path) -> list[str]:
    return (folder / "node.log").read_text().splitlines()[-20:]


if __name__ == "__main__":
    sys.exit(main())
