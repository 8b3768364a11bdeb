"""A node is ended while it starts, at any moment between its process and its first window."""

from __future__ import annotations

import signal
import time
from functools import partial
from typing import TYPE_CHECKING

from plant import PlantError, wait_until
from sinks import start, stop

from edgetune_nas.bundle.read import load_bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chaos import Chaos
    from plans import Plan

ENDS = {signal.SIGKILL: (-signal.SIGKILL,), signal.SIGTERM: (0, -signal.SIGTERM)}
"""Exit codes; until Python has read the program, nothing but the kernel can take a SIGTERM."""
STARTING_S = 2.5
"""From the process to the first window, on a busy core."""


def faults(chaos: Chaos, plan: Plan) -> Iterator[tuple[str, list[Callable[[], float]], str]]:
    """Return each fault, what tries it, and what is missing here for that."""
    for number, name in ((signal.SIGKILL, "kill -9"), (signal.SIGTERM, "SIGTERM")):
        tries = 0 if number == signal.SIGTERM and not plan.stops else plan.starts
        yield f"{name} while starting", [partial(ended, chaos, number)] * tries, ""


def ended(chaos: Chaos, number: signal.Signals) -> float:
    """Start the node and end it before it is ready, then start it again; jobs that were accepted go on."""
    job = chaos._command(chaos._random.choice(("searching", "recording")))
    stop(chaos)
    chaos._node.start()
    chaos._wait(STARTING_S)
    code = chaos._node.end(number)
    if code not in ENDS[number]:
        raise PlantError(f"ended by {number.name} while it started, the node gave exit code {code}")
    load_bundle(chaos._data / "assets" / "bearing" / "models" / "current")  # raises where it is not whole
    began_s = time.monotonic()
    start(chaos)
    took_s = time.monotonic() - began_s
    wait_until(lambda: job in chaos._watcher.said, "the fate of what was interrupted is told")
    return took_s
