"""Floods of each kind that a broker may pass on to a node, while the machine breaks and heals."""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from plant import Node, PlantError, Watcher, wait_until

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from flooding import flooded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ledger import Said

ASSETS = ("bearing", "press", "pump", "fan")
KINDS = ("context", "commands-0", "commands-1", "garbage", "samples", "bad-samples")
PACE = 300
"""Messages a second; more, and mosquitto's queue for the node grows without bound while the machine is busy."""
ROOM = 32 * 2**20
HEARD = 4
"""Faults and ends of faults to be heard during a flood."""


def flood(port: int, node: Node, watcher: Watcher, ping: Callable[[], Said], kind: str, seconds: float) -> float:
    """Flood the node until it has been heard and has answered; return the seconds until it classifies afterwards."""
    memory = psutil.Process(node.pid).memory_info
    idle = memory().rss
    enough = len(watcher.said) + HEARD
    with flooded(port, kind, *(["fan"] if "samples" in kind else ASSETS), per_second=PACE):
        time.sleep(seconds)
        answer = ping()
        wait_until(lambda: answer in watcher.said, f"a ping is answered during a flood of {kind}")
        wait_until(lambda: len(watcher.said) >= enough, f"faults are heard during a flood of {kind}")
        more = memory().rss - idle
    if more > ROOM:
        raise PlantError(f"a flood of {kind} took {more / 2**20:.0f} MiB of memory")
    began_s = time.monotonic()
    wait_until(lambda: watcher.classified_s > began_s, "the node classifies")
    return watcher.classified_s - began_s


def floods(
    port: int, node: Node, watcher: Watcher, ping: Callable[[], Said], seconds: tuple[float, ...]
) -> Iterator[tuple[str, list[Callable[[], float]], str]]:
    """Return each flood, as `chaos.faults` gives what it tries."""
    for kind in KINDS:
        yield f"flood of {kind}", [partial(flood, port, node, watcher, ping, kind, each) for each in seconds], ""
