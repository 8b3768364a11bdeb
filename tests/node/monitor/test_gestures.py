from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings as hypothesis_settings, strategies as st

from edgetune_node.config.settings import SignSection
from edgetune_node.monitor.gestures import SignDetector, SignEvent

if TYPE_CHECKING:
    from collections.abc import Iterable

UNTIMED = hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
START = datetime(2026, 1, 31, 12, tzinfo=UTC)
STEP = timedelta(milliseconds=50)
LENGTH = timedelta(milliseconds=250)


def detector(min_windows: int = 3) -> SignDetector:
    count = itertools.count(1)
    return SignDetector(SignSection(min_windows=min_windows, min_confidence=0.6), "rest", lambda: f"s{next(count)}")


def play(signs: SignDetector, classes: Iterable[str | tuple[str, float]]) -> list[SignEvent]:
    events = []
    for index, item in enumerate(classes):
        class_, confidence = item if isinstance(item, tuple) else (item, 0.9)
        event = signs.observe(class_, confidence, START + index * STEP, START + index * STEP + LENGTH)
        events += [event] if event else []
    return events


def test_a_sign_is_told_once_when_the_person_rests_again() -> None:
    (event,) = play(detector(), ["rest", "fist", ("fist", 0.7), ("fist", 0.8), *["rest"] * 6])
    assert (event.event, event.class_, event.windows, event.of) == ("s1", "fist", 3, 3)
    assert event.confidence == pytest.approx(0.8)
    assert (event.start, event.end) == (START + STEP, START + 3 * STEP + LENGTH)


def test_too_few_windows_are_no_sign() -> None:
    assert play(detector(), ["fist", "fist", "rest", "fist", "fist", "rest"]) == []


def test_another_sign_that_lasts_ends_the_one_before_where_it_begins() -> None:
    signs = detector()
    (first,) = play(signs, ["fist"] * 12 + ["pinch"] * 14)
    last = signs.gap()
    assert last is not None
    assert [(one.event, one.class_, one.windows, one.of) for one in (first, last)] == [
        ("s1", "fist", 12, 12),
        ("s2", "pinch", 14, 14),
    ]
    assert first.end == last.start == START + 12 * STEP + LENGTH / 2
    assert last.end == START + 25 * STEP + LENGTH


def test_errors_of_the_network_make_no_second_sign() -> None:
    (event,) = play(detector(), ["pinch"] * 4 + (["fist"] * 12 + ["pinch"] * 11) * 3 + ["fist"] * 2 + ["rest"] * 3)
    assert (event.class_, event.windows, event.of) == ("fist", 38, 75)


def test_two_windows_of_rest_do_not_cut_a_sign_in_two() -> None:
    (event,) = play(detector(), ["fist"] * 3 + ["rest"] * 2 + ["fist"] * 3 + ["rest"] * 3)
    assert (event.windows, event.end) == (6, START + 7 * STEP + LENGTH)


def test_where_a_window_is_a_whole_gesture_each_is_a_sign() -> None:
    settings = SignSection(min_windows=1, change_windows=1)
    signs = SignDetector(settings, "rest", lambda: "s")
    events = play(signs, ["a", "b", "b", "c", "rest", "c"])
    assert [(event.class_, event.windows) for event in events] == [("a", 1), ("b", 2), ("c", 1)]


def test_a_gap_ends_the_sign_and_only_once() -> None:
    signs = detector()
    play(signs, ["fist"] * 3)
    assert signs.gap() is not None
    assert signs.gap() is None


def test_a_gap_in_a_short_run_is_no_sign() -> None:
    signs = detector()
    play(signs, ["fist"] * 2)
    assert signs.gap() is None


def test_doubt_for_less_than_a_change_takes_does_not_cut_a_sign_in_two() -> None:
    (event,) = play(detector(), ["fist"] * 3 + ["unknown"] * 9 + ["rest"] * 2 + ["fist"] * 3 + ["rest"] * 3)
    assert event.windows == 6


@pytest.mark.parametrize("doubt", ["unknown", ("fist", 0.5), ("rest", 0.1)])
def test_a_moment_of_doubt_does_not_cut_a_sign_in_two(doubt: str | tuple[str, float]) -> None:
    (event,) = play(detector(), ["fist"] * 3 + [doubt] * 2 + ["fist"] * 3 + ["rest"] * 3)
    assert event.windows == 6


def test_lasting_doubt_ends_a_sign_at_its_last_certain_window() -> None:
    (event,) = play(detector(), ["fist"] * 3 + ["unknown"] * 12)
    assert event.end == START + 2 * STEP + LENGTH


def test_doubt_never_makes_a_sign() -> None:
    signs = detector()
    assert play(signs, [("fist", 0.5)] * 20 + ["unknown"] * 20) == []
    assert signs.gap() is None


VERDICT = st.tuples(st.sampled_from(["rest", "fist", "pinch", "unknown"]), st.sampled_from([0.3, 0.9]))
VERDICTS = st.lists(VERDICT)


