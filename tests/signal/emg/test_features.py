"""EMG features agree with their definitions, and with what is known of sines and noise."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, strategies as st

from edgetune_signal import EmgFeatures, emg_features
from edgetune_signal.emg.features import envelope

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE = 1000.0
NAMES = ("rms", "mean_absolute", "envelope", "waveform_length", "zero_crossings", "median_frequency_hz")


def sine(frequency_hz: float, amplitude: float = 3.0, seconds: float = 1.0) -> NDArray[np.float32]:
    time = np.arange(round(seconds * RATE)) / RATE
    return (amplitude * np.sin(2 * np.pi * frequency_hz * time + 0.3)[None]).astype(np.float32)


def by_definition(channel: NDArray[np.float32], rate_hz: float) -> dict[str, float]:
    """One channel, one sample after the other."""
    values = [float(value) for value in channel]
    count = len(values)
    mean = math.fsum(values) / count
    x = [value - mean for value in values]
    rms = math.sqrt(math.fsum(value * value for value in x) / count)
    steps = list(itertools.pairwise(x))
    crossings = sum((a < 0) != (b < 0) for a, b in steps)
    length = max(1, round(0.05 * rate_hz))
    around = [
        [abs(x[j]) for j in range(i - length // 2, i - length // 2 + length) if 0 <= j < count] for i in range(count)
    ]
    power = []
    for k in range(1, count // 2 + 1):
        real = math.fsum(value * math.cos(2 * math.pi * k * i / count) for i, value in enumerate(x))
        imaginary = math.fsum(value * math.sin(2 * math.pi * k * i / count) for i, value in enumerate(x))
        power.append((real * real + imaginary * imaginary) * (0.5 if 2 * k == count else 1.0))
    left, median = math.fsum(power) / 2, math.nan
    for k, part in enumerate(power, 1):
        if left <= part:
            median = (k - 0.5 + left / part) * rate_hz / count
            break
        left -= part
    return {
        "rms": rms,
        "mean_absolute": math.fsum(abs(value) for value in x) / count,
        "envelope": max(math.fsum(part) / len(part) for part in around),
        "waveform_length": math.fsum(abs(b - a) for a, b in steps) / (count / rate_hz),
        "zero_crossings": crossings / (count / rate_hz),
        "median_frequency_hz": median,
    }


def of_first(found: EmgFeatures) -> dict[str, float]:
    return {name: getattr(found, name)[0] for name in NAMES}


@pytest.mark.parametrize("frequency_hz", [20.0, 80.0, 160.0])
def test_a_sine_has_its_textbook_values(frequency_hz: float) -> None:
    found = emg_features(sine(frequency_hz) + 100, "uV", RATE)
    assert found.rms[0] == pytest.approx(3 / math.sqrt(2), rel=1e-4)
    assert found.mean_absolute[0] == pytest.approx(2 * 3 / math.pi, rel=0.01)
    assert found.zero_crossings[0] == pytest.approx(2 * frequency_hz, abs=1)
    assert found.median_frequency_hz[0] == pytest.approx(frequency_hz, abs=0.5)
    assert (found.unit, found.seconds, found.quality) == ("uV", 1.0, ())


def test_the_curve_of_a_slow_sine_is_four_amplitudes_a_period_long() -> None:
    assert emg_features(sine(5.0), "uV", RATE).waveform_length[0] == pytest.approx(4 * 3 * 5.0, rel=0.01)


def test_white_noise_has_its_expected_values() -> None:
    noise = np.random.default_rng(0).normal(0, 2.0, (2, 200_000)).astype(np.float32)
    found = emg_features(noise, "uV", RATE)
    assert found.rms == pytest.approx((2.0, 2.0), rel=0.01)
    assert found.mean_absolute == pytest.approx((2 * math.sqrt(2 / math.pi),) * 2, rel=0.01)
    assert found.median_frequency_hz == pytest.approx((RATE / 4,) * 2, rel=0.01)
    assert found.waveform_length == pytest.approx((2 * 2 / math.sqrt(math.pi) * RATE,) * 2, rel=0.01)


def test_the_envelope_follows_a_burst_and_lags_nothing() -> None:
    burst = np.zeros((1, 1000), np.float32)
    burst[0, 400:600] = sine(100, 2.0, 0.2)
    found = envelope(burst, RATE)[0]
    assert found[400:600].max() == pytest.approx(2 * 2 / math.pi, rel=0.02)
    assert found[:370].max() == found[630:].max() == 0
    rise, fall = (np.flatnonzero(found > 2 / math.pi)[edge] for edge in (0, -1))
    assert abs(rise - 400) <= 6
    assert abs(fall - 599) <= 6


@pytest.mark.parametrize("count", [2, 3, 50, 61])
def test_every_feature_is_what_its_definition_says(count: int) -> None:
    samples = np.random.default_rng(count).normal(5, 30, (3, count)).astype(np.float32)
    found = emg_features(samples, "counts", 200.0)
    for number, channel in enumerate(samples):
        wanted = by_definition(channel, 200.0)
        assert {name: getattr(found, name)[number] for name in NAMES} == pytest.approx(wanted, rel=1e-6, abs=1e-6)


@given(st.integers(0, 1000), st.floats(0.01, 1000), st.floats(-100, 100))
def test_a_gain_scales_amplitudes_and_neither_it_nor_an_offset_changes_the_rest(
    seed: int, gain: float, offset: float
) -> None:
    samples = np.random.default_rng(seed).normal(0, 1, (1, 100))
    plain = of_first(emg_features(samples, "V", RATE))  # type: ignore[arg-type] # doubles: rounding shall not count
    other = of_first(emg_features(gain * samples + offset, "V", RATE))  # type: ignore[arg-type]
    for name in NAMES[:4]:
        assert other[name] == pytest.approx(gain * plain[name], rel=1e-6)
    for name in NAMES[4:]:
        assert other[name] == pytest.approx(plain[name], rel=1e-6)


def test_a_constant_channel_has_no_median_frequency_and_a_broken_one_nothing() -> None:
    samples = np.random.default_rng(0).normal(0, 1, (3, 100)).astype(np.float32)
    samples[1] = 4.0
    samples[2, 7] = np.nan
    found = emg_features(samples, "counts", RATE)
    assert set(found.quality) == {"flat", "nan"}
    assert (found.rms[1], found.waveform_length[1], found.zero_crossings[1]) == (0, 0, 0)
    assert math.isnan(found.median_frequency_hz[1])
    assert all(math.isnan(getattr(found, name)[2]) for name in NAMES)
    assert all(math.isfinite(value) for value in of_first(found).values())


def test_one_sample_has_no_features() -> None:
    with pytest.raises(ValueError, match="at least 2 samples, not 1"):
        emg_features(np.zeros((1, 1), np.float32), "counts", RATE)
