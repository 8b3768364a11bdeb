"""Velocity is what an analog integrator would read, and zones are those of ISO 20816-3."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st

from edgetune_signal.vibration.velocity import ZONE_LIMITS_MM_S, velocity_problem, velocity_rms, zone

RATE = 12_000.0


def acceleration(frequency_hz: float, velocity_mm_s: float, *, phase: float = 0.0, rate_hz: float = RATE) -> np.ndarray:
    """One second, in m/s2, of a sine whose velocity has this RMS."""
    time_s = np.arange(round(rate_hz)) / rate_hz
    peak = velocity_mm_s / 1e3 * math.sqrt(2) * 2 * math.pi * frequency_hz
    return (peak * np.sin(2 * np.pi * frequency_hz * time_s + phase))[None].astype(np.float32)


def reference(samples: np.ndarray, rate_hz: float) -> float:
    """Sum the discrete Fourier transform's velocity lines from 10 to 1000 Hz, one after the other."""
    n = len(samples)
    turned = (samples - samples.mean()) * np.hanning(n + 1)[:-1]
    total = 0.0
    for k in range(round(10 * n / rate_hz), round(1000 * n / rate_hz) + 1):
        angle = 2 * np.pi * k * np.arange(n) / n
        power = (turned @ np.cos(angle)) ** 2 + (turned @ np.sin(angle)) ** 2
        total += 2 * power / (2 * np.pi * k * rate_hz / n) ** 2
    return 1e3 * math.sqrt(total / n / (np.hanning(n + 1)[:-1] ** 2).sum())


@hypothesis_settings(deadline=None, max_examples=60)
@given(
    frequency=st.floats(12, 995),
    velocity=st.floats(0.05, 30),
    phase=st.floats(0, 6.28),
    offset=st.floats(-50, 50),
)
def test_a_sine_in_the_band_has_its_velocity_within_one_percent(
    frequency: float, velocity: float, phase: float, offset: float
) -> None:
    samples = acceleration(frequency, velocity, phase=phase) + np.float32(offset)  # gravity is no vibration
    assert velocity_rms(samples, "m/s2", RATE)[0] == pytest.approx(velocity, rel=0.01, abs=0.001)


def test_g_and_metres_per_second_squared_say_the_same() -> None:
    samples = acceleration(60, 4.0)
    assert velocity_rms(samples / np.float32(9.80665), "g", RATE)[0] == pytest.approx(4.0, rel=0.01)


@pytest.mark.parametrize("frequency", [3.0, 7.0, 1100.0, 3000.0])
def test_what_lies_outside_the_band_is_left_out(frequency: float) -> None:
    assert velocity_rms(acceleration(frequency, 5.0), "m/s2", RATE)[0] < 0.1


def test_it_agrees_with_the_plain_sum() -> None:
    samples = np.random.default_rng(3).normal(0, 4, (2, 2560)).astype(np.float32)
    expected = [reference(channel.astype(float), 2560.0) for channel in samples]
    np.testing.assert_allclose(velocity_rms(samples, "m/s2", 2560.0), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("unit", "rate_hz", "seconds", "problem"),
    [
        ("counts", 12_000, 1, "velocity_unit"),
        ("g", 2_559, 1, "velocity_rate"),
        ("g", 12_000, 0.99, "velocity_length"),
        ("m/s2", 2_560, 1, None),
    ],
)
def test_a_signal_that_allows_no_velocity_gives_none(
    unit: str, rate_hz: float, seconds: float, problem: str | None
) -> None:
    assert velocity_problem(unit, rate_hz, seconds) == problem
    samples = np.zeros((1, round(rate_hz * seconds)), np.float32)
    if problem is None:
        assert velocity_rms(samples, unit, rate_hz)[0] == 0
    else:
        with pytest.raises(ValueError, match=problem):
            velocity_rms(samples, unit, rate_hz)


def test_zones_change_at_the_limits_of_the_standard() -> None:
    limits = ZONE_LIMITS_MM_S[2, "rigid"]
    assert [zone(value, limits) for value in (0, 1.4, 1.41, 2.8, 2.81, 4.5, 4.51)] == [
        "A",
        "A",
        "B",
        "B",
        "C",
        "C",
        "D",
    ]
    assert ZONE_LIMITS_MM_S[1, "flexible"] == (3.5, 7.1, 11.0)
