"""The time of day of a running node is set, and nothing that waits or is shelved lasts longer or shorter for it."""

from __future__ import annotations

import re
import signal
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from brokers import wait_until

from edgetune_signal import BearingSimulator, Block, encode_block
from edgetune_signal.sources.conformance import sending

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)
SLEEP = "import threading, time\ntime.sleep = lambda seconds: threading.Event().wait(seconds) and None\n"
"""Under libfaketime 0.9.10 Python's own fails, which ends the thread that connects to the broker."""
DAY_S = 86_400
# Each look at a clock opens libfaketime's file: at 50 blocks a second a busy machine loses samples for that alone.
TWO = "".join(
    f"""
[[asset]]
id = "{name}"
rate_hz = 3000
source = {{{{ type = "simulated", condition = "normal", block_s = 0.5 }}}}
"""
    for name in ("press", "mill")
)
RATE_HZ, WRONG_HZ, BLOCK = 3200.0, 1600.0, 640
FAST_HZ, FAST_BLOCK = 12000.0, 2400
PUMP = """
[[asset]]
id = "pump"
rate_hz = 3200
vibration_s = 1
machine = {{ zone_limits_mm_s = [0.001, 0.002, 0.003] }}
"""


class TimeOfDay:
    """A time of day that is as far ahead of the machine's as a file says."""

    def __init__(self, folder: Path) -> None:
        if FAKETIME is None:
            pytest.skip("libfaketime is not installed (apt install faketime)")
        self._file = folder / "faketime"
        (folder / "sitecustomize.py").write_text(SLEEP, encoding="ascii")
        self.jump(0)
        self.environment = {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_NO_CACHE": "1",
            "PYTHONPATH": str(folder),
        }

    def jump(self, ahead_s: int) -> None:
        written = self._file.with_suffix(".new")
        written.write_text(f"{ahead_s:+d}", encoding="ascii")
        written.replace(self._file)


@pytest.fixture
def clock(tmp_path: Path) -> TimeOfDay:
    return TimeOfDay(tmp_path)


def test_answers_that_wait_survive_a_clock_that_jumps_by_thirty_days_and_a_restart_after_it(
    node: Callable[..., Any], clock: TimeOfDay
) -> None:
    edge = node(TWO)
    edge.start(**clock.environment)
    first = edge.command("record", "press", label="normal", seconds=20.0)
    second = edge.command("record", "mill", label="normal", seconds=32.0)
    for job in (first, second):
        edge.reply(job, "accepted")
    edge.broker.stop()
    edge.forget()

    def waits(job: str) -> bool:
        return f'"id":"{job}","command":"record","status":"done"' in edge.kept("resp/record")

    wait_until(lambda: waits(first), what="the first answer waits")
    clock.jump(30 * DAY_S)
    wait_until(lambda: waits(second), what="the second answer waits")
    wait_until(lambda: waits(first), what="the first answer still waits")  # a look may copy a file half written
    edge.send(signal.SIGTERM)
    assert edge.ended() == 0
    edge.broker.start()
    edge.start(**clock.environment)
    for job in (first, second):
        assert edge.reply(job)["status"] == "done"
    health = edge.wait("health", lambda found: found["outbox_depth"] == 0)
    assert health["outbox_dropped"] == 0


def test_a_class_that_is_shelved_for_twenty_seconds_is_not_an_hour_later_by_a_clock_that_is_set_back(
    node: Callable[..., Any], bearing: str, clock: TimeOfDay
) -> None:
    edge = node(bearing)
    edge.start(**clock.environment)
    began_s = time.monotonic()
    edge.reply(edge.command("shelve", seconds=20.0, by="anna", **{"class": "inner"}), "done")
    first = edge.wait("fault", lambda found: found["shelves"])["shelves"][0]
    edge.forget()
    clock.jump(-3600)
    moved = edge.wait("fault", lambda found: found["shelves"] and found["shelves"][0]["until"] != first["until"])
    back = datetime.fromisoformat(first["until"]) - datetime.fromisoformat(moved["shelves"][0]["until"])
    assert back.total_seconds() == pytest.approx(3600, abs=2)
    edge.wait("fault", lambda found: not found["shelves"])
    assert time.monotonic() - began_s >= 20.0
    health = edge.wait("health", lambda found: any("the clock jumped" in each for each in found["problems"]))
    assert health["outbox_dropped"] == 0


