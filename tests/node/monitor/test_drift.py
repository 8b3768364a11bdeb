"""A slow change is noticed, once; what only fluctuates is not; and a restart begins nothing anew."""

from __future__ import annotations

from math import exp, log
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgetune_node.config.settings import AssetSection
from edgetune_node.contract.parts import Drift
from edgetune_node.monitor.drift import BASELINE_BLOCKS, BLOCK_S, BLOCK_SIGNS, RECENT_BLOCKS, RULES, DriftMonitor
from edgetune_signal import Condition, Indicators

if TYPE_CHECKING:
    from collections.abc import Callable

SECTION = AssetSection(id="a", rate_hz=10, window={"length": 10, "hop": round(10 * BLOCK_S)})
"""One window a block."""
HOUR = 60
STEADY = {"rms": 0.1, "kurtosis": 3.0, "velocity": 1.2, "confidence": 0.97, "distance": 0.4}


class Machine:
    """Minutes of a healthy machine, and every state that its watch has been in."""

    def __init__(self, watch: DriftMonitor | None = None, *, seed: int = 0, memory: float = 0.0) -> None:
        self.watch = watch or DriftMonitor(SECTION)
        self.watch.swap("m1")
        self.states: list[Drift | None] = [self.watch.known]
        self._random = np.random.default_rng(seed)
        self._memory = memory
        self._mood = np.zeros(len(STEADY))

    def live(self, minutes: int, change: Callable[[float], dict[str, float]] = lambda _: {}) -> None:
        """Let time pass; ``change`` gives by how much each figure is larger at each part of it, as a factor."""
        for minute in range(minutes):
            noise = self._random.normal(0, (1 - self._memory**2) ** 0.5, len(STEADY))
            self._mood = self._memory * self._mood + noise
            factor = change(minute / minutes)
            now = {
                name: value * factor.get(name, 1.0) * exp(0.02 * mood)
                for (name, value), mood in zip(STEADY.items(), self._mood, strict=True)
            }
            basic = Indicators((now["rms"],), (0.5,), (5.0,), (now["kurtosis"],), "g", 1.0, ())
            self.watch.look(condition(basic, now["velocity"]))
            self.watch.hear(min(1.0, now["confidence"]), now["distance"])
            if self.watch.known != self.states[-1]:
                self.states.append(self.watch.known)


def condition(basic: Indicators, velocity: float | None) -> Condition:
    return Condition(
        indicators=basic,
        velocity_rms_mm_s=None if velocity is None else (velocity,),
        zone=None,
        shaft=None,
        band_hz=None,
        channel=0,
        lines=(),
        match=None,
        quality=(),
    )


@pytest.mark.slow
@pytest.mark.parametrize("memory", [0.0, 0.9])
def test_a_steady_machine_is_left_alone_for_days(memory: float) -> None:
    false = 0
    for seed in range(20):
        machine = Machine(seed=seed, memory=memory)
        machine.live(48 * HOUR)
        assert machine.watch.known is not None
        assert set(machine.watch.known.figures) == {"rms", "kurtosis", "velocity", "confidence", "distance"}
        false += len(machine.states) - 2
    assert false == 0


@pytest.mark.parametrize(
    ("name", "factor", "word"),
    [
        ("rms", 1.5, "risen"),
        ("rms", 0.6, "fallen"),
        ("kurtosis", 1.6, "risen"),
        ("velocity", 1.6, "risen"),
        ("confidence", 0.8, "fallen"),
        ("distance", 1.8, "risen"),
    ],
)
def test_a_slow_change_suggests_once_and_a_return_ends_it(name: str, factor: float, word: str) -> None:
    machine = Machine()
    machine.live(HOUR)
    machine.live(6 * HOUR, lambda part: {name: 1 + part * (factor - 1)})
    machine.live(6 * HOUR, lambda _: {name: factor})
    (reason,) = machine.watch.reasons
    assert reason.startswith(RULES[name].text)
    before, after = (float(part) for part in reason.split(f"has {word} from ")[1].split(" since")[0].split(" to "))
    assert before == pytest.approx(STEADY[name], rel=0.02)
    assert 0.3 < (after - before) / (STEADY[name] * (factor - 1)) < 0.9  # while it grows, not at the end
    assert len(machine.states) == 3  # none, the baseline, the change
    machine.live(RECENT_BLOCKS)
    assert machine.watch.reasons == ()
    machine.live(12 * HOUR)
    assert len(machine.states) == 4


