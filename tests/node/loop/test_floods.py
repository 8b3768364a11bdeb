"""A real node is flooded through a real broker: it answers, its memory is bounded, and it stops when it is told to."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from brokers import wait_until
from flooding import flooded

from edgetune_node.core.admission import NO_ROOM

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

MIB = 2**20
ROOM = 32 * MIB
ASSETS = 20
PACE = 300
"""Messages a second that a broker passes on without a queue, also on a machine that others use."""
HARD_S = 8.0
GARBAGE = 900
"""Commands of 16 kB that once pushed every line out of the audit log."""
PATIENCE_S = 240.0
FED = """
[[asset]]
id = "a{number}"
rate_hz = 12000
source = {{{{ type = "mqtt" }}}}
"""


SPARKPLUG = '[sparkplug]\ngroup = "Plant1"\n'
PING_S, STOP_S = 2.0, 5.0
"""What is promised, on a machine that has time for the node."""
BEGINNINGS = 20


def promised(seconds: float) -> float:
    """Return the time of a promise and what a busy machine owes: many times its slowest of three starts of Python."""
    starts_s = []
    for _ in range(3):
        began_s = time.monotonic()
        subprocess.run([sys.executable, "-c", ""], check=True)
        starts_s.append(time.monotonic() - began_s)
    return seconds + BEGINNINGS * max(starts_s)


@pytest.fixture
def plant(node: Callable[..., Any], bearing: str) -> Any:
    """A node of twenty assets, behind a broker whose queues have no bound."""
    loop = node(SPARKPLUG + bearing + "".join(FED.format(number=number) for number in range(1, ASSETS)))
    loop.broker.stop()
    loop.broker.more = ["max_queued_messages 0"]
    loop.broker.start()
    loop.start()
    loop.settle()
    return loop


def memory(loop: Any) -> int:
    return int(psutil.Process(loop._process.pid).memory_info().rss)


def assets(kind: str) -> list[str]:
    fed = [f"a{number}" for number in range(1, ASSETS)]
    return fed if "samples" in kind else ["bearing", *fed]


@pytest.mark.parametrize(
    "kind",
    ["context", "context-1", "commands-0", "commands-1", "backups", "evidence", "garbage", "samples", "bad-samples"],
)
def test_a_flooded_node_answers_and_says_how_it_is(plant: Any, kind: str) -> None:
    idle, late_s = memory(plant), []
    with flooded(plant.broker.port, kind, *assets(kind), per_second=PACE):
        for number in range(3):
            asked_s = time.monotonic()
            plant.scada.publish("edgetune/n1/cmd/ping", {"id": f"p{number}"})
            assert plant.reply(f"p{number}")["status"] == "done"
            took_s = time.monotonic() - asked_s
            late_s.append(took_s - promised(PING_S))
            plant.settle()
        assert memory(plant) - idle < ROOM
        assert min(late_s) < 0
    plant.send(signal.SIGTERM)
    assert plant.ended() == 0
    assert "Traceback" not in plant.log()


@pytest.mark.parametrize("kind", ["context", "commands-0", "commands-1", "garbage", "samples", "big", "sparkplug"])
def test_a_flood_as_fast_as_can_be_takes_no_memory_and_hinders_no_stop(plant: Any, kind: str) -> None:
    idle = memory(plant)
    most, over = 0, threading.Event()
    with flooded(plant.broker.port, kind, *assets(kind)):
        for _ in range(round(HARD_S / 0.1)):
            most = max(most, memory(plant) - idle)
            over.wait(0.1)
        within_s = promised(STOP_S)
        told_s = time.monotonic()
        plant.send(signal.SIGTERM)
        assert plant.ended() == 0
        took_s = time.monotonic() - told_s
        assert took_s < max(within_s, promised(STOP_S))
    assert most < ROOM, f"{most / MIB:.1f} MiB more than when idle"
    assert "Traceback" not in plant.log()


def test_a_node_is_back_after_a_flood_for_which_its_broker_dropped_messages(
    node: Callable[..., Any], recorder: Callable[..., Any], bearing: str
) -> None:
    loop = node(bearing)
    loop.broker.stop()
    loop.broker.more = ["max_queued_messages 1000"]  # as without the line; more is dropped, acknowledgements too
    loop.broker.start()
    loop.start()
    answers = recorder(loop.broker, "edgetune/n1/bearing/resp/cancel")
    with flooded(loop.broker.port, "commands-0", "bearing"):
        threading.Event().wait(HARD_S)
    refused = answers.wait_for(lambda seen: seen.json()["reason"] == NO_ROOM).json()
    assert (refused["status"], refused["id"].partition("-")[0]) == ("rejected", "flood")
    loop.scada = recorder(loop.broker, "edgetune/n1/#")  # the one before may have lost messages as the node did
    asked: list[str] = []

    def answered() -> bool:  # the broker may drop the first of these, too: its queue is still full
        asked.append(loop.command("shelve", seconds=60, by="anna", **{"class": "inner"}))
        threading.Event().wait(1.0)
        said = [each.json() for each in loop.scada.messages if each.topic.endswith("/resp/shelve")]
        return any(each["id"] in asked and each["status"] == "done" for each in said)

    wait_until(answered)
    loop.settle()


def test_a_flood_of_garbage_washes_no_command_out_of_the_audit_log(node: Callable[..., Any], bearing: str) -> None:
    loop = node(bearing)
    loop.broker.stop()
    loop.broker.more = ["max_queued_messages 0"]  # else it may drop the last command
    loop.broker.start()
    loop.start()
    shelve = {"seconds": 60, "by": "anna", "class": "inner"}
    jobs = [loop.command("shelve", **shelve)]
    loop.reply(jobs[0], "done")
    unknown = {f"{number}{'x' * 100}": number for number in range(100)}
    loop.reply(loop.command("shelve", **shelve, **unknown), "rejected")

    def refused() -> int:
        counted = sum(line["commands"] for line in loop.audit("suppressed"))
        return counted + len(loop.audit("received"))

    with flooded(loop.broker.port, "garbage", "bearing", per_second=PACE):
        wait_until(lambda: refused() > GARBAGE, PATIENCE_S)
    loop.settle()
    jobs.append(loop.command("shelve", **shelve))
    loop.reply(jobs[1], "done")
    accepted = [json.loads(line) for line in (loop.data / "audit.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["event"] for line in accepted] == ["received", "answered"] * 2
    assert [line["id"] for line in accepted if line["event"] == "answered"] == jobs
    files = sorted(loop.data.glob("audit*"))
    assert [file.name for file in files] == ["audit.jsonl", "audit.refused.jsonl"]
    lines = files[1].read_bytes().splitlines()
    assert len(lines) < GARBAGE
    assert max(map(len, lines)) < MIB // 200, max(lines, key=len)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_hangup_ends_a_node_as_a_termination_does(node: Callable[..., Any], bearing: str, number: int) -> None:
    loop = node(bearing)
    loop.start()
    loop.send(signal.Signals(number))
    assert loop.ended() == 0
    loop.wait("status", lambda status: status["status"] == "stopped")


def test_a_node_that_nohup_has_started_outlives_the_hangup(node: Callable[..., Any], bearing: str) -> None:
    loop = node(bearing)
    loop.start(prefix=("nohup",))
    loop.send(signal.SIGHUP)
    assert loop.reply(loop.command("record", label="normal", seconds=1))["status"] == "done"
    loop.send(signal.SIGTERM)
    assert loop.ended() == 0
