"""Time stamps follow the device's rate, its drift is found, and a silent loss does not pass for drift."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from manual_clock import START_NS

from edgetune_signal.stream.timeline import Timeline

RATE = 1000.0
N = 20


def play(clock: Any, timeline: Timeline, seconds: float, *, true_hz: float = RATE, seed: int = 0) -> list[float]:
    """Let samples arrive up to 5 ms late, and give the errors of their time stamps in seconds."""
    random = np.random.default_rng(seed)
    start, errors = clock.now, []
    for number in range(round(seconds * true_hz / N)):
        taken = start + (number + 1) * N / true_hz
        clock.now = max(clock.now, taken + random.uniform(0, 0.005))
        time_ns, lost = timeline.stamp(N)
        assert not lost
        errors.append((time_ns - START_NS) / 1e9 - (taken - N / true_hz))
    return errors


@pytest.mark.parametrize("true_hz", [1000.0, 1003.0, 950.0])
def test_time_stamps_are_within_milliseconds_and_the_rate_is_found(clock: Any, true_hz: float) -> None:
    timeline = Timeline(RATE, clock)
    errors = play(clock, timeline, 120, true_hz=true_hz)  # 5 % more than rate_off needs a minute to be caught up with
    assert np.abs(errors[-1000:]).max() < 0.006
    assert timeline.measured_hz == pytest.approx(true_hz, rel=2e-4)
    assert timeline.rate.quality == (("rate_off",) if true_hz == 950 else ())


def test_without_a_gap_a_time_stamp_follows_the_one_before(clock: Any) -> None:
    errors = play(clock, Timeline(RATE, clock), 60, true_hz=1003.0)
    assert np.abs(np.diff(errors)).max() < 0.02 * N / RATE


def test_nothing_is_said_of_the_rate_before_it_can_be_told(clock: Any) -> None:
    timeline = Timeline(RATE, clock)
    play(clock, timeline, 5, true_hz=900.0)
    assert timeline.measured_hz is None
    assert timeline.rate.quality == ()


def test_a_silent_loss_is_told_within_seconds_and_is_no_drift(clock: Any) -> None:
    timeline = Timeline(RATE, clock)
    play(clock, timeline, 30)
    clock.now += 0.5  # samples of half a second never come
    told = []
    for number in range(300):
        clock.now += N / RATE
        if timeline.stamp(N)[1]:
            told.append(number)
    assert len(told) == 1
    assert told[0] * N / RATE < 4
    assert timeline.measured_hz == pytest.approx(RATE, rel=2e-3)


def test_a_process_that_was_stopped_for_a_while_loses_nothing(clock: Any) -> None:
    timeline = Timeline(RATE, clock)
    play(clock, timeline, 30)
    clock.now += 5.0
    lost = [timeline.stamp(N)[1] for _ in range(round(5 * RATE / N))]  # all that had piled up, at once
    assert not any(lost)
    errors = play(clock, timeline, 30)
    assert np.abs(errors[-500:]).max() < 0.01


def test_after_a_gap_time_is_the_present_and_the_rate_stays_known(clock: Any) -> None:
    timeline = Timeline(RATE, clock)
    play(clock, timeline, 30, true_hz=900.0)
    clock.now += 100.0
    timeline.skip()
    time_ns, lost = timeline.stamp(N)
    assert not lost
    assert (time_ns - clock.utc_ns()) / 1e9 == pytest.approx(-N / 900.0, abs=1e-3)
    assert timeline.rate.quality == ("rate_off",)


def test_a_thread_that_waits_between_two_looks_at_its_clocks_stamps_rightly(
    clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, utc_ns = iter([3.0, 0.0]), clock.utc_ns

    def late() -> int:
        clock.now += next(waits)
        return int(utc_ns())

    monkeypatch.setattr(clock, "utc_ns", late)
    time_ns, _ = Timeline(RATE, clock).stamp(N)
    assert (time_ns - START_NS) / 1e9 == pytest.approx(-N / RATE)
    assert next(waits, None) is None
