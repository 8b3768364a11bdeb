"""Another rate or another unit than configured is told while it lasts, and what depends on the rate is not judged."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from deciding import RATE, Bench, health_problems, said

from edgetune_node.events.effects import KeepNovel, SaveRecording
from edgetune_node.events.events import ChunkArrived, ModelReady
from edgetune_node.monitor.stream_checks import LOOKS, UnitCheck
from edgetune_signal import Chunk

if TYPE_CHECKING:
    from edgetune_nas.bundle.read import Bundle
    from edgetune_node.events.effects import Effect

ZONES = {"machine": {"zone_limits_mm_s": [0.001, 0.002, 0.003]}, "vibration_s": 1.0}


class OffBench(Bench):
    """A bench whose source may know that the rate is off."""

    measured_hz: float | None = None
    rate_hz = RATE

    def handle(self, event: Any) -> list[Effect]:
        if isinstance(event, ChunkArrived):
            chunk = replace(event.chunk, rate_hz=self.rate_hz)
            if self.measured_hz is not None:
                chunk = replace(chunk, quality=("rate_off",), measured_hz=self.measured_hz)
            event = ChunkArrived(event.asset, chunk)
        return super().handle(event)

    def seconds(self, seconds: float) -> list[Effect]:
        return [effect for _ in range(round(seconds * RATE / 64) + 1) for effect in self.samples()]


def off(bench: Bench) -> list[str]:
    return [problem for problem in health_problems(bench) if "samples come at" in problem]


def test_a_rate_that_is_off_is_told_and_nothing_that_depends_on_it_is_judged(bundle: Bundle) -> None:
    bench = OffBench(rate_hz=4000.0, **ZONES)
    bench.rate_hz = 4000.0
    bench.handle(ModelReady("bearing", "", bundle, None))
    right = bench.seconds(8)
    assert {found["class"] for found in said(right, "classification")} == {"inner"}
    assert said(right, "vibration")[-1]["zone"] is not None
    assert off(bench) == []
    bench.measured_hz = 2000.0
    wrong = bench.seconds(3)
    for found in said(wrong, "classification"):
        assert (found["class"], found["confidence"], found["probabilities"]) == ("unknown", 0.0, {})
        assert "rate_off" in found["quality"]
    for found in said(wrong, "vibration"):
        told = [found[name] for name in ("zone", "velocity_rms_mm_s", "velocity_trend", "defect", "shaft_rpm")]
        assert told == [None] * 5
        assert found["quality"] == ["rate_off"]
        assert found["rms"][0] == pytest.approx(1.0, rel=0.2)
    (problem,) = off(bench)
    assert problem.startswith("bearing: samples come at 2000 Hz where rate_hz is 4000: ")
    assert "sensor_rate_hz" in problem
    state = said(wrong, "state")[-1]
    assert (state["phase"], "2000 Hz" in state["reason"]) == ("failed", True)
    assert [fault for fault in said(wrong, "fault") if not fault["active"]] == []
    (fault,) = said(bench.node.assets["bearing"].announce(), "fault")
    assert "rate_off" in fault["evidence"]["quality"]
    assert (fault["judged"], "2000 Hz" in fault["reason"]) == (False, True)
    bench.measured_hz = None
    again = bench.seconds(8)
    assert off(bench) == []
    assert said(again, "state")[-1]["phase"] == "monitoring"
    assert {found["class"] for found in said(again, "classification")} == {"inner"}
    assert said(again, "vibration")[-1]["zone"] is not None
    assert said(bench.node.assets["bearing"].announce(), "fault")[0]["judged"]


def test_a_measured_rate_that_wavers_writes_no_states(bundle: Bundle) -> None:
    bench = OffBench()
    bench.handle(ModelReady("bearing", "", bundle, None))
    bench.measured_hz = 500.0
    bench.seconds(1)
    states = []
    for wavering in range(50):
        bench.measured_hz = 500.0 + wavering % 5
        states += said(bench.samples(), "state")
    assert states == []


def test_nothing_is_recorded_or_labelled_at_another_rate() -> None:
    bench = OffBench()
    bench.measured_hz = 500.0
    bench.seconds(2)
    bench.command("record", id="r", label="normal", seconds=0.5)
    effects = bench.seconds(1)
    assert [effect for effect in effects if isinstance(effect, SaveRecording | KeepNovel)] == []
    (answer,) = said(effects, "resp/record")
    assert (answer["status"], "another rate than 1000 Hz" in answer["reason"]) == ("failed", True)
    (answer,) = said(bench.command("label", id="l", label="normal", seconds=0.5), "resp/label")
    assert (answer["status"], "rate_off" in answer["reason"]) == ("rejected", True)


def test_features_of_muscles_that_are_told_by_the_second_are_left_out() -> None:
    bench = OffBench(task="sign", emg_s=1.0)
    right = said(bench.seconds(2), "emg")[-1]
    bench.measured_hz = 500.0
    wrong = said(bench.seconds(2), "emg")[-1]
    for name in ("waveform_length", "zero_crossings", "median_frequency_hz"):
        assert right[name][0] > 0
        assert wrong[name] == [None]
    assert wrong["rms"] == pytest.approx(right["rms"], rel=0.2)
    assert "rate_off" in wrong["quality"]


def test_gravity_in_another_unit_is_told_with_both_units_and_what_to_do() -> None:
    bench = Bench(vibration_s=1.0)
    bench.loudness = 0.1
    random = np.random.default_rng(3)

    def hears(mean: float, seconds: int) -> list[dict[str, Any]]:
        found = []
        for _ in range(seconds * 10):
            samples = (mean + random.normal(0, 0.1, (1, 100))).astype(np.float32)
            number = bench.sequence["bearing"]
            bench.sequence["bearing"] += 1
            bench.clock.now += 0.1
            chunk = Chunk(samples, round(bench.clock.now * 1e9), RATE, number)
            found += said(bench.handle(ChunkArrived("bearing", chunk)), "vibration")
        return found

    assert hears(0.0, 10)[-1]["quality"] == ["velocity_rate"]
    assert hears(9.8, 10)[-1]["quality"] == ["velocity_rate", "gravity_unit"]
    (problem,) = [problem for problem in health_problems(bench) if "gravity" in problem]
    assert problem.startswith("bearing: the samples' mean is 9.8")
    assert "gravity in m/s2, but unit is g" in problem
    assert 'to "m/s2"' in problem
    assert hears(1.0, 10)[-1]["quality"] == ["velocity_rate"]
    assert not [problem for problem in health_problems(bench) if "gravity" in problem]


@pytest.mark.parametrize(
    ("unit", "mean", "told"),
    [
        ("g", [9.81], True),
        ("g", [0.0, 6.93, 6.93], True),
        ("m/s2", [1.0], True),
        ("m/s2", [0.6, 0.0, -0.8], True),
        ("g", [1.0], False),
        ("g", [0.0], False),
        ("g", [9.3], False),
        ("m/s2", [9.81], False),
        ("m/s2", [0.9], False),
        ("V", [9.81], False),
        ("mg", [1.0], False),
        ("g", [float("nan")], False),
    ],
)
def test_the_mean_of_all_channels_together_is_held_against_gravity(unit: str, mean: list[float], *, told: bool) -> None:
    check = UnitCheck(unit)
    samples = np.tile(np.array(mean, np.float32)[:, None], 100)
    for _ in range(LOOKS):
        assert check.problem is None
        check.look(samples)
    assert (check.problem is not None) == told
    assert bool(check.quality) == told


def test_what_passes_for_gravity_for_a_moment_is_not_told() -> None:
    check = UnitCheck("g")
    for number in range(50):
        check.look(np.full((1, 100), 9.81 if number % LOOKS else 0.0, np.float32))
        assert check.problem is None
