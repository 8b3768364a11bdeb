"""The simulated bearing strikes where physics says, and the simulated armband's gestures can be told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.signal import hilbert

from edgetune_signal import (
    ARMBAND_GESTURES,
    BEARING_CONDITIONS,
    DEEP_GROOVE_6205,
    ArmbandSimulator,
    BearingGeometry,
    BearingSimulator,
    SourceError,
    window_quality,
)
from edgetune_signal.simulators.bearing import BEARING_MIN_RATE_HZ
from edgetune_signal.vibration.condition_indicators import indicators

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE_HZ = 12000.0
RPM = 1797.0


def envelope_peak_order(condition: str, lowest: float, highest: float) -> tuple[float, float]:
    """Order of the strongest line of the envelope spectrum, and how far it stands above the median."""
    samples = BearingSimulator(condition=condition, shaft_rpm=RPM, seed=3).generate(120_000)[0].astype(float)
    spectrum = np.fft.rfft(samples)
    frequencies = np.fft.rfftfreq(len(samples), 1 / RATE_HZ)
    spectrum[(frequencies < 2200) | (frequencies > 4200)] = 0
    envelope = np.abs(hilbert(np.fft.irfft(spectrum)))
    lines = np.abs(np.fft.rfft(envelope - envelope.mean()))
    orders = frequencies / (RPM / 60)
    band = (orders > lowest) & (orders < highest)
    return float(orders[band][lines[band].argmax()]), float(lines[band].max() / np.median(lines[band]))


def test_orders_of_the_6205_are_those_published() -> None:
    orders = DEEP_GROOVE_6205.orders()
    assert orders.bpfo == pytest.approx(3.5848, abs=2e-3)
    assert orders.bpfi == pytest.approx(5.4152, abs=2e-3)
    assert orders.ftf == pytest.approx(0.3983, abs=2e-3)
    assert orders.bsf == pytest.approx(2.3567, abs=2e-3)


def test_a_contact_angle_moves_the_orders_together() -> None:
    straight, angled = BearingGeometry(9, 8, 40).orders(), BearingGeometry(9, 8, 40, 40).orders()
    assert angled.bpfo > straight.bpfo
    assert angled.bpfo + angled.bpfi == pytest.approx(9)


def test_an_outer_race_defect_shows_at_its_order_in_the_envelope() -> None:
    found, prominence = envelope_peak_order("outer_moderate", 2.2, 6.8)
    assert found == pytest.approx(DEEP_GROOVE_6205.orders().bpfo, rel=0.02)
    assert prominence > 10


def test_an_inner_race_defect_shows_at_its_order_and_a_turn_beside_it() -> None:
    found, prominence = envelope_peak_order("inner_moderate", 2.2, 6.8)
    order = DEEP_GROOVE_6205.orders().bpfi
    assert min(abs(found - order - turn) for turn in (-1, 0, 1)) < 0.1
    assert prominence > 10


def test_a_ball_defect_shows_at_twice_its_spin_and_is_modulated_by_the_cage() -> None:
    orders = DEEP_GROOVE_6205.orders()
    found, prominence = envelope_peak_order("ball_severe", 4.2, 5.2)
    sidebands = [2 * orders.bsf + k * orders.ftf for k in (-1, 0, 1)]
    assert min(abs(found - line) for line in sidebands) < 0.1
    assert prominence > 4


def test_a_healthy_bearing_sounds_like_noise_and_defects_grow() -> None:
    def kurtosis_and_rms(condition: str) -> tuple[float, float]:
        found = indicators(BearingSimulator(condition=condition, seed=1).generate(60_000), "g", RATE_HZ)
        return found.kurtosis[0], found.rms[0]

    healthy = kurtosis_and_rms("normal")
    assert healthy[0] == pytest.approx(3, abs=0.3)
    for part in ("inner", "outer", "ball"):
        levels = [kurtosis_and_rms(f"{part}_{severity}") for severity in ("slight", "moderate", "severe")]
        assert levels[0][0] > healthy[0] + 1
        assert healthy[1] < levels[0][1] < levels[1][1] < levels[2][1]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_bearing_does_not_depend_on_how_it_is_cut(channels: int) -> None:
    whole = BearingSimulator(channels=channels, condition="ball_severe", seed=4).generate(3000)
    pieces = BearingSimulator(channels=channels, condition="ball_severe", seed=4)
    cut = np.concatenate([pieces.generate(n) for n in (1, 7, 992, 0, 2000)], axis=1)
    np.testing.assert_array_equal(whole, cut)
    assert whole.dtype == np.float32
    assert whole.shape == (channels, 3000)


def test_equal_seeds_give_equal_signals_and_others_do_not() -> None:
    first, same, other = (BearingSimulator(condition="inner_slight", seed=s).generate(500) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


def test_channels_see_the_same_impacts_through_different_paths() -> None:
    samples = BearingSimulator(channels=3, condition="outer_severe").generate(24_000)
    rms = samples.std(axis=1)
    assert len(set(np.round(rms, 3).tolist())) == 3
    assert np.corrcoef(np.abs(samples))[0, 1:].min() > 0.3


def test_a_bearing_in_si_units_is_the_same_times_gravity() -> None:
    in_g = BearingSimulator(seed=1).generate(100)
    in_si = BearingSimulator(seed=1, unit="m/s2").generate(100)
    np.testing.assert_allclose(in_si, in_g * 9.80665, rtol=1e-5)


def test_the_machine_runs_on_when_its_condition_changes() -> None:
    simulator = BearingSimulator(condition="normal", seed=2)
    before = simulator.generate(6000)
    simulator.select("outer_severe")
    broken = simulator.generate(6000)
    simulator.select("normal")
    simulator.generate(1000)  # rings out
    repaired = simulator.generate(6000)
    assert broken.std() > 3 * before.std()
    assert repaired.std() == pytest.approx(before.std(), rel=0.2)


def test_every_condition_is_finite_and_of_good_quality() -> None:
    for condition in BEARING_CONDITIONS:
        assert window_quality(BearingSimulator(condition=condition).generate(2048), None) == ()


def test_an_unknown_condition_or_stream_is_refused_with_what_there_is() -> None:
    with pytest.raises(SourceError, match=r"no condition 'rusty'.*inner_slight"):
        BearingSimulator().select("rusty")
    with pytest.raises(SourceError, match="1 or 3 channels"):
        BearingSimulator(channels=2)


def log_power(subject: str, gesture: str, seed: int) -> np.ndarray:
    simulator = ArmbandSimulator(gesture=gesture, subject=subject, seed=seed)
    simulator.generate(100)  # the contraction builds up
    windows = simulator.generate(52 * 20).reshape(8, 20, 52)
    features: np.ndarray = np.log(windows.std(axis=2).T + 0.5)
    return features


def nearest_mean_accuracy(train_subject: str, test_subject: str) -> float:
    means = np.array([log_power(train_subject, gesture, 1).mean(axis=0) for gesture in ARMBAND_GESTURES])
    right = [
        np.argmin(((window - means) ** 2).sum(axis=1)) == number
        for number, gesture in enumerate(ARMBAND_GESTURES)
        for window in log_power(test_subject, gesture, 2)
    ]
    return float(np.mean(right))


def test_a_persons_gestures_can_be_told_apart_and_another_persons_less_well() -> None:
    assert nearest_mean_accuracy("0", "0") > 0.9
    assert np.mean([nearest_mean_accuracy("0", other) for other in "1234"]) < 0.8


def test_an_armband_delivers_whole_counts_within_eight_bits() -> None:
    samples = ArmbandSimulator(gesture="fist", subject="2").generate(2000)
    assert samples.shape == (8, 2000)
    assert samples.dtype == np.float32
    assert np.array_equal(samples, np.rint(samples))
    assert -128 <= samples.min() < -20
    assert 20 < samples.max() <= 127


def test_a_contraction_builds_up_and_relaxes() -> None:
    simulator = ArmbandSimulator(subject="1")
    rest = simulator.generate(200).std()
    simulator.select("fist")
    onset = simulator.generate(8).std()
    held = simulator.generate(400).std()
    simulator.select("rest")
    simulator.generate(200)
    assert rest < onset < held
    assert simulator.generate(200).std() == pytest.approx(rest, rel=0.3)


def test_an_armband_does_not_depend_on_how_it_is_cut() -> None:
    whole = ArmbandSimulator(gesture="pinch", seed=1).generate(500)
    pieces = ArmbandSimulator(gesture="pinch", seed=1)
    np.testing.assert_array_equal(whole, np.concatenate([pieces.generate(n) for n in (3, 97, 400)], axis=1))


@pytest.mark.parametrize("worn", [{}, {"fatigue": 1.0}])
def test_a_worn_armband_does_not_depend_on_how_it_is_cut(worn: dict[str, float]) -> None:
    whole = ArmbandSimulator(gesture="pinch", seed=1, session=2, turn=1, **worn).generate(500)
    pieces = ArmbandSimulator(gesture="pinch", seed=1, session=2, turn=1, **worn)
    assert np.array_equal(whole, np.concatenate([pieces.generate(n) for n in (1, 199, 300)], axis=1))


def test_a_turned_armband_hears_with_other_channels_what_it_heard() -> None:
    level, turned = (
        np.abs(ArmbandSimulator(gesture="fist", subject="flat", turn=turn).generate(8000)).mean(axis=1)
        for turn in (0, 1)
    )
    shifts = [np.corrcoef(np.roll(level, -shift), turned)[0, 1] for shift in range(8)]
    assert int(np.argmax(shifts)) == 1


def test_another_session_is_the_same_person_a_little_different() -> None:
    def levels(session: int, subject: str = "1") -> NDArray[np.float32]:
        simulator = ArmbandSimulator(gesture="fist", subject=subject, session=session)
        return np.log(np.abs(simulator.generate(8000)).mean(axis=1))

    between = np.abs(levels(0) - levels(1)).mean()
    assert 0.03 < between < np.abs(levels(0) - levels(0, "2")).mean()
    assert np.array_equal(levels(3), levels(3))


def test_held_signs_tire_and_recover_with_rest() -> None:
    def looks(samples: NDArray[np.float32]) -> tuple[float, float]:
        power = (np.abs(np.fft.rfft(samples, axis=1)) ** 2).sum(axis=0)
        median = np.searchsorted(np.cumsum(power), power.sum() / 2) * 100 / len(power)
        return float(np.abs(samples).mean()), float(median)

    simulator = ArmbandSimulator(gesture="fist", subject="1", fatigue=1.0)
    fresh_level, fresh_hz = looks(simulator.generate(600))
    simulator.generate(20_000)
    level, median_hz = looks(simulator.generate(600))
    assert level > 1.2 * fresh_level
    assert median_hz < 0.8 * fresh_hz
    simulator.select("rest")
    simulator.generate(60_000)
    simulator.select("fist")
    simulator.generate(200)
    assert looks(simulator.generate(600))[1] > 0.9 * fresh_hz


def test_people_wear_the_armband_turned_by_any_angle() -> None:
    rotations = [ArmbandSimulator(subject=str(number)).rotation for number in range(40)]
    assert np.histogram(rotations, bins=4, range=(0, 2 * np.pi))[0].min() >= 3


def test_an_unknown_gesture_is_refused_with_what_there_is() -> None:
    with pytest.raises(SourceError, match=r"no gesture 'wave'.*pinch"):
        ArmbandSimulator().select("wave")


def test_at_its_lowest_rate_a_bearing_still_rings() -> None:
    simulator = BearingSimulator(rate_hz=BEARING_MIN_RATE_HZ, condition="outer_severe")
    assert np.abs(simulator.generate(2700)).max() > 0.5  # a healthy one gives 0.2
    with pytest.raises(SourceError, match=f"{BEARING_MIN_RATE_HZ:g} Hz or more"):
        BearingSimulator(rate_hz=BEARING_MIN_RATE_HZ - 1)
