"""What a node writes to is taken away: nobody takes its log, or its data folder is emptied, removed or mounted over."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from functools import partial
from typing import TYPE_CHECKING

from hardships import named
from plant import PlantError, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from chaos import Chaos
    from hardships import Disk
    from plans import Plan

FROZEN_S = 2.0
"""The broker acknowledges nothing for so long before the folder goes, so that messages wait in it."""


def faults(chaos: Chaos, plan: Plan, disk: Disk) -> Iterator[tuple[str, list[Callable[[], float]], str]]:
    """Return each fault, what tries it, and what is missing here for that."""
    times = 3 if plan.stops else 1
    yield "log that nobody takes", [partial(silenced, chaos, sink) for sink in SINKS] * times, ""
    yield "log read late", [partial(read_late, chaos)] * times, ""
    yield "data folder emptied", [partial(replaced, chaos, empty)] * times, ""
    missing = "" if disk.there else "a file system can only be mounted by root"
    yield "data folder mounted over", [partial(mounted_over, chaos)] * times, missing


# ---- the log -----------------------------------------------------------------------------------------------------


def full() -> int:
    return os.open("/dev/full", os.O_WRONLY)


def closed_pipe() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


SINKS: tuple[tuple[str, Callable[[], int]], ...] = (("No space left", full), ("Broken pipe", closed_pipe))


def silenced(chaos: Chaos, sink: tuple[str, Callable[[], int]]) -> float:
    """Let a node live whose log nobody takes, at a machine that is well: no log would tell of its faults."""
    words, make = sink
    chaos._settle()
    stop(chaos)
    descriptor = make()
    took_s = start(chaos, stderr=descriptor)
    os.close(descriptor)
    wait_until(lambda: named(chaos._watcher, words), f"health names the log: {words}")
    answers = [chaos._command("recording"), chaos._command("searching")]
    wait_until(lambda: set(answers) <= set(chaos._watcher.said), "commands are answered")
    stop(chaos)
    took_s = max(took_s, start(chaos))
    chaos._machine.live()
    return took_s


def read_late(chaos: Chaos) -> float:
    """Let nobody read the log while faults come and go, and read it then: nothing of it is missing."""
    stop(chaos)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    filled = 0
    try:
        while True:
            filled += os.write(writer, b"\n" * (4096 if filled % 4096 == 0 else 1))
    except BlockingIOError:
        os.set_blocking(writer, True)
    heard = len(chaos._watcher.said)
    start(chaos, stderr=writer)
    os.close(writer)
    wait_until(lambda: named(chaos._watcher, "nobody reads"), "health names the log that nobody reads")
    wait_until(lambda: len(chaos._watcher.said) > heard + 4, "faults are heard")
    with chaos._log.open("ab") as log:
        log.write(b"\n")
        log.flush()
        with subprocess.Popen(["cat"], stdin=reader, stdout=log):
            os.close(reader)
            began_s = time.monotonic()
            wait_until(lambda: not named(chaos._watcher, "log: "), "health is clear again")
            took_s = time.monotonic() - began_s
            stop(chaos)  # cat ends with it
    start(chaos)
    return took_s


# ---- the data folder ---------------------------------------------------------------------------------------------


def empty(data: Path) -> None:
    for path in data.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)  # the node may be writing
        else:
            path.unlink(missing_ok=True)


def replaced(chaos: Chaos, take_away: Callable[[Path], None]) -> float:
    """Take the folder away while messages wait in it; then kill the node, which must find them in the new one."""
    data = chaos._data
    spare = chaos._folder / "spare"
    shutil.rmtree(spare, ignore_errors=True)
    shutil.copytree(data, spare, ignore=shutil.ignore_patterns("outbox.sqlite*", "search", "audit*"), symlinks=True)
    chaos._broker.send(signal.SIGSTOP)
    time.sleep(FROZEN_S)
    take_away(data)
    began_s = time.monotonic()
    wait_until((data / "outbox.sqlite").exists, "the outbox is there again")
    chaos._broker.send(signal.SIGCONT)
    wait_until(lambda: named(chaos._watcher, "made again"), "health names what happened to the data folder")
    took_s = time.monotonic() - began_s
    chaos.end_in("monitoring", kill=True)
    for folder in ("incoming", "assets/bearing/recordings", "assets/press/recordings"):
        shutil.copytree(spare / folder, data / folder, dirs_exist_ok=True)
    return took_s


def mounted_over(chaos: Chaos) -> float:
    """Mount an empty file system over the folder, and take it away again."""
    data = chaos._data
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(data)], check=True)
    began_s = time.monotonic()
    try:
        wait_until((data / "outbox.sqlite").exists, "the outbox is in the new file system")
        wait_until(lambda: named(chaos._watcher, "another file system"), "health names another file system")
        took_s = time.monotonic() - began_s
        chaos.end_in("monitoring", kill=True)
        wait_until(lambda: not named(chaos._watcher, "another file system"), "a new life has nothing to tell of it")
    finally:
        subprocess.run(["umount", "-l", str(data)], check=True)
    wait_until(lambda: named(chaos._watcher, "another file system"), "health names that it is back")
    chaos.end_in("monitoring", kill=True)
    return took_s


# ---- the node ----------------------------------------------------------------------------------------------------


def stop(chaos: Chaos) -> None:
    """Stop the node within the time that is promised."""
    began_s = time.monotonic()
    code = chaos._node.stop()
    chaos.stops_s.append(time.monotonic() - began_s)
    if code != 0:
        raise PlantError(f"the node was told to stop and ended with exit code {code}")
    chaos._watcher.newest.clear()


def start(chaos: Chaos, *, stderr: int | None = None) -> float:
    """Start the node; return the seconds until it classifies."""
    known, began_s = set(chaos._watcher.boots), time.monotonic()
    chaos._node.start(stderr=stderr)
    wait_until(lambda: set(chaos._watcher.boots) - known, "the node classifies")
    return time.monotonic() - began_s
