"""A plant is broken in every way once or twice, and nothing its node said is lost; `make chaos` does more of it."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgetune_node.demo.broker import find_mosquitto

HERE = Path(__file__).parent


def load_ledger() -> Any:
    spec = importlib.util.spec_from_file_location("ledger", HERE / "ledger.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["ledger"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_nothing_is_lost_invented_or_out_of_order_whatever_breaks() -> None:
    if find_mosquitto() is None:
        pytest.skip("mosquitto is not installed (apt install mosquitto)")
    run = subprocess.Popen(
        [sys.executable, str(HERE / "chaos.py"), "--quick"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = run.communicate(timeout=840)
    except subprocess.TimeoutExpired:
        os.killpg(run.pid, signal.SIGKILL)  # the broker and the node too
        said, _ = run.communicate()
    assert run.returncode == 0, said
    for fault in (
        "kill -9 while monitoring",
        "broker restarted",
        "broker frozen",
        "cut mid-message",
        "cable pulled",
        "flood of context",
        "flood of commands-0",
        "flood of commands-1",
        "flood of garbage",
        "flood of samples",
        "flood of bad-samples",
        "sensor unplugged",
        "poison: broker hangs up",
        "log that nobody takes",
        "log read late",
        "data folder emptied",
        "data folder renamed",
        "data folder mounted over",
        "outbox written over in place",
        "outbox truncated in place",
        "poison: response topics",
        "kill -9 while starting",
    ):
        assert fault in said


def test_the_ledger_sees_what_is_lost_repeated_misplaced_and_invented() -> None:
    ledger = load_ledger()
    raised, cleared, again, alien = (ledger.Said("n/a/fault", name, "x") for name in "abcd")
    answer = ledger.Said("n/a/resp/ping", "c1", "answered")
    wanted = [raised, answer, cleared, again]
    fine = ledger.account(wanted, [raised, raised, cleared, again, answer])
    assert (fine.expected, fine.delivered, fine.duplicated) == (4, 4, 1)
    assert (fine.lost, fine.misplaced, fine.invented) == ((), (), ())
    bad = ledger.account(wanted, [cleared, raised, alien, answer])
    assert bad.lost == (again,)
    assert set(bad.misplaced) == {raised, cleared}
    assert bad.invented == (alien,)


def test_the_log_is_read_up_to_its_last_whole_line(tmp_path: Path) -> None:
    ledger = load_ledger()
    log = tmp_path / "node.log"
    line = b'{"event": "fault", "topic": "n/a/fault", "active": true, "class_": "inner", "event_id": "e%d"}\n'
    log.write_bytes(line % 1 + b"Traceback\n" + (line % 2)[:20])
    found, read_to = ledger.logged_faults(log, 0)
    assert found == [ledger.Said("n/a/fault", "e1", "inner raised")]
    with log.open("ab") as file:
        file.write((line % 2)[20:])
    found, read_to = ledger.logged_faults(log, read_to)
    assert found == [ledger.Said("n/a/fault", "e2", "inner raised")]
    assert ledger.logged_faults(log, read_to) == ([], read_to)
