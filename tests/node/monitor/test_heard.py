"""What is learned of a healthy machine bounds its false alarms, survives a restart, and never moves the model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from deciding import RATE, Bench, context, health_problems, only, said
from manual_clock import START_NS

from edgetune_nas.health.limit import MONTH_S, supported_per_month
from edgetune_node.events.effects import Exit
from edgetune_node.events.events import ChunkArrived, HeardKept, LinkChanged, ModelReady, StopRequested
from edgetune_node.events.evidence import KeepHeard
from edgetune_node.monitor.heard import KEEP_S, HealthyTime, Heard
from edgetune_node.monitor.sensor_check import BASELINE_LOOKS, LOOKS
from edgetune_signal import Chunk

if TYPE_CHECKING:
    from edgetune_nas.bundle.read import Bundle


@pytest.mark.parametrize("recorded", [0, 1, 4])
def test_health_that_is_heard_tightens_the_bound_and_faults_widen_it(healthy_bundle: Bundle, recorded: int) -> None:
    metrics = healthy_bundle.card.metrics
    hour_s = 3600.0
    said_of_it = float(f"{supported_per_month(recorded, 600):.3g}")
    metrics = metrics.model_copy(update={"healthy_seconds": 600.0, "supported_per_month": said_of_it})
    bounds = [Heard(model="m", seconds=hours * hour_s).claim(metrics) for hours in (0, 1, 24, 24 * 30)]
    assert [seconds for seconds, _ in bounds] == [600 + hours * hour_s for hours in (0, 1, 24, 24 * 30)]
    most = [bound for _, bound in bounds if bound is not None]
    assert most == sorted(most, reverse=True)
    assert most[0] == pytest.approx(said_of_it, rel=5e-3)
    assert most[-1] == pytest.approx(supported_per_month(recorded, 600 + 24 * 30 * hour_s))
    _, faulty = Heard(model="m", seconds=24 * hour_s, raised=2).claim(metrics)
    assert faulty == pytest.approx(supported_per_month(recorded + 2, 600 + 24 * hour_s))
    assert faulty is not None
    assert faulty > most[2]


def test_of_classes_only_what_is_heard_counts(healthy_bundle: Bundle) -> None:
    metrics = healthy_bundle.card.metrics
    assert Heard(model="m").claim(metrics) == (0.0, None)
    assert Heard(model="m", seconds=10.0).claim(metrics) == (10.0, pytest.approx(3 * MONTH_S / 10))


def test_only_time_that_was_judged_without_a_fault_is_health() -> None:
    time = HealthyTime(step_s=1.0)
    for second in range(10):
        time.hear(float(second), active=False, raised=False)
    assert time.seconds == 10
    time.hear(500.0, active=False, raised=False)  # nothing came between
    assert time.seconds == 11
    for second in range(501, 600):
        time.hear(float(second), active=True, raised=second == 501)
    time.hear(100.0, active=False, raised=False)  # the clock was set back
    assert (time.seconds, time.raised) == (11, 1)


def test_a_snapshot_stands_for_the_time_since_the_one_before() -> None:
    time = HealthyTime(step_s=600.0)
    for second in range(0, 6000, 600):
        for window in range(4):
            time.hear(second + 0.05 * window, active=False, raised=False)
    assert time.seconds == pytest.approx(6000 + 0.15)


# ---- over a restart --------------------------------------------------------------------------------------------


def machine(**more: Any) -> Bench:
    return Bench(vibration_s=1, alarm={"raise_after_s": 10, "clear_after_s": 60}, **more)


def hear(bench: Bench, seconds: int, part: float = 1.0) -> list[Any]:
    effects = []
    for _ in range(seconds * 10):
        samples = (part * bench.random.normal(0, 1, (1, 100))).astype(np.float32)
        number = bench.sequence["bearing"]
        bench.sequence["bearing"] += 1
        bench.clock.now += 0.1
        time_ns = START_NS + round(bench.clock.now * 1e9)
        effects += bench.handle(ChunkArrived("bearing", Chunk(samples, time_ns, RATE, number)))
    return effects


def healthy_time(bench: Bench) -> dict[str, Any]:
    asset: dict[str, Any] = said(bench.handle(LinkChanged(connected=True)), "health")[0]["assets"][0]
    return asset


@pytest.fixture
def learned(healthy_bundle: Bundle) -> Heard:
    """What a node knows when it ends that has heard a machine for a while."""
    bench = machine()
    bench.handle(ModelReady("bearing", "", healthy_bundle, None))
    context(bench, shaft_rpm=1500.0)
    hear(bench, BASELINE_LOOKS + 5)
    effects = bench.handle(StopRequested())
    assert isinstance(effects[-1], Exit)
    kept = only(effects, KeepHeard)
    assert kept.ending
    return Heard.model_validate_json(kept.content)


def test_time_modes_and_the_sensors_baseline_are_known_after_a_restart(healthy_bundle: Bundle, learned: Heard) -> None:
    bench = machine(kept=(learned, None))
    bench.handle(ModelReady("bearing", "", healthy_bundle, None))
    found = healthy_time(bench)
    assert (found["healthy_seconds"], found["raised"]) == (pytest.approx(BASELINE_LOOKS + 5, abs=0.2), 0)
    context(bench, shaft_rpm=2400.0)
    told = said(hear(bench, 1), "fault")[-1]
    assert told["mode"] == "unseen"
    dead = hear(bench, LOOKS + 2, 0.001)
    assert said(dead, "fault")[-1]["judged"] is False
    assert "collapsed" in said(dead, "fault")[-1]["reason"]


def test_with_another_model_it_is_learned_anew(healthy_bundle: Bundle, learned: Heard) -> None:
    other = replace(healthy_bundle, card=healthy_bundle.card.model_copy(update={"id": "other"}))
    bench = machine(kept=(learned, None))
    bench.handle(ModelReady("bearing", "", other, None))
    found = healthy_time(bench)
    assert (found["healthy_seconds"], found["raised"], found["supported_per_month"]) == (0, 0, None)
    context(bench, shaft_rpm=2400.0)
    assert said(hear(bench, 1), "fault")[-1]["mode"] is None


def test_a_baseline_of_other_channels_is_not_used(healthy_bundle: Bundle, learned: Heard) -> None:
    two = learned.sensor[0].model_copy(update={"level": (1e3, 1e3)})
    bench = machine(kept=(learned.model_copy(update={"sensor": (two,) * BASELINE_LOOKS}), None))
    bench.handle(ModelReady("bearing", "", healthy_bundle, None))
    told = said(hear(bench, LOOKS + 2), "fault")
    assert told[-1]["judged"], told[-1]["reason"]


def test_it_is_kept_now_and_then_and_only_where_it_is_news(healthy_bundle: Bundle) -> None:
    bench = machine()
    assert not kept_of(tick_after(bench, 2 * KEEP_S))  # there is no model
    bench.handle(ModelReady("bearing", "", healthy_bundle, None))
    hear(bench, 5)
    assert len(kept_of(tick_after(bench, KEEP_S))) == 1
    assert kept_of(tick_after(bench, KEEP_S)) == []
    hear(bench, 5)
    assert kept_of(tick_after(bench, KEEP_S / 2)) == []
    [kept] = kept_of(tick_after(bench, KEEP_S / 2))
    assert Heard.model_validate_json(kept.content).seconds == pytest.approx(10, abs=0.2)


def tick_after(bench: Bench, seconds: float) -> list[Any]:
    from edgetune_node.events.events import Tick

    bench.clock.now += seconds
    return bench.handle(Tick())


def kept_of(effects: list[Any]) -> list[KeepHeard]:
    return [each for each in effects if isinstance(each, KeepHeard)]


def test_what_cannot_be_kept_or_was_damaged_is_told_in_health() -> None:
    bench = machine(kept=(None, "heard.json is damaged"))
    assert any("heard.json is damaged" in each for each in health_problems(bench))
    bench.handle(HeardKept("bearing", "disk full"))
    assert any("what is learned of health cannot be kept: disk full" in each for each in health_problems(bench))
    bench.handle(HeardKept("bearing"))
    assert health_problems(bench) == []
