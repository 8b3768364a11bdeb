"""Sets the clock under a node while answers wait for the broker, and while a class of faults is shelved."""

from __future__ import annotations

import time
from functools import partial
from math import copysign
from typing import TYPE_CHECKING

from hardships import FAKETIME
from plant import PlantError, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from chaos import Chaos
    from plans import Plan

FAULT = "edgetune/n1/bearing/fault"
SLEEP = "import threading, time\ntime.sleep = lambda seconds: threading.Event().wait(seconds) and None\n"
"""Under libfaketime 0.9.10 Python's own fails, which ends the thread that connects to the broker."""
MONTH_S = 30 * 86_400
SHELVED_S = 6.0
LATE_S = 10.0
"""Seconds that the end of a shelve may be late on a busy machine; an hour is what it is to be told apart from."""
WAITED_S = 2.0
"""Seconds that the machine breaks and heals before and after the clock is set, so that much waits."""


def clock_rows(chaos: Chaos, plan: Plan) -> Iterator[tuple[str, list[Callable[[], float]], str]]:
    """Return each fault, what tries it, and what is missing here for that; as often as clocks jump at all."""
    missing = "" if FAKETIME is not None else "libfaketime is not installed"
    months = [partial(answers_wait, chaos, round(copysign(MONTH_S, by_s))) for by_s in plan.jumps_s]
    yield "clock jumped a month, answers wait", months, missing
    yield "clock jumped an hour, class shelved", [partial(shelved, chaos, by_s) for by_s in plan.jumps_s], missing


def answers_wait(chaos: Chaos, by_s: int) -> float:
    """Let answers and faults wait for the broker while the clock jumps; `Chaos.row` counts what is lost of them."""
    clock = started(chaos)
    answer = chaos._command("recording")
    chaos._broker.stop()
    time.sleep(WAITED_S)
    clock.write_text(f"{by_s:+d}")
    time.sleep(WAITED_S)
    chaos._broker.start()
    took_s = chaos._until_heard(time.monotonic())
    wait_until(lambda: answer in chaos._watcher.said, "the answer that waited is heard")
    ended(chaos)
    return took_s


def shelved(chaos: Chaos, by_s: int) -> float:
    """Shelve a class for some seconds, let the clock jump, and see that it ends in time; give how late that was."""
    clock = started(chaos)
    newest = chaos._watcher.newest
    given_s = time.monotonic()
    chaos._give("bearing", "shelve", seconds=SHELVED_S, by="chaos", **{"class": "inner_severe"})
    wait_until(lambda: newest.get(FAULT, {}).get("shelves"), "a class is shelved")
    clock.write_text(f"{by_s:+d}")
    wait_until(lambda: newest[FAULT]["shelves"] == [], "the shelve has ended")
    late_s = time.monotonic() - given_s - SHELVED_S
    if not -1 < late_s < LATE_S:
        chaos.defects.append(f"a shelve of {SHELVED_S:g} s ended {late_s:+.1f} s late after a jump of {by_s:+d} s")
    ended(chaos)
    return max(0.0, late_s)


def started(chaos: Chaos) -> Path:
    """Start the node with the time of day of a file, and give that."""
    if FAKETIME is None:
        raise PlantError("libfaketime is not installed")
    clock = chaos._folder / "faketime"
    (chaos._folder / "sitecustomize.py").write_text(SLEEP)
    clock.write_text("+0")
    restart(
        chaos,
        LD_PRELOAD=str(FAKETIME),
        FAKETIME_TIMESTAMP_FILE=str(clock),
        FAKETIME_DONT_FAKE_MONOTONIC="1",
        FAKETIME_NO_CACHE="1",
        PYTHONPATH=str(chaos._folder),
    )
    return clock


def ended(chaos: Chaos) -> None:
    """Start the node with the machine's own time of day, which to it has jumped back."""
    restart(chaos)


def restart(chaos: Chaos, **environment: str) -> None:
    chaos._node.stop()
    known = set(chaos._watcher.boots)
    chaos._node.start(**environment)
    wait_until(lambda: set(chaos._watcher.boots) - known, "the node classifies")
