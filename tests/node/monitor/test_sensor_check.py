"""A sensor that died, came loose, saturates or picks up the mains is told from a machine in fault."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from deciding import RATE, Bench, said
from manual_clock import START_NS

from edgetune_node.events.events import ChunkArrived, ModelReady
from edgetune_node.monitor.sensor_check import BASELINE_LOOKS, LOOKS, SensorCheck
from edgetune_signal import BearingSimulator, Chunk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from edgetune_nas.bundle.read import Bundle
    from edgetune_signal.stream import Samples

HZ = 2000
TIME_S = np.arange(HZ) / HZ
RANDOM = np.random.default_rng(3)


def healthy(axes: int = 3) -> Samples:
    """One second of a machine, with gravity on the last axis."""
    samples = RANDOM.normal(0, 0.2, (axes, HZ)) + np.sin(2 * np.pi * 24.6 * TIME_S) * 0.1
    samples[-1] += 1.0
    return samples.astype(np.float32)


def checked(looks: Iterable[Samples], shaft_hz: float | None = None, unit: str = "g") -> SensorCheck:
    check = SensorCheck(unit, HZ)
    for _ in range(BASELINE_LOOKS):
        check.look(healthy(), healthy=True, shaft_hz=shaft_hz)
    for samples in looks:
        check.look(samples.astype(np.float32), healthy=False, shaft_hz=shaft_hz)
    return check


def hum(mains_hz: float, phase: float = 0.0) -> Samples:
    line = np.sin(2 * np.pi * mains_hz * TIME_S + phase) + 0.3 * np.sin(2 * np.pi * 3 * mains_hz * TIME_S)
    return np.stack([2 * line, 1.5 * line, line]) + healthy()


GRAVITY = np.array([[0.0], [0], [1]])
TURNED = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
BAD: dict[str, tuple[str, Callable[[], Any]]] = {
    "a cable that broke": ("sensor_dead", lambda: 0.003 * healthy()),
    "one axis that died": ("sensor_dead", lambda: healthy() * np.array([[1], [1e-3], [1]])),
    "a sensor that hangs on its cable": ("sensor_loose", lambda: TURNED @ healthy()),
    "a range that is too small": ("sensor_saturated", lambda: np.clip(20 * (healthy() - GRAVITY), -2, 2)),
    "mains of 50 Hz": ("sensor_disturbed", lambda: hum(50.02)),
    "mains of 60 Hz": ("sensor_disturbed", lambda: hum(59.97)),
    "one disturbance on every axis": (
        "sensor_disturbed",
        lambda: healthy() + RANDOM.normal(0, 5, HZ) * np.array([[1], [0.8], [1.2]]),
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_sensor_is_named_after_some_looks_and_taken_back(name: str) -> None:
    trouble, make = BAD[name]
    check = checked(make() for _ in range(LOOKS - 1))
    assert (check.trouble, check.reason) == (None, "")
    check.look(make().astype(np.float32), healthy=False, shaft_hz=None)
    assert check.trouble == trouble
    assert check.reason
    for _ in range(LOOKS):
        check.look(healthy(), healthy=False, shaft_hz=None)
    assert check.trouble is None


SOUND: dict[str, Callable[[], Any]] = {
    "ten times as loud": lambda: healthy() + RANDOM.normal(0, 2, (3, HZ)),
    "a fifth of the load": lambda: (healthy() - [[0], [0], [1]]) * 0.2 + [[0], [0], [1]],
    "unbalance of an induction motor near the mains": lambda: hum(49.2),
    "shocks that clip": lambda: np.clip(30 * (healthy() - GRAVITY) + GRAVITY, -8, 8),
    "shocks": lambda: healthy() + 30 * (RANDOM.random((3, HZ)) > 0.99) * RANDOM.normal(0, 1, (3, HZ)),
    "a little drift by temperature": lambda: healthy() + 0.08,
}


@pytest.mark.parametrize("name", SOUND)
def test_a_machine_that_changes_is_no_bad_sensor(name: str) -> None:
    assert checked(SOUND[name]() for _ in range(2 * LOOKS)).trouble is None


def test_a_shaft_that_turns_with_the_mains_may_shake_with_them() -> None:
    assert checked((hum(50.0) for _ in range(2 * LOOKS)), shaft_hz=50.0).trouble is None
    assert checked((hum(50.0) for _ in range(2 * LOOKS)), shaft_hz=27.0).trouble == "sensor_disturbed"


def test_single_looks_change_nothing() -> None:
    assert checked([0.003 * healthy(), healthy()] * 20).trouble is None


def test_without_a_baseline_only_what_needs_none_is_told() -> None:
    check = SensorCheck("g", HZ)
    for _ in range(LOOKS):
        check.look(1e-3 * healthy(), healthy=False, shaft_hz=None)
    assert check.trouble is None
    for _ in range(LOOKS):
        check.look(np.clip(20 * (healthy() - GRAVITY), -2, 2), healthy=False, shaft_hz=None)
    assert check.trouble == "sensor_saturated"


@pytest.mark.parametrize("condition", ["inner_severe", "outer_severe", "ball_severe"])
def test_a_bearing_that_breaks_is_no_bad_sensor(condition: str) -> None:
    check = SensorCheck("g", 12_000)
    for name, count in (("normal", BASELINE_LOOKS), (condition, 3 * LOOKS)):
        simulator = BearingSimulator(condition=name, rate_hz=12_000, seed=4)
        for _ in range(count):
            check.look(simulator.generate(12_000), healthy=name == "normal", shaft_hz=None)
    assert check.trouble is None


def test_a_sensor_that_dies_is_not_judged_raises_nothing_and_the_node_says_why(healthy_bundle: Bundle) -> None:
    bench = Bench(vibration_s=1, alarm={"raise_after_s": 10, "clear_after_s": 60})
    bench.handle(ModelReady("bearing", "", healthy_bundle, None))

    def hear(seconds: int, part: float) -> list[Any]:
        effects = []
        for _ in range(seconds * 10):
            samples = (part * bench.random.normal(0, 1, (1, 100))).astype(np.float32)
            number = bench.sequence["bearing"]
            bench.sequence["bearing"] += 1
            bench.clock.now += 0.1
            time_ns = START_NS + round(bench.clock.now * 1e9)
            effects += bench.handle(ChunkArrived("bearing", Chunk(samples, time_ns, RATE, number)))
        return effects

    hear(40, 1.0)
    effects = hear(20, 1e-3)
    (fault,) = said(effects, "fault")
    assert (fault["judged"], fault["active"], fault["class"], fault["severity"]) == (False, False, None, "unknown")
    assert fault["severity_level"] is None
    assert "cable" in fault["reason"]
    assert said(effects, "state")[-1]["reason"] == fault["reason"]
    told = said(effects, "classification")[-1]
    assert (told["class"], told["quality"]) == ("unknown", ["sensor_dead"])
    effects = hear(10, 1.0)
    assert [(fault["judged"], fault["class"]) for fault in said(effects, "fault")] == [(True, "normal")]