@pytest.mark.parametrize(("name", "factor"), [("sign_confidence", 0.8), ("sign_distance", 1.8)])
def test_signs_that_slowly_become_less_sure_or_less_alike_suggest_once(name: str, factor: float) -> None:
    random = np.random.default_rng(0)
    watch = DriftMonitor(SECTION.model_copy(update={"task": "sign"}))
    watch.swap("m1")
    reasons = []

    def person_signs(count: int, change: Callable[[float], float]) -> None:
        for number in range(count):
            now = {"sign_confidence": 0.9 + random.normal(0, 0.05), "sign_distance": 0.45 + random.normal(0, 0.12)}
            now[name] *= change(number / count)
            watch.hear_sign(now["sign_confidence"], now["sign_distance"])
            if watch.reasons not in reasons:
                reasons.append(watch.reasons)

    person_signs(1500, lambda _: 1.0)
    assert watch.known is not None
    assert reasons == [()]
    person_signs(1500, lambda part: 1 + part * (factor - 1))
    person_signs(500, lambda _: factor)
    assert len(reasons) == 2
    assert reasons[1][0].startswith(RULES[name].text)
    assert "electrodes" in reasons[1][0]
    person_signs(BLOCK_SIGNS * (RECENT_BLOCKS + 1), lambda _: 1.0)
    assert watch.reasons == ()


def test_a_model_without_distances_has_no_baseline_of_them() -> None:
    watch = DriftMonitor(SECTION.model_copy(update={"task": "sign"}))
    watch.swap("m1")
    for _ in range(BASELINE_BLOCKS * BLOCK_SIGNS):
        watch.hear_sign(0.9, None)
    assert watch.known is not None
    assert set(watch.known.figures) == {"sign_confidence"}


def test_only_what_is_worse_is_a_change_of_the_network() -> None:
    machine = Machine()
    machine.live(HOUR)
    machine.live(3 * HOUR, lambda _: {"confidence": 1.2, "distance": 0.1})
    assert machine.watch.reasons == ()


def test_each_figure_that_follows_is_told_and_the_first_is_not_repeated() -> None:
    machine = Machine()
    machine.live(HOUR)
    machine.live(HOUR, lambda _: {"rms": 1.5})
    first = machine.watch.reasons
    machine.live(HOUR, lambda _: {"rms": 2.0, "kurtosis": 2.0})
    assert machine.watch.reasons[0] == first[0]
    assert len(machine.watch.reasons) == 2
    assert len(machine.states) == 4


def test_a_restart_keeps_baseline_and_change_and_another_model_begins_anew() -> None:
    machine = Machine()
    machine.live(HOUR)
    machine.live(HOUR, lambda _: {"rms": 1.5})
    assert machine.watch.known is not None
    kept = Drift.model_validate_json(machine.watch.known.model_dump_json())
    again = Machine(DriftMonitor(SECTION, kept), seed=1)
    again.live(HOUR, lambda _: {"rms": 1.5})
    assert again.watch.known == kept
    assert again.states == [kept]
    again.watch.swap("m2")
    assert again.watch.known is None
    again.live(BASELINE_BLOCKS, lambda _: {"rms": 1.5})
    assert again.watch.known is not None
    assert again.watch.known.figures["rms"].mean == pytest.approx(log(0.15), abs=0.03)
    assert again.watch.reasons == ()


def test_what_cannot_be_measured_has_no_baseline_and_no_model_none_at_all() -> None:
    watch = DriftMonitor(SECTION)
    watch.swap("m1")
    silent = Indicators((float("nan"),), (0.0,), (float("nan"),), (float("nan"),), "g", 1.0, ("flat",))
    for _ in range(BASELINE_BLOCKS):
        watch.look(condition(silent, None))
        watch.hear(0.9, None)
    assert watch.known is not None
    assert set(watch.known.figures) == {"confidence"}
    watch.swap(None)
    for _ in range(2 * BASELINE_BLOCKS):
        watch.hear(0.9, None)
    assert watch.known is None
