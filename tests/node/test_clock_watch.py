"""A jump of the time of day is noticed once, told for ten minutes, and slewing is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from edgetune_node.clock import TOLD_S, ClockWatch


class Clock:
    def __init__(self) -> None:
        self.monotonic_s = 5.0
        self.ahead_s = 0.0

    def utc(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.monotonic_s + self.ahead_s)

    def monotonic(self) -> float:
        return self.monotonic_s

    def synced(self) -> bool:
        return True


@pytest.mark.parametrize(("by_s", "told"), [(3600.0, "+3600 s"), (-3600.0, "-3600 s")])
def test_a_jump_is_noticed_once_and_told_for_ten_minutes(by_s: float, told: str) -> None:
    clock = Clock()
    watch = ClockWatch(clock)
    assert not watch.look()
    assert watch.problems == []
    clock.ahead_s += by_s
    clock.monotonic_s += 0.25
    assert watch.look()
    assert told in watch.problems[0]
    assert not watch.look()
    clock.monotonic_s += TOLD_S - 1
    assert told in watch.problems[0]
    clock.monotonic_s += 2
    assert watch.problems == []


def test_a_clock_that_is_slewed_has_not_jumped() -> None:
    clock = Clock()
    watch = ClockWatch(clock)
    for _ in range(10_000):
        clock.monotonic_s += 0.25
        clock.ahead_s += 0.25 * 500e-6
        assert not watch.look()


def test_a_node_that_was_busy_for_a_minute_has_seen_no_jump() -> None:
    clock = Clock()
    watch = ClockWatch(clock)
    clock.monotonic_s += 60
    assert not watch.look()
