"""A node is told to stop while everything it waits for is stuck; it stops all the same, and loses nothing by it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
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
    loop.forget()
    loop.start()
    assert loop.reply(job)["status"] == "done"
    assert (loop.data / "assets" / "bearing" / "models" / "current").is_dir()


def full_pipe() -> tuple[int, int]:
    """Both ends of a pipe that takes not one byte more."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    for size in (4096, 1):
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, b"\n" * size)
    os.set_blocking(writer, True)
    return reader, writer


def first_argument_of_call(pid: int) -> str:
    """What a process that sleeps in the kernel has given it first: in a ``write``, where to."""
    try:
        _, *arguments = Path(f"/proc/{pid}/syscall").read_text().split()
    except OSError as error:
        pytest.skip(f"the kernel does not tell what a process waits for: {error}")
    return arguments[0] if arguments else ""


def test_a_stop_that_interrupts_the_writing_of_a_log_line_is_heard(
    node: Callable[..., Any], bearing: str, until: Callable[..., None]
) -> None:
    loop = node(bearing)
    reader, writer = full_pipe()
    command = [sys.executable, "-m", "edgetune_node", "run", "--config", str(loop.config)]
    with os.fdopen(reader, "rb") as log, subprocess.Popen(command, stderr=writer) as process:
        os.close(writer)
        drain = threading.Thread(target=log.read)
        try:
            until(lambda: first_argument_of_call(process.pid) == "0x2")  # stderr
            process.send_signal(signal.SIGTERM)
            drain.start()
            assert process.wait(120) == 0
            drain.join()
        finally:
            process.kill()
