"""A rate that is off is found whatever it is, and nothing else passes for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pytest

from edgetune_signal.stream.rate import RATE_SPAN_S, RateMeter

if TYPE_CHECKING:
    from collections.abc import Iterator

RATE = 3200.0
N = 64
Arrival: TypeAlias = tuple[float, int | None]
"""Monotonic time at which a block of `N` samples arrives, and the sender's own time of its first sample in ns."""


def taken(seconds: float, true_hz: float = RATE, start_s: float = 100.0) -> Iterator[float]:
    """Return when the last sample of each block is taken."""
    return (start_s + (number + 1) * N / true_hz for number in range(round(seconds * true_hz / N)))


def jittered(times_s: Iterator[float], worst_s: float = 0.02) -> list[Arrival]:
    random = np.random.default_rng(1)
    arrived_s, arrivals = 0.0, []
    for at_s in times_s:
        arrived_s = max(arrived_s, at_s + random.uniform(0, worst_s))
        arrivals.append((arrived_s, None))
    return arrivals


def play(meter: RateMeter, arrivals: list[Arrival]) -> set[bool]:
    """Let blocks arrive; give all that was said of the rate."""
    said = set()
    for now_s, taken_ns in arrivals:
        meter.add(N, now_s, taken_ns)
        said.add(meter.off)
    return said


@pytest.mark.parametrize(
    "true_hz", [100.0, 1600.0, 3040.0, 3090.0, 3120.0, 3200.0, 3280.0, 3310.0, 3400.0, 6400.0, 25_600.0]
)
def test_the_rate_is_found_after_thirty_seconds_and_is_off_by_more_than_three_percent(true_hz: float) -> None:
    meter = RateMeter(RATE)
    assert play(meter, jittered(taken(20, true_hz))) == {False}
    assert meter.measured_hz is None
    meter = RateMeter(RATE)
    play(meter, jittered(taken(RATE_SPAN_S + 3, true_hz)))
    assert meter.measured_hz == pytest.approx(true_hz, rel=2e-3)
    assert meter.off == (abs(true_hz / RATE - 1) > 0.03)
    assert meter.quality == (("rate_off",) if meter.off else ())


def test_it_ends_when_the_rate_is_right_again_also_without_a_gap() -> None:
    meter = RateMeter(RATE)
    assert True in play(meter, jittered(taken(60, 1600.0)))
    play(meter, jittered(taken(RATE_SPAN_S, start_s=160.0)))
    assert not meter.off
    assert meter.measured_hz == pytest.approx(RATE, rel=1e-2)


def test_after_a_gap_what_is_known_stays_until_enough_has_come_that_says_otherwise() -> None:
    meter = RateMeter(RATE)
    play(meter, jittered(taken(60, 1600.0)))
    meter.gap()
    assert play(meter, jittered(taken(5, start_s=200.0))) == {True}
    play(meter, jittered(taken(RATE_SPAN_S, start_s=205.0)))
    assert not meter.off


def bursts(period_s: float) -> list[Arrival]:
    """A radio that sends what has piled up every ``period_s``."""
    return [(np.ceil(at_s / period_s) * period_s, None) for at_s in taken(120)]


def silent_losses() -> list[Arrival]:
    """Two losses of a second that nobody tells, in every half minute."""
    return [(at_s + (at_s - 100) // 15, None) for at_s in taken(120)]


def outage(drained_s: float) -> list[Arrival]:
    """The way is cut for a minute, and what has piled up comes within ``drained_s`` after."""
    return [
        (at_s if not 130 < at_s < 190 + drained_s else 190 + (at_s - 130) * drained_s / (60 + drained_s), None)
        for at_s in taken(180)
    ]


def backlog_at_start() -> list[Arrival]:
    """A broker had kept ten seconds, and lets them go at twice the pace."""
    return [(max(at_s, 110 + (at_s - 100) / 2), None) for at_s in taken(120)]


def other_pace(speed: float) -> list[Arrival]:
    """A recording is played faster or slower, with the time stamps of the signal."""
    return [(100 + (at_s - 100) / speed, round((at_s - N / RATE) * 1e9)) for at_s in taken(300)]


def congested() -> list[Arrival]:
    """Samples are stamped as they are taken, and the way takes up nine of ten for two minutes."""
    return [(100 + (at_s - 100) / 0.9, round((at_s - N / RATE) * 1e9)) for at_s in taken(120)]


def busy_reader() -> list[Arrival]:
    """Nobody reads for three seconds now and then."""
    return [(at_s if at_s % 10 > 3 else at_s - at_s % 10 + 3, None) for at_s in taken(120)]


QUIET = {
    "bursts of two seconds": bursts(2.0),
    "bursts of seven seconds": bursts(7.0),
    "silent losses": silent_losses(),
    "an outage, all at once after": outage(0.1),
    "an outage, ten seconds to catch up": outage(10.0),
    "an outage, a minute to catch up": outage(60.0),
    "a backlog at the start": backlog_at_start(),
    "played at four times the pace": other_pace(4.0),
    "played at half the pace": other_pace(0.5),
    "a slow way, stamped samples": congested(),
    "a reader that is busy": busy_reader(),
}


@pytest.mark.parametrize("arrivals", QUIET.values(), ids=QUIET)
def test_what_is_no_other_rate_is_not_told_as_one(arrivals: list[Arrival]) -> None:
    meter = RateMeter(RATE)
    assert len(arrivals) * N / RATE > 2 * RATE_SPAN_S
    assert play(meter, arrivals) == {False}


def test_losses_that_are_told_are_no_other_rate() -> None:
    meter = RateMeter(RATE)
    random = np.random.default_rng(2)
    said, lost = set(), False
    for number, at_s in enumerate(taken(200)):
        if random.random() < 0.1 or 2000 < number < 4000:
            lost = True
            continue
        if lost:
            meter.gap()
        lost = False
        meter.add(N, at_s)
        said.add(meter.off)
    assert said == {False}


@pytest.mark.parametrize("every_s", [8.0, 20.0])
def test_a_rate_that_is_off_is_found_also_where_blocks_are_lost_now_and_then(every_s: float) -> None:
    meter = RateMeter(RATE)
    last = 0.0
    for at_s in taken(120, 1600.0):
        if at_s // every_s != last // every_s:
            meter.gap()
        last = at_s
        meter.add(N, at_s)
    assert meter.off
    assert meter.measured_hz == pytest.approx(1600.0, rel=1e-3)


def test_a_sender_that_stamps_by_its_own_clock_is_found_as_the_others_are() -> None:
    meter = RateMeter(RATE)
    play(meter, [(at_s, round((at_s - N / 1600.0) * 1e9)) for at_s in taken(40, 1600.0)])
    assert meter.off
    assert meter.measured_hz == pytest.approx(1600.0, rel=1e-3)


def test_a_sender_whose_clock_stands_still_is_measured_by_arrival() -> None:
    meter = RateMeter(RATE)
    play(meter, [(at_s, 5) for at_s in taken(40, 1600.0)])
    assert meter.measured_hz == pytest.approx(1600.0, rel=1e-3)


def test_blocks_of_many_seconds_are_measured_too() -> None:
    meter = RateMeter(10.0)
    for number in range(20):
        meter.add(N, 100 + number * N / 8.0)
    assert meter.off
    assert meter.measured_hz == pytest.approx(8.0)
