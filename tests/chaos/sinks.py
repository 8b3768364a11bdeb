"""A node whose log nobody takes, or takes late."""

from __future__ import annotations

import os
import subprocess
import time
from functools import partial
from typing import TYPE_CHECKING

from hardships import named
from plant import PlantError, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chaos import Chaos
    from plans import Plan


def faults(chaos: Chaos, plan: Plan) -> Iterator[tuple[str, list[Callable[[], float]], str]]:
    """Return each fault, what tries it, and what is missing here for that."""
    times = 3 if plan.stops else 1
    yield "log that nobody takes", [partial(silenced, chaos, sink) for sink in SINKS] * times, ""
    yield "log read late", [partial(read_late, chaos)] * times, ""


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
