"""A second of vibration names the defect that is there, at the speed that is said or found, and nothing else."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgetune_signal import (
    BEARINGS,
    DEEP_GROOVE_6205,
    BearingSimulator,
    Machine,
    ShaftSpeed,
    StreamSpec,
    diagnose,
    read_recording,
)
from edgetune_signal.vibration.diagnosis import Condition, defect_of_class
from edgetune_signal.vibration.shaft_speed import estimate_shaft_hz

if TYPE_CHECKING:
    from pathlib import Path

RATE = 12_000.0
SPEC = StreamSpec(1, RATE, "g")
MACHINE = Machine(orders=DEEP_GROOVE_6205.orders(), zone_limits_mm_s=(1.4, 2.8, 4.5))


def simulated(condition: str, rpm: float = 1797.0, *, seed: int = 0, seconds: float = 1.0) -> np.ndarray:
    return BearingSimulator(condition=condition, shaft_rpm=rpm, seed=seed).generate(round(seconds * RATE))


def each_second(path: Path) -> list[Condition]:
    recording = read_recording(path)
    assert recording.shaft_rpm is not None
    shaft = ShaftSpeed(recording.shaft_rpm, "config")
    starts = range(0, recording.samples.shape[1] - int(RATE) + 1, int(RATE))
    return [diagnose(recording.samples[:, at : at + int(RATE)], SPEC, MACHINE, shaft) for at in starts]


def test_the_orders_of_known_bearings_are_the_published_ones() -> None:
    orders = BEARINGS["6205-2RS"].orders()
    assert (orders.bpfo, orders.bpfi, orders.ftf, 2 * orders.bsf) == pytest.approx(
        (3.5848, 5.4152, 0.39828, 4.7135), abs=2e-4
    )
    orders = BEARINGS["6203-2RS"].orders()
    assert (orders.bpfo, orders.bpfi, orders.ftf, 2 * orders.bsf) == pytest.approx(
        (3.0530, 4.9469, 0.3817, 3.9874), abs=5e-4
    )
    assert BEARINGS["UER204"].orders().bpfo * 35 == pytest.approx(107.91, abs=0.02)
    assert BEARINGS["ZA-2115"].orders().bpfo * 2000 / 60 == pytest.approx(236.4, abs=0.05)
    assert BEARINGS["NICE"].orders().bpfo * 25 == pytest.approx(81.125, abs=0.01)


@pytest.mark.parametrize(
    ("name", "defect"),
    [
        ("inner_007", "bpfi"),
        ("inner_014", "bpfi"),
        ("inner_021", "bpfi"),
        ("outer_centered_007", "bpfo"),
        ("outer_opposite_007", "bpfo"),
        ("outer_orthogonal_007", "bpfo"),
    ],
)
def test_real_recordings_of_race_defects_show_their_line_every_second(
    recordings_dir: Path, name: str, defect: str
) -> None:
    found = each_second(recordings_dir / "cwru_de_1797rpm" / f"{name}.npz")
    assert Counter(second.match.defect if second.match else None for second in found) == {defect: len(found)}


def test_a_real_healthy_bearing_shows_none(recordings_dir: Path) -> None:
    found = each_second(recordings_dir / "cwru_de_1797rpm" / "normal.npz")
    assert len(found) >= 10
    assert not any(second.match for second in found)


@pytest.mark.parametrize("rpm", [900.0, 1797.0, 2950.0])
@pytest.mark.parametrize(("condition", "defect"), [("outer_moderate", "bpfo"), ("inner_moderate", "bpfi")])
def test_simulated_defects_are_found_at_other_speeds(condition: str, defect: str, rpm: float) -> None:
    found = diagnose(simulated(condition, rpm), SPEC, MACHINE, ShaftSpeed(rpm, "context"))
    assert found.match is not None
    assert found.match.defect == defect
    assert found.match.frequency_hz == pytest.approx(MACHINE.orders._asdict()[defect] * rpm / 60)  # type: ignore[union-attr]
    assert found.match.over_floor > 3
    assert found.match.amplitude > 0


@pytest.mark.parametrize("seed", range(8))
def test_a_healthy_machine_matches_nothing(seed: int) -> None:
    found = diagnose(simulated("normal", seed=seed), SPEC, MACHINE, ShaftSpeed(1797, "config"))
    assert found.match is None
    assert {line.defect for line in found.lines} == {"bpfo", "bpfi", "bsf2", "ftf"}
    assert found.quality == ()


def test_the_clearest_channel_speaks() -> None:
    samples = np.concatenate([simulated("normal"), simulated("outer_severe"), simulated("normal", seed=4)])
    found = diagnose(samples, StreamSpec(3, RATE, "g"), MACHINE, ShaftSpeed(1797, "config"))
    assert found.channel == 1
    assert found.match is not None
    assert len(found.velocity_rms_mm_s or ()) == 3


def test_a_configured_band_is_used() -> None:
    machine = Machine(orders=MACHINE.orders, band_hz=(2000, 4000))
    found = diagnose(simulated("outer_severe"), SPEC, machine, ShaftSpeed(1797, "config"))
    assert found.band_hz == (2000, 4000)


@pytest.mark.parametrize("rpm", [1500.0, 1797.0, 2400.0])
@pytest.mark.parametrize("condition", ["normal", "inner_severe", "outer_severe"])
def test_the_speed_is_estimated_within_a_range(condition: str, rpm: float) -> None:
    found = estimate_shaft_hz(simulated(condition, rpm)[0].astype(float), RATE, (22, 43))
    assert found is not None
    assert 60 * found == pytest.approx(rpm, rel=0.01)


def test_an_estimated_speed_is_marked_and_serves_the_orders() -> None:
    machine = Machine(orders=MACHINE.orders, shaft_range_rpm=(1500, 2500))
    found = diagnose(simulated("inner_severe"), SPEC, machine)
    assert found.shaft is not None
    assert found.shaft.origin == "estimated"
    assert found.match is not None
    assert found.match.defect == "bpfi"


@pytest.mark.parametrize(("other", "expected"), [(0.5, None), (0.05, 27.0)])
def test_of_two_speeds_that_stand_out_alike_none_is_taken(other: float, expected: float | None) -> None:
    t = np.arange(RATE) / RATE
    noise = np.random.default_rng(6).normal(0, 0.5, t.size)
    trains = [sum(np.sin(2 * np.pi * k * hz * t) for k in (1, 2, 3)) for hz in (27.0, 34.0)]
    found = estimate_shaft_hz(0.5 * trains[0] + other * trains[1] + noise, RATE, (22, 43))
    assert found == (None if expected is None else pytest.approx(expected, rel=0.01))


@pytest.mark.parametrize("dead", [[0], [0, 1]])
def test_a_sensor_that_measures_nothing_is_in_no_zone(dead: list[int]) -> None:
    samples = np.concatenate([simulated("normal"), simulated("normal")])
    assert diagnose(samples, StreamSpec(2, RATE, "g"), MACHINE).zone == "A"
    samples[dead] = 0.3
    found = diagnose(samples, StreamSpec(2, RATE, "g"), MACHINE)
    assert (found.zone, found.quality[0]) == (None, "flat")


def test_noise_has_no_speed() -> None:
    noise = np.random.default_rng(5).normal(size=12_000)
    assert estimate_shaft_hz(noise, RATE, (24, 36)) is None
    assert estimate_shaft_hz(noise[:600], RATE, (24, 36)) is None


def test_what_the_signal_does_not_allow_is_said_and_not_published() -> None:
    found = diagnose(simulated("inner_severe"), SPEC, MACHINE)
    assert (found.lines, found.match, found.quality) == ((), None, ("no_shaft_speed",))
    slow = diagnose(simulated("inner_severe"), SPEC, MACHINE, ShaftSpeed(300, "config"))
    assert slow.quality == ("ftf_unresolved",)
    assert {line.defect for line in slow.lines} == {"bpfo", "bpfi", "bsf2"}
    low = StreamSpec(1, 1000.0, "g")
    dull = diagnose(simulated("inner_severe")[:, :1000], low, MACHINE, ShaftSpeed(1797, "config"))
    assert (dull.velocity_rms_mm_s, dull.zone, dull.quality) == (None, None, ("velocity_rate", "envelope_rate"))
    beyond = replace(MACHINE, band_hz=(RATE / 2, RATE))
    outside = diagnose(simulated("inner_severe"), SPEC, beyond, ShaftSpeed(1797, "config"))
    assert (outside.lines, outside.quality) == ((), ("envelope_band",))
    raw = diagnose(simulated("inner_severe"), StreamSpec(1, RATE, "counts"), Machine())
    assert (raw.velocity_rms_mm_s, raw.quality) == (None, ("velocity_unit",))
    broken = simulated("inner_severe")
    broken[0, 5] = np.nan
    assert diagnose(broken, SPEC, MACHINE, ShaftSpeed(1797, "config")).quality == ("nan",)


def test_a_standing_shaft_has_no_orders() -> None:
    found = diagnose(simulated("normal"), SPEC, MACHINE, ShaftSpeed(0, "context"))
    assert (found.lines, found.match) == ((), None)


def test_a_constant_signal_is_no_crash() -> None:
    found = diagnose(np.zeros((1, 12_000), np.float32), SPEC, MACHINE, ShaftSpeed(1797, "config"))
    assert found.match is None
    assert "flat" in found.quality


def test_classes_speak_of_defects() -> None:
    names = ("inner_severe", "Outer_007", "ball", "normal", "cage")
    assert [defect_of_class(name) for name in names] == ["bpfi", "bpfo", "bsf2", None, "ftf"]
