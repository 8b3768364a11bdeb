"""What the surroundings do to a node: no network, another client of its id, no room on the disk, no sensor, no memory,
another time of day.

Each function does it to a plant that runs, sees that the node names it, undoes it, and gives the seconds until the node
is as before.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from plant import HOST, Node, PlantError, Watcher, Wire, wait_until

from edgetune_node.contract.topics import Topics
from edgetune_node.mqtt import WholePacketClient
from edgetune_node.mqtt.client import client_id
from edgetune_signal import Block, encode_block

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cable import Cable

DISK = "size=48m,nr_inodes=4096"
PUMP_RATE_HZ = 2560.0
BLOCK = 256
HEALTH = "edgetune/n1/health"
DENIED = "denied/answers"
POISON_TOPICS = ("a/" * 201 + "a", "reply/\ufeff", "x" * 60_000)
"""Response topics at which mosquitto, or another broker, ends the connection of who publishes there."""
SAID = 4
"""Faults and ends of faults to be heard after each jump of the clock."""
FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)


def named(watcher: Watcher, words: str) -> bool:
    """Whether the newest `health` speaks of it."""
    return any(words in problem for problem in watcher.newest.get(HEALTH, {}).get("problems", ()))


class Disk:
    """A file system of its own for the data folder, so that it can be full; not there where it cannot be mounted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", DISK, "tmpfs", str(folder)]
        self.there = shutil.which("mount") is not None and subprocess.run(mount, check=False).returncode == 0

    def fill(self) -> None:
        """Leave no room for another byte."""
        with contextlib.suppress(OSError), (self._folder / "filler").open("ab", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))

    def free(self) -> None:
        """Make room again."""
        (self._folder / "filler").unlink()

    def close(self) -> None:
        if self.there:
            subprocess.run(["umount", "-l", str(self._folder)], check=True)


