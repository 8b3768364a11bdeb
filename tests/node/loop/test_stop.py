"""A node is told to stop while everything it waits for is stuck; it stops all the same, and loses nothing by it."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow

PLUGIN = """
import threading

class Stuck:
    def __init__(self, spec, options):
        self.spec = spec

    def read(self, timeout_s):
        threading.Event().wait()

    def close(self):
        threading.Event().wait()
"""
STUCK = """
[[asset]]
id = "stuck{number}"
rate_hz = 1000
[asset.source]
type = "stuck"
"""

WITHIN = """
import os, pathlib, signal, time
from edgetune_node.events import Tick
from edgetune_node.runtime.inbox import Inbox

class Within:
    def __init__(self, spec, options):
        pass

    def read(self, timeout_s):
        now = pathlib.Path(os.environ["NOW"])
        while not now.exists():
            time.sleep(0.01)
        taken = Inbox._next

        def interrupted(inbox):
            inbox.put(Tick())  # so that there are two
            for _ in inbox._events:
                os.kill(os.getpid(), signal.SIGTERM)
            return taken(inbox)

        Inbox._next = interrupted
        while True:
            time.sleep(1)

    def close(self):
        pass
"""


def plug_in(folder: Path, name: str, source: str) -> Path:
    """Write a package with a source; return the folder for PYTHONPATH."""
    package = folder / "plugin"
    described = package / f"{name}-1.0.dist-info"
    described.mkdir(parents=True)
    (package / f"{name}_source.py").write_text(source)
    (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text(f"[edgetune.sources]\n{name} = {name}_source:{name.capitalize()}\n")
    return package


def test_a_signal_that_comes_while_the_inbox_is_locked_stops_the_node(node: Callable[..., Any], bearing: str) -> None:
    loop = node(bearing + STUCK.format(number=0).replace('"stuck"', '"within"'))
    package, now = plug_in(loop.folder, "within", WITHIN), loop.folder / "now"
    loop.start(PYTHONPATH=str(package), NOW=str(now))
    now.touch()
    assert loop.ended() == 0
    assert "Traceback" not in loop.log()
    loop.wait("status", lambda status: status["status"] == "stopped")


def test_a_stop_waits_for_no_stuck_source_frozen_broker_or_search(
    node: Callable[..., Any], bearing: str, monkeypatch: pytest.MonkeyPatch, until: Callable[..., None]
) -> None:
    loop = node(bearing + "".join(STUCK.format(number=number) for number in range(8)))
    package = plug_in(loop.folder, "stuck", PLUGIN)
    monkeypatch.setenv("PYTHONPATH", str(package))
    loop.start()
    job = loop.collect({"normal": "normal", "inner": "inner_severe"}, 3, budget={"search_seconds": 40})
    loop.wait("state", lambda state: state["phase"] == "searching")
    loop.wait("state", lambda state: "the source hangs" in state["reason"], asset="stuck0")
    child = loop.searching_pid()
    loop.broker.freeze()
    loop.send(signal.SIGTERM)
    assert loop.ended() == 0
    until(lambda: not psutil.pid_exists(child))
    assert not list(loop.data.rglob("done.json"))  # the search was ended, and not waited for
    assert "Traceback" not in loop.log()
    loop.broker.thaw()
    loop.start()
    assert loop.reply(job)["status"] == "done"
    assert (loop.data / "assets" / "bearing" / "models" / "current").is_dir()
