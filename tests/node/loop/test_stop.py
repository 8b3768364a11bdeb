"""A node is told to stop while everything it waits for is stuck; it stops all the same, and loses nothing by it."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

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


def test_a_stop_waits_for_no_stuck_source_frozen_broker_or_search(
    node: Callable[..., Any], bearing: str, monkeypatch: pytest.MonkeyPatch, until: Callable[..., None]
) -> None:
    loop = node(bearing + "".join(STUCK.format(number=number) for number in range(8)))
    package = loop.folder / "plugin"
    described = package / "stuck-1.0.dist-info"
    described.mkdir(parents=True)
    (package / "stuck_source.py").write_text(PLUGIN)
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: stuck\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text("[edgetune.sources]\nstuck = stuck_source:Stuck\n")
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
