"""A jump of the time of day is noticed once, told for ten minutes, and slewing is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from manual_clock import ManualClock

from edgetune_node.clock import TOLD_S, ClockMonitor

if TYPE_CHECKING:
    from datetime import datetime


@pytest.mark.parametrize(("by_s", "told"), [(3600.0, "+3600 s"), (-3600.0, "-3600 s")])
def test_a_jump_is_noticed_once_and_told_for_ten_minutes(by_s: float, told: str) -> None:
    clock = ManualClock()
    watch = ClockMonitor(clock)
    assert not watch.look()
    assert watch.problems == []
    clock.ahead_s += by_s
    clock.now += 0.25
    assert watch.look()
    assert told in watch.problems[0]
    assert not watch.look()
    clock.now += TOLD_S - 1
    assert told in watch.problems[0]
    clock.now += 2
    assert watch.problems == []


def test_a_process_that_is_stopped_between_two_looks_at_its_clocks_has_seen_no_jump(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = ManualClock()
    watch = ClockMonitor(clock)
    stops, utc = iter([60.0, 0.0]), clock.utc

    def stopped() -> datetime:
        clock.now += next(stops)
        return utc()

    monkeypatch.setattr(clock, "utc", stopped)
    assert not watch.look()
    assert next(stops, None) is None


def test_a_clock_that_is_slewed_has_not_jumped() -> None:
    clock = ManualClock()
    watch = ClockMonitor(clock)
    for _ in range(10_000):
        clock.now += 0.25
        clock.ahead_s += 0.25 * 500e-6
        assert not watch.look()


def test_a_node_that_was_busy_for_a_minute_has_seen_no_jump() -> None:
    clock = ManualClock()
    watch = ClockMonitor(clock)
    clock.now += 60
    assert not watch.look()
