"""A sensor that sends snapshots is served like one that sends all the time: no failure between them, and an alarm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from deciding import RATE, Bench, said
from manual_clock import START_NS

from edgetune_node.events.events import ChunkArrived, ModelReady, Tick
from edgetune_node.monitor.stream_health import SnapshotInterval
from edgetune_signal import Chunk

if TYPE_CHECKING:
    from edgetune_nas.bundle.read import Bundle

FIVE_AND_FIVE = {"raise_after_s": 10, "clear_after_s": 60, "heartbeat_s": 1e6}


def snapshot(bench: Bench, every_s: float, samples: int = 150) -> list[Any]:
    """One of 0.15 s, and a tick each second (or minute) until the next is due."""
    number = bench.sequence["bearing"]
    bench.sequence["bearing"] += 1
    data = bench.random.normal(0, bench.loudness, (1, samples)).astype(np.float32)
    time_ns = START_NS + round(bench.clock.now * 1e9)
    effects = bench.handle(ChunkArrived("bearing", Chunk(data, time_ns, RATE, number, gap=number > 0)))
    for _ in range(10):
        bench.clock.now += every_s / 10
        effects += bench.handle(Tick())
    return effects


@pytest.mark.parametrize("every_s", [10.0, 600.0])
@pytest.mark.parametrize("told", [True, False])
def test_snapshots_raise_one_event_and_clear_it_without_a_failure_between_them(
    bundle: Bundle, healthy_bundle: Bundle, every_s: float, *, told: bool
) -> None:
    duty = {"source": {"type": "mqtt", "duty": {"on_s": 0.15, "every_s": every_s}}} if told else {}
    bench = Bench(alarm=FIVE_AND_FIVE, **duty)
    bench.handle(ModelReady("bearing", "", healthy_bundle, None))
    learning = [each for _ in range(4) for each in snapshot(bench, every_s)]
    if told:
        assert {state["phase"] for state in said(learning, "state")} <= {"monitoring"}
    effects = [each for _ in range(20) for each in snapshot(bench, every_s)]
    assert said(effects, "state") == []
    assert said(effects, "fault") == []

    bench.handle(ModelReady("bearing", "", bundle, None))
    raised = [(number, fault) for number in range(1, 9) for fault in said(snapshot(bench, every_s), "fault")]
    assert [(number, fault["active"], fault["class"]) for number, fault in raised] == [(5, True, "inner")]
    bench.handle(ModelReady("bearing", "", healthy_bundle, None))
    cleared = [(number, fault) for number in range(1, 9) for fault in said(snapshot(bench, every_s), "fault")]
    assert [(number, fault["active"]) for number, fault in cleared] == [(6 if every_s == 10 else 5, False)]


def test_a_sensor_that_stays_away_is_named_after_three_snapshots(healthy_bundle: Bundle) -> None:
    bench = Bench(alarm=FIVE_AND_FIVE)
    bench.handle(ModelReady("bearing", "", healthy_bundle, None))
    for _ in range(10):
        snapshot(bench, 600.0)
    bench.clock.now += 1000
    assert said(bench.handle(Tick()), "state") == []
    bench.clock.now += 300
    effects = bench.handle(Tick())
    (state,) = said(effects, "state")
    assert (state["phase"], "no samples for more than 1800 s" in state["reason"]) == ("failed", True)
    (fault,) = said(effects, "fault")
    assert (fault["judged"], fault["class"], fault["severity"], fault["reason"]) == (
        False,
        None,
        "unknown",
        state["reason"],
    )


def test_single_outages_of_a_stream_are_no_snapshots() -> None:
    interval = SnapshotInterval(0.0)
    for _ in range(3):
        for _ in range(1000):
            interval.hear(0.1, 0.1)
        interval.hear(40.0, 0.1)
        assert interval.every_s == 0.0


def test_a_sensor_that_goes_over_to_sending_all_the_time_is_missed_as_soon_as_any() -> None:
    interval = SnapshotInterval(0.0)
    for _ in range(3):
        interval.hear(600.0, 0.1)
    assert interval.every_s == 600.0
    for _ in range(4000):
        interval.hear(0.1, 0.1)
    assert interval.every_s == 0.0