@UNTIMED
@given(st.integers(1, 5), VERDICTS)
def test_signs_are_distinct_long_enough_and_in_order(min_windows: int, verdicts: list[tuple[str, float]]) -> None:
    signs = detector(min_windows)
    events = play(signs, verdicts)
    last = signs.gap()
    events += [last] if last else []
    assert len({event.event for event in events}) == len(events)
    assert all(event.windows >= min_windows and event.class_ not in {"rest", "unknown"} for event in events)
    assert all(event.confidence >= 0.6 for event in events)
    assert [event.start for event in events] == sorted(event.start for event in events)
    certain = sum(class_ in {"fist", "pinch"} and confidence >= 0.6 for class_, confidence in verdicts)
    assert sum(event.windows for event in events) <= sum(event.of for event in events) <= certain
    assert all(one.end <= two.start for one, two in itertools.pairwise(events))


# ---- known and unknown ---------------------------------------------------------------------------------------------


def play_at(signs: SignDetector, windows: Iterable[tuple[str, float, float]]) -> list[SignEvent]:
    events = []
    for index, (class_, confidence, distance) in enumerate(windows):
        at = START + index * STEP
        event = signs.observe(class_, confidence, at, at + LENGTH, distance)
        events += [event] if event else []
    return events


def test_a_sign_that_is_far_from_what_the_network_takes_it_for_is_unknown() -> None:
    (event,) = play_at(detector(), [*[("fist", 0.9, 1.4)] * 5, *[("rest", 0.9, 0.2)] * 3])
    assert (event.class_, event.confidence, event.windows, event.of) == ("unknown", 0.0, 5, 5)
    assert event.distance == pytest.approx(1.4)


@pytest.mark.parametrize("odd", [("fist", 0.9, 3.0), ("fist", 0.3, 3.0), ("pinch", 0.9, 3.0)])
def test_one_odd_window_makes_nothing_unknown(odd: tuple[str, float, float]) -> None:
    windows = [*[("fist", 0.9, 0.4)] * 4, odd, *[("fist", 0.9, 0.4)] * 4, *[("rest", 0.9, 0.2)] * 3]
    (event,) = play_at(detector(), windows)
    assert event.class_ == "fist"
    assert event.windows >= 8
    assert event.distance is not None
    assert event.distance < 0.8


def test_where_a_short_sign_begins_and_ends_its_windows_are_like_nothing() -> None:
    border = [("fist", 0.9, 3.0)] * 2
    (event,) = play_at(detector(), [*border, *[("fist", 0.9, 0.4)] * 5, *border, *[("rest", 0.9, 0.2)] * 3])
    assert (event.class_, event.windows, event.distance) == ("fist", 9, 0.4)


def test_what_the_network_doubts_and_is_far_is_an_unknown_sign_from_min_windows_on() -> None:
    rest = [("rest", 0.9, 0.2)] * 3
    assert play_at(detector(), [*[("fist", 0.3, 2.0)] * 2, *rest]) == []
    assert play_at(detector(), [*[("fist", 0.3, 0.9)] * 8, *rest]) == []
    strange = [("fist", 0.3, 2.0), ("pinch", 0.4, 3.0)] * 20
    (event,) = play_at(detector(), [*strange, *rest])
    assert (event.class_, event.windows, event.of) == ("unknown", 40, 40)
    assert event.distance == pytest.approx(2.5)
    assert (event.start, event.end) == (START, START + 39 * STEP + LENGTH)


def test_strange_windows_at_the_borders_of_a_sign_belong_to_it() -> None:
    border = [("pinch", 0.4, 2.0)] * 3
    (event,) = play_at(detector(), [*border, *[("fist", 0.9, 0.4)] * 6, *border, *[("rest", 0.9, 0.1)] * 3])
    assert (event.class_, event.windows, event.of) == ("fist", 6, 6)


def test_an_unknown_sign_after_a_known_one_without_rest_is_a_second_one() -> None:
    signs = detector()
    (first,) = play_at(signs, [*[("fist", 0.9, 0.4)] * 12, *[("pinch", 0.3, 2.0)] * 14])
    second = signs.gap()
    assert second is not None
    assert [(one.class_, one.windows) for one in (first, second)] == [("fist", 12), ("unknown", 14)]
    assert first.end == second.start == START + 12 * STEP + LENGTH / 2
    assert (first.distance, second.distance) == (pytest.approx(0.4), pytest.approx(2.0))


def test_rest_may_be_twice_as_far_from_rest_as_a_sign_from_its_kind() -> None:
    signs = detector()
    assert play_at(signs, [("rest", 0.9, 1.9)] * 20 + [("rest", 0.3, 1.9)] * 20) == []
    assert signs.gap() is None
    (event,) = play_at(signs, [*[("rest", 0.9, 2.1)] * 20, *[("rest", 0.9, 1.9)] * 3])
    assert (event.class_, event.windows) == ("unknown", 20)


FAR = st.sampled_from([0.2, 1.1, 4.0])


@UNTIMED
@given(st.integers(1, 5), st.lists(st.tuples(VERDICT, FAR)))
def test_distances_name_signs_unknown_and_change_no_other_law(
    min_windows: int, verdicts: list[tuple[tuple[str, float], float]]
) -> None:
    signs = detector(min_windows)
    events = play_at(signs, [(*verdict, distance) for verdict, distance in verdicts])
    last = signs.gap()
    events += [last] if last else []
    assert len({event.event for event in events}) == len(events)
    for event in events:
        assert event.distance is not None
        assert (event.class_ == "unknown") == (event.distance > 1)
        assert event.windows >= min_windows
        assert event.windows <= event.of
    assert all(one.end <= two.start for one, two in itertools.pairwise(events))