class Sensor:
    """A sensor that sends sample blocks over UDP for as long as it is plugged in."""

    def __init__(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((HOST, 0))
            self.port: int = probe.getsockname()[1]
        self._plugged = threading.Event()
        self._over = threading.Event()
        self._plugged.set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def unplug(self) -> None:
        self._plugged.clear()

    def plug(self) -> None:
        self._plugged.set()

    def close(self) -> None:
        self._over.set()
        self._plugged.set()
        self._thread.join()

    def _run(self) -> None:
        random = np.random.default_rng(0)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            sequence = 0
            while self._plugged.wait() and not self._over.wait(BLOCK / PUMP_RATE_HZ):
                samples = random.normal(0, 1, (1, BLOCK)).astype(np.float32)
                block = Block(samples, sequence, time.time_ns(), PUMP_RATE_HZ, "g")
                out.sendto(encode_block(block), (HOST, self.port))
                sequence += 1


class Memory:
    """A memory cgroup that a process and its children can be put into; `there` tells whether this machine has them."""

    def __init__(self) -> None:
        old, new = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
        lines = [line.split(":") for line in Path("/proc/self/cgroup").read_text().splitlines()]
        own = next((place for _, kinds, place in lines if "memory" in kinds.split(",")), "")
        self._version_2 = (new / "cgroup.controllers").exists()
        top = new if self._version_2 else old / own.lstrip("/")
        self._folder = top / f"edgetune-chaos-{os.getpid()}"
        self.there = False
        with contextlib.suppress(OSError):
            self._folder.mkdir()
            self.there = (self._folder / self._limit).exists()

    @property
    def _limit(self) -> str:
        return "memory.max" if self._version_2 else "memory.limit_in_bytes"

    @property
    def kills(self) -> int:
        """Processes that the kernel has killed here for want of memory."""
        counts = self._folder / ("memory.events" if self._version_2 else "memory.oom_control")
        pairs = (line.split() for line in counts.read_text().splitlines())
        return next(int(count) for name, count in pairs if name == "oom_kill")

    @contextlib.contextmanager
    def press(self, pid: int, spare_bytes: int) -> Iterator[None]:
        """Leave a process and the children it will have ``spare_bytes`` more than it has now (that is not moved)."""
        (self._folder / "cgroup.procs").write_text(str(pid))
        (self._folder / self._limit).write_text(str(spare_bytes))
        try:
            yield
        finally:
            (self._folder / self._limit).write_text("-1" if not self._version_2 else "max")

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._folder.rmdir()


def no_network(cable: Cable, watcher: Watcher, seconds: float) -> float:
    """Pull the cable between node and broker for a while."""
    cable.pull()
    time.sleep(seconds)
    cable.plug()
    began_s = time.monotonic()
    wait_until(lambda: watcher.classified_s > began_s, "the node is heard again")
    return watcher.classified_s - began_s


def twin(port: int, watcher: Watcher) -> float:
    """Let another client with the node's id into the broker, which throws the node out, and the other way round."""
    other = WholePacketClient(CallbackAPIVersion.VERSION2, client_id(Topics("edgetune", "n1")), protocol=mqtt.MQTTv5)
    other.reconnect_delay_set(1, 1)
    other.connect(HOST, port)
    other.loop_start()
    try:
        wait_until(lambda: named(watcher, "another client"), "health names another client of the same id")
    finally:
        other.disconnect()
        other.loop_stop()
    began_s = time.monotonic()
    wait_until(lambda: watcher.classified_s > began_s, "the node is heard again")
    return watcher.classified_s - began_s


def poison(wire: Wire, watcher: Watcher, command: Callable[[str], Any]) -> float:
    """Let the broker hang up on the answer to a command's response topic, until the node does without that answer."""

    def aside() -> int:
        return int(watcher.newest.get(HEALTH, {}).get("outbox_set_aside", 0))

    before, began_s = aside(), time.monotonic()
    wire.denied = len(DENIED).to_bytes(2, "big") + DENIED.encode()  # as a topic, for `health` names it too
    answer = command(DENIED)
    wait_until(lambda: answer in watcher.said, "the command is answered where its answers belong")
    wait_until(lambda: aside() > before, "the answer that the broker hangs up on is set aside")
    wait_until(lambda: named(watcher, DENIED), "health names the topic of what was set aside")
    wait_until(lambda: watcher.classified_s > began_s, "the node is heard again")
    return watcher.classified_s - began_s


def full_disk(disk: Disk, watcher: Watcher, command: Callable[[], Any], seconds: float) -> float:
    """Fill the disk for a while, give a command meanwhile, then free it."""

    def told() -> bool:
        """Whether health speaks of the disk; of a failed write only where the outbox has no old pages to write on."""
        return named(watcher, "MiB free") or named(watcher, "full")

    disk.fill()
    wait_until(told, "health names the full disk")
    answer = command()
    wait_until(lambda: answer in watcher.said, "a command is answered on a full disk")
    time.sleep(seconds)
    disk.free()
    began_s = time.monotonic()
    wait_until(lambda: not told(), "health is clear again")
    return time.monotonic() - began_s


def unplugged(sensor: Sensor, watcher: Watcher) -> float:
    """Unplug a sensor until the asset's state says so, and plug it in again."""

    def silent() -> bool:
        return "no samples" in watcher.newest.get("edgetune/n1/pump/state", {}).get("reason", "no samples")

    wait_until(lambda: not silent(), "the sensor is heard")
    sensor.unplug()
    wait_until(silent, "the state names the sensor that is away")
    sensor.plug()
    began_s = time.monotonic()
    wait_until(lambda: not silent(), "the sensor is heard again")
    return time.monotonic() - began_s


def no_memory(memory: Memory, node: Node, watcher: Watcher, search: Callable[[], Any], spare_bytes: int) -> float:
    """Let a search run into a limit of memory that kills it; the node lives on."""
    killed, state = memory.kills, "edgetune/n1/bearing/state"
    with memory.press(node.pid, spare_bytes):
        answer = search()
        wait_until(lambda: answer in watcher.said, "the fate of the search is told")
        wait_until(lambda: "short of memory" in watcher.newest[state].get("reason", ""), "the state names the reason")
        began_s = time.monotonic()
    if memory.kills == killed:
        raise PlantError("the kernel has killed nothing: the limit was not reached")
    wait_until(lambda: watcher.classified_s > began_s, "the node classifies")
    return watcher.classified_s - began_s


def other_time(node: Node, watcher: Watcher, folder: Path, by_s: int) -> float:
    """Start a node whose time of day is that of a file, and let it jump, and back."""
    if FAKETIME is None:
        raise PlantError("libfaketime is not installed")
    clock = folder / "faketime"
    clock.write_text("+0")
    known = set(watcher.boots)
    node.start(
        LD_PRELOAD=str(FAKETIME),
        FAKETIME_TIMESTAMP_FILE=str(clock),
        FAKETIME_DONT_FAKE_MONOTONIC="1",
        FAKETIME_NO_CACHE="1",
    )
    wait_until(lambda: set(watcher.boots) - known, "the node classifies")
    took_s = []
    for ahead_s in (by_s, 0):
        told, began_s, enough = f"{ahead_s or -by_s:+d} s", time.monotonic(), len(watcher.said) + SAID
        clock.write_text(f"{ahead_s:+d}")
        wait_until(lambda began_s=began_s: watcher.classified_s > began_s, "the node classifies")  # type: ignore[misc]
        took_s.append(watcher.classified_s - began_s)
        wait_until(lambda told=told: named(watcher, told), f"health names a clock that jumped {told}")  # type: ignore[misc]
        wait_until(lambda enough=enough: len(watcher.said) >= enough, "faults are heard")  # type: ignore[misc]
    return max(took_s)


def waiting(watcher: Watcher, asset: str) -> bool:
    """Whether a guided collection waits for its operator."""
    return bool(watcher.newest.get(f"edgetune/n1/{asset}/calibration", {}).get("phase") == "waiting")
