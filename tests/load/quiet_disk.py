"""What steady monitoring writes to the disk while the broker is there: nothing, by what the kernel counts.

``python tests/load/quiet_disk.py`` (``make quiet-disk``): a node hears a machine that is well, publishes every window,
and its ``/proc/PID/io`` is read for ten minutes. ``--windows N`` looks only before and after so many windows in which
nothing changed, at many times the machine's pace.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rig import Listener, Machine, Process, bench, node_section, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

FILES = ("outbox.sqlite", "outbox.sqlite-wal", "audit.jsonl")
QUICK_SPEED = 8.0
UNDER_WAY = 20
"""Windows after which a change that was decided before them has been heard too."""
ATTEMPTS = 20


@dataclass(frozen=True)
class Written:
    """What a process has written since it was started, and the size of its files."""

    seconds: float
    windows: int
    write_bytes: int
    write_calls: int
    sizes: tuple[int, ...]


class Monitoring:
    """A node that monitors, and what is heard of it."""

    def __init__(self) -> None:
        self.windows = 0
        self.changes = 0

    def count(self, topic: str, _payload: bytes, _arrived_s: float) -> None:
        """Count a message."""
        if topic.endswith("/classification"):
            self.windows += 1
        else:
            self.changes += 1

    def run(self, speed: float, watch: Callable[[Monitoring, Callable[[], Written]], list[Written]]) -> list[Written]:
        """Start a node, wait until it has said all there is to say, and let ``watch`` look."""
        with bench() as (folder, port):
            machine = Machine.make(folder / "machine", 1, 12_000.0)
            data = folder / "data"
            machine.equip(data, "pump")
            config = folder / "config.toml"
            config.write_text(node_section("n1", data, port) + machine.section("pump", speed=speed))
            base = "load/n1/pump"
            listener = Listener(
                port, self.count, (f"{base}/classification", 0), (f"{base}/state", 1), (f"{base}/fault", 1)
            )
            with Process.node(config) as node:
                wait_until(lambda: self.windows > 100, "the node monitors")
                began_s = time.monotonic()
                looks = watch(self, lambda: look(node.pid, data, began_s, self.windows))
            listener.close()
            return looks


def look(pid: int, data: Path, since_s: float, windows: int) -> Written:
    """Read the kernel's count of bytes that went to a disk and of calls that write to a file, and the files' sizes."""
    lines = Path(f"/proc/{pid}/io").read_text(encoding="ascii").splitlines()
    counts = {name: int(value) for name, value in (line.split(": ") for line in lines)}
    files = [data / name for name in FILES]
    sizes = tuple(file.stat().st_size if file.exists() else 0 for file in files)
    return Written(time.monotonic() - since_s, windows, counts["write_bytes"], counts["syscw"], sizes)


def for_seconds(seconds: float, every_s: float, look_now: Callable[[], Written]) -> list[Written]:
    """Look now and then."""
    looks = [look_now()]
    while looks[-1].seconds < seconds:
        time.sleep(min(every_s, seconds - looks[-1].seconds + 0.01))
        looks.append(look_now())
    return looks


def for_windows(windows: int, monitoring: Monitoring, look_now: Callable[[], Written]) -> list[Written]:
    """Look before and after so many windows; anew where something changed meanwhile, which is written down rightly."""
    looks: list[Written] = []
    for _ in range(ATTEMPTS):
        changes = monitoring.changes
        looks = [look_now()]
        last = monitoring.windows + windows
        wait_until(lambda last=last: monitoring.windows >= last, "windows are heard")  # type: ignore[misc]
        looks.append(look_now())
        last = monitoring.windows + UNDER_WAY
        wait_until(lambda last=last: monitoring.windows >= last, "windows are heard")  # type: ignore[misc]
        if monitoring.changes == changes:
            break
    return looks


def main() -> int:
    """Print the table; 0 where nothing was written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--every-s", type=float, default=60.0)
    parser.add_argument("--windows", type=int, help="look before and after so many windows, as fast as that goes")
    arguments = parser.parse_args()
    if arguments.windows is None:
        looks = Monitoring().run(1.0, lambda _, now: for_seconds(arguments.seconds, arguments.every_s, now))
    else:
        looks = Monitoring().run(QUICK_SPEED, lambda heard, now: for_windows(arguments.windows, heard, now))
    table = Table(title="a node that monitors, /proc/PID/io since it was started")
    for name in ("s", "windows", "write_bytes", "calls that write", *FILES):
        table.add_column(name, justify="right")
    for each in looks:
        figures = (each.windows, each.write_bytes, each.write_calls, *each.sizes)
        table.add_row(f"{each.seconds:.0f}", *(f"{figure:,}" for figure in figures))
    Console(width=110).print(table)
    written = looks[-1].write_bytes - looks[0].write_bytes
    print(f"written in {looks[-1].seconds:.0f} s of monitoring: {written} bytes")  # noqa: T201 - what it is for
    return int(written > 0)


if __name__ == "__main__":
    sys.exit(main())