def test_what_is_unknown_is_kept_after_a_clock_that_is_set_back_behind_a_recording(
    node: Callable[..., Any], bearing: str, calibrated: Path, clock: TimeOfDay
) -> None:
    edge = node(bearing.partition("[asset.source]")[0])  # its samples come by MQTT, and get the time of their arrival
    machine = BearingSimulator()
    began_s = time.monotonic()

    def play(number: int) -> None:
        samples = machine.generate(FAST_BLOCK)
        time.sleep(max(0.0, began_s + number * FAST_BLOCK / FAST_HZ - time.monotonic()))
        block = encode_block(Block(samples, number, 0, FAST_HZ, "g"))
        edge.scada.publish("edgetune/n1/bearing/samples", block, qos=0)

    with sending(play, every_s=0.0):
        edge.adopt(calibrated, **clock.environment)
        edge.reply(edge.command("record", label="normal", seconds=1), "done")
        clock.jump(-3600)
        edge.wait("health", lambda found: any("the clock jumped by -3600 s" in each for each in found["problems"]))
        machine.select("outer_severe")
        fault = edge.wait("fault", lambda found: found["active"] and found["class"] == "novel")
        health = edge.wait("health", lambda found: found["assets"][0]["novel_events"])
    assert health["assets"][0]["novel_events"] == [fault["event"]]


def test_after_a_kill_a_shelve_ends_by_whichever_clock_is_first(
    node: Callable[..., Any], bearing: str, clock: TimeOfDay
) -> None:
    edge = node(bearing)
    edge.start(**clock.environment)
    for class_, seconds in (("outer", 3600.0), ("inner", 6.0)):
        edge.reply(edge.command("shelve", seconds=seconds, by="anna", **{"class": class_}), "done")
    edge.wait("fault", lambda found: {each["class"] for each in found["shelves"]} == {"inner", "outer"})
    for ahead_s, left in ((-3600, ["outer"]), (7200, [])):
        edge.send(signal.SIGKILL)
        edge.ended()
        edge.forget()
        clock.jump(ahead_s)
        edge.start(**clock.environment)
        edge.wait("fault", lambda found, left=left: [each["class"] for each in found["shelves"]] == left)


def test_a_sensor_at_half_the_rate_is_told_within_a_minute_and_taken_back_when_it_is_right(
    node: Callable[..., Any],
) -> None:
    edge = node(PUMP)
    edge.start()
    random = np.random.default_rng(0)
    sent, due_s = 0, time.monotonic()

    def told() -> list[float]:
        problems = edge.scada.on("edgetune/n1/health")[-1].json()["problems"]
        return [float(found[1]) for each in problems if (found := re.search(r"samples come at (\S+) Hz where", each))]

    def plays_until(condition: Callable[[], bool], rate_hz: float) -> None:
        nonlocal sent, due_s
        deadline_s = time.monotonic() + 120
        due_s = time.monotonic()
        while not condition():
            assert time.monotonic() < deadline_s
            due_s += BLOCK / rate_hz
            time.sleep(max(0.0, due_s - time.monotonic()))
            samples = random.normal(0, 1, (1, BLOCK)).astype(np.float32)
            edge.scada.publish("edgetune/n1/pump/samples", encode_block(Block(samples, sent, 0, RATE_HZ, "g")), qos=0)
            sent += 1

    began_s = time.monotonic()
    plays_until(lambda: bool(edge.scada.on("edgetune/n1/pump/vibration")), RATE_HZ)
    edge.wait("vibration", lambda found: found["zone"] is not None and found["quality"] == [])
    edge.wait("health", lambda _: True)
    assert told() == []
    plays_until(lambda: told() == [pytest.approx(WRONG_HZ, rel=0.1)], WRONG_HZ)
    assert time.monotonic() - began_s > 20
    edge.forget()
    plays_until(lambda: bool(edge.scada.on("edgetune/n1/pump/vibration")), WRONG_HZ)
    found = edge.scada.on("edgetune/n1/pump/vibration")[-1].json()
    assert (found["zone"], found["velocity_rms_mm_s"], found["quality"]) == (None, None, ["rate_off"])
    plays_until(lambda: bool(edge.scada.on("edgetune/n1/health")) and told() == [], RATE_HZ)
    edge.forget()
    plays_until(lambda: any(each.json()["zone"] for each in edge.scada.on("edgetune/n1/pump/vibration")), RATE_HZ)
