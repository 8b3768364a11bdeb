"""A search child reports how it ended, whatever its stderr is."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from edgetune_nas.card import Budget
from edgetune_nas.worker.job import DataSource, Job, SearchJob

if TYPE_CHECKING:
    from pathlib import Path

CHILD = """
import os, sys
from edgetune_nas.worker import child

def fails(*_):
    print("what a library prints")
    raise RuntimeError("a defect")

child._run = fails
code = child.main(["job.json"])
sys.stderr.flush()
os._exit(code)
"""
SINKS = {"full": "2>/dev/full", "closed": "2>&-", "a pipe whose reader has gone": "2> >(exec true)"}


@pytest.mark.parametrize("sink", SINKS)
def test_a_child_says_how_it_ended_whatever_its_stderr_is(sink: str) -> None:
    command = ["bash", "-c", f'exec "$@" {SINKS[sink]}', "bash", sys.executable, "-c", CHILD]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 1
    assert json.loads(ran.stdout) == {"event": "failed", "error": "RuntimeError", "message": "a defect"}


def test_a_childs_log_is_read_however_much_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONVERBOSE", "1")  # far more than a pipe holds
    lines: list[str] = []
    job = Job(data=DataSource(path=tmp_path / "none"), task="fault", budget=Budget(), out=tmp_path / "out")
    *_, failed = SearchJob.start(job, log=lines.append).events()
    assert failed.event == "failed"
    assert sum(map(len, lines)) > 100_000


INTERRUPTED = """
import sys
from edgetune_nas import standard_streams

def interrupt(frame, event, _):
    if event == "return" and frame.f_code is standard_streams._Forgiving.write.__code__:
        sys.setprofile(None)
        raise KeyboardInterrupt

standard_streams.mend()
sys.setprofile(interrupt)
try:
    sys.stderr.write("once\\n")
except KeyboardInterrupt:
    sys.stderr.write("interrupted\\n")
"""


def test_a_line_that_is_interrupted_once_it_is_written_is_not_written_again() -> None:
    command = [sys.executable, "-c", INTERRUPTED]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert ran.stderr == "once\ninterrupted\n"
