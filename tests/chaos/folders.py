"""The data folder is taken away under a node, or the outbox in it is written over in its place."""

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
from sinks import start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from chaos import Chaos
    from hardships import Disk
    from plans import Plan

WAITING = 3
"""Faults and ends of faults that wait for the broker before something is taken away; the newest is kept twice."""
NOTICED_S = 30.0
"""The node looks every second, where a busy machine lets it; what it has not noticed by then it had no need to."""


def faults(chaos: Chaos, plan: Plan, disk: Disk) -> Iterator[tuple[str, list[Callable[[], float]], str]]:
    """Return each fault, what tries it, and what is missing here for that."""
    times = 3 if plan.stops else 1
    for name, take_away in (("emptied", empty), ("removed", remove), ("renamed", rename)):
        tries = 0 if take_away is remove and not plan.stops else times
        order = [take_away is rename, True, False][:tries]
        yield f"data folder {name}", [partial(replaced, chaos, take_away, killed=killed) for killed in order], ""
    missing = "" if disk.there else "a file system can only be mounted by root"
    yield "data folder mounted over", [partial(mounted_over, chaos)] * times, missing
    for name, damage in (("written over", write_over), ("truncated", truncate)):
        parts = ("outbox.sqlite", "outbox.sqlite-wal") if plan.stops else ("outbox.sqlite-wal",)
        yield f"outbox {name} in place", [partial(damaged, chaos, damage, part) for part in parts] * times, ""


# ---- the folder --------------------------------------------------------------------------------------------------


def empty(data: Path) -> None:
    for path in data.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)  # the node may be writing
        else:
            path.unlink(missing_ok=True)


def remove(data: Path) -> None:
    shutil.rmtree(data, ignore_errors=True)


def rename(data: Path) -> None:
    data.rename(data.with_name("moved"))


def replaced(chaos: Chaos, take_away: Callable[[Path], None], *, killed: bool) -> float:
    """Take the folder away while messages wait in it; they go on waiting in the new one.

    Where the node is ``killed`` before the broker is back, they are nowhere else.
    """
    data = chaos._data
    spare = chaos._folder / "spare"
    shutil.rmtree(spare, ignore_errors=True)
    shutil.copytree(data, spare, ignore=shutil.ignore_patterns("outbox.sqlite*", "search", "audit*"), symlinks=True)
    if killed:
        chaos._broker.stop()  # of one that is only frozen, the kernel takes what the node sends
    else:
        chaos._broker.send(signal.SIGSTOP)
    changes_wait(chaos)
    before, told = (data / "outbox.sqlite").stat().st_ino, made_again(chaos)
    chaos._node.send(signal.SIGSTOP)  # else it may make again what is not yet all gone
    take_away(data)
    chaos._node.send(signal.SIGCONT)
    began_s = time.monotonic()
    wait_until(lambda: inode(data / "outbox.sqlite") not in (None, before), "the outbox is there again")
    if killed:
        wait_until(lambda: made_again(chaos) > told, "the log tells that all of the folder is there again")
        took_s = time.monotonic() - began_s
        chaos._node.kill()
        chaos._watcher.newest.clear()
        chaos._broker.start()
        start(chaos)
    else:
        chaos._broker.send(signal.SIGCONT)
        wait_until(lambda: named(chaos._watcher, "made again"), "health names what happened to the data folder")
        took_s = time.monotonic() - began_s
        chaos.end_in("monitoring", kill=True)
    for folder in ("incoming", "assets/bearing/recordings", "assets/press/recordings"):
        shutil.copytree(spare / folder, data / folder, dirs_exist_ok=True)
    shutil.rmtree(data.with_name("moved"), ignore_errors=True)
    return took_s


def changes_wait(chaos: Chaos) -> None:
    """Return once the node has decided so much that the broker has not got."""
    chaos._read_log()
    known = len(chaos._expected)

    def enough() -> bool:
        chaos._read_log()
        return len(chaos._expected) >= known + WAITING

    wait_until(enough, "faults and their ends wait for the broker")


def made_again(chaos: Chaos) -> int:
    """Count the lines of the node's log that tell of a folder made again."""
    return chaos._log.read_bytes().count(b'"data folder made again"')


def inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


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


# ---- the outbox in its place -------------------------------------------------------------------------------------


def write_over(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\xa5" * path.stat().st_size)


def truncate(path: Path) -> None:
    os.truncate(path, 0)


def damaged(chaos: Chaos, damage: Callable[[Path], None], part: str) -> float:
    """Damage the outbox, or its log, while messages wait in it; kill the node once it has noticed, if it needs to."""
    chaos._broker.stop()  # of one that is only frozen, the kernel takes what the node sends
    changes_wait(chaos)
    kept = chaos._data / "outbox.sqlite.damaged"
    damage(chaos._data / part)
    began_s = time.monotonic()
    took_s = 0.0
    try:
        wait_until(kept.exists, "the damaged outbox is set aside", NOTICED_S)
        took_s = time.monotonic() - began_s
    except PlantError:  # the other part has all of it
        pass
    chaos._broker.start()
    if took_s:
        wait_until(lambda: named(chaos._watcher, "overwritten"), "health names the outbox that was overwritten")
    chaos.end_in("monitoring", kill=True)
    for left in chaos._data.glob("outbox.sqlite.damaged*"):
        left.unlink()
    return took_s
