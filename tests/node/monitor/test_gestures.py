"""Windows become signs by evidence: when one begins, what it was when it ends, and what is none."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings as hypothesis_settings, strategies as st

from edgetune_node.config.signs import SignSection
from edgetune_node.monitor.gestures import SignDetector, SignEvent, SignStart
from edgetune_node.monitor.inference import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

Item: TypeAlias = "str | tuple[str, float] | tuple[str, float, float]"
"""A window's class, its probability (all but sure by default), and its distance."""

UNTIMED = hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
START = datetime(2026, 1, 31, 12, tzinfo=UTC)
STEP = timedelta(milliseconds=50)
LENGTH = timedelta(milliseconds=250)
CLASSES = ("rest", "fist", "pinch")
SURE = 0.9999
RESTED = ["rest"] * 3


def verdict(item: Item) -> Verdict:
    name, *more = (item,) if isinstance(item, str) else item
    if name == "unknown":
        return Verdict()
    confidence = more[0] if more else SURE
    shares = {each: confidence if each == name else (1 - confidence) / (len(CLASSES) - 1) for each in CLASSES}
    return Verdict(name, confidence, shares, more[1] if len(more) > 1 else None)


class Watch:
    """A detector, and what it told; three sure windows suffice unless ``settings`` say otherwise."""

    def __init__(self, before: Iterable[Item] = RESTED, **settings: float) -> None:
        count = itertools.count(1)
        section = SignSection(**{"min_windows": 3, "min_confidence": 0.6, "start_evidence": 4, **settings})
        self.signs = SignDetector(section, "rest", lambda: f"s{next(count)}", STEP.total_seconds())
        self.starts: list[SignStart] = []
        self.told: list[SignEvent] = []
        self.order: list[str] = []
        before = list(before)
        self._number = -len(before)
        self.play(before)

    def play(self, items: Iterable[Item]) -> list[SignEvent]:
        """Play windows; return the signs that ended."""
        ended: list[SignEvent] = []
        for item in items:
            at = START + self._number * STEP
            self._number += 1
            for each in self.signs.observe(verdict(item), at, at + LENGTH):
                (self.starts if isinstance(each, SignStart) else ended).append(each)  # type: ignore[arg-type]
                self.order.append(each.event)
        self.told += ended
        return ended

    def gap(self) -> SignEvent | None:
        last = self.signs.gap()
        self.told += [] if last is None else [last]
        return last


def play(items: Iterable[Item], **settings: float) -> list[SignEvent]:
    return Watch(**settings).play(items)


# ---- when it begins ------------------------------------------------------------------------------------------------


def test_a_sign_begins_when_it_is_sure_and_is_told_again_when_it_ends() -> None:
    watch = Watch()
    watch.play(["rest", "fist", "fist"])
    assert (watch.starts, watch.signs.running) == ([], None)
    watch.play(["fist"])
    [start] = watch.starts
    assert (start.event, start.class_, start.start) == ("s1", "fist", START + STEP)
    assert start.confidence == pytest.approx(SURE)
    assert watch.signs.running == "fist"
    (event,) = watch.play([("fist", 0.9), *["rest"] * 6])
    assert (event.event, event.class_, event.windows, event.of) == ("s1", "fist", 4, 4)
    assert event.confidence == pytest.approx((3 * SURE + 0.9) / 4)
    assert (event.start, event.end) == (START + STEP, START + 4 * STEP + LENGTH)
    assert watch.signs.running is None


@pytest.mark.parametrize(("start_evidence", "windows"), [(2, 3), (4, 3), (8, 6), (15, 10)])
def test_more_evidence_is_later_but_min_windows_are_always_needed(start_evidence: float, windows: int) -> None:
    watch = Watch(start_evidence=start_evidence)
    watch.play(["fist"] * (windows - 1))
    assert watch.starts == []
    watch.play(["fist"])
    assert len(watch.starts) == 1


def test_windows_that_are_less_sure_need_longer() -> None:
    watch = Watch()
    watch.play([("fist", 0.9)] * 4)
    assert watch.starts == []
    watch.play([("fist", 0.9)] * 4)
    assert len(watch.starts) == 1


def test_two_signs_in_turn_are_neither() -> None:
    watch = Watch(start_evidence=8)
    watch.play(["fist", "pinch"] * 30)
    assert watch.starts == []


def test_single_windows_of_a_sign_in_rest_are_none() -> None:
    watch = Watch()
    assert watch.play(["fist", "fist", "rest", "rest"] * 30) == []
    assert watch.starts == []


def test_before_rest_was_heard_there_is_no_sign() -> None:
    watch = Watch(before=[])
    assert watch.play([*["fist"] * 40, "rest", *["pinch"] * 40]) == []
    assert watch.starts == []
    watch.play([*RESTED, *["fist"] * 3])
    assert [start.class_ for start in watch.starts] == ["fist"]


def test_a_start_that_proves_wrong_is_corrected_at_the_end() -> None:
    watch = Watch()
    (event,) = watch.play([*["pinch"] * 3, *["fist"] * 9, *["rest"] * 3])
    assert [(start.event, start.class_) for start in watch.starts] == [("s1", "pinch")]
    assert (event.event, event.class_, event.windows, event.of) == ("s1", "fist", 9, 12)


# ---- when it ends --------------------------------------------------------------------------------------------------


def test_another_sign_that_lasts_ends_the_one_before_where_it_begins() -> None:
    watch = Watch()
    (first,) = watch.play(["fist"] * 12 + ["pinch"] * 14)
    last = watch.gap()
    assert last is not None
    assert [(one.event, one.class_, one.windows, one.of) for one in (first, last)] == [
        ("s1", "fist", 12, 12),
        ("s2", "pinch", 14, 14),
    ]
    assert [(start.event, start.class_) for start in watch.starts] == [("s1", "fist"), ("s2", "pinch")]
    assert watch.order == ["s1", "s1", "s2"]
    assert first.end == last.start == watch.starts[1].start == START + 12 * STEP + LENGTH / 2
    assert last.end == START + 25 * STEP + LENGTH


def test_errors_of_the_network_make_no_second_sign() -> None:
    (event,) = play(["pinch"] * 4 + (["fist"] * 12 + ["pinch"] * 11) * 3 + ["fist"] * 2 + ["rest"] * 3)
    assert (event.class_, event.windows, event.of) == ("fist", 38, 75)


def test_two_windows_of_rest_do_not_cut_a_sign_in_two() -> None:
    (event,) = play(["fist"] * 3 + ["rest"] * 2 + ["fist"] * 3 + ["rest"] * 3)
    assert (event.windows, event.end) == (6, START + 7 * STEP + LENGTH)


def test_where_a_window_is_a_whole_gesture_each_is_a_sign() -> None:
    settings = SignSection(min_windows=1, change_windows=1)
    signs = SignDetector(settings, "rest", lambda: "s", 2.0)
    told = []
    for number, name in enumerate("abbcdc"):
        at = START + number * timedelta(seconds=2)
        shares = {each: 0.97 if each == name else 0.01 for each in "abcd"}  # without a class of rest
        told += signs.observe(Verdict(name, 0.97, shares), at, at + timedelta(seconds=2))
    ended = [each for each in told if isinstance(each, SignEvent)]
    assert [(event.class_, event.windows) for event in ended] == [("a", 1), ("b", 2), ("c", 1), ("d", 1)]
    assert [each.class_ for each in told if isinstance(each, SignStart)] == ["a", "b", "c", "d", "c"]


def test_a_gap_ends_the_sign_and_only_once() -> None:
    watch = Watch()
    watch.play(["fist"] * 3)
    assert watch.gap() is not None
    assert watch.gap() is None


def test_a_gap_before_a_sign_is_sure_is_no_sign_and_evidence_begins_again() -> None:
    watch = Watch()
    for _ in range(4):
        watch.play(["fist"] * 2)
        assert watch.gap() is None
    assert watch.starts == []


def test_doubt_for_less_than_a_change_takes_does_not_cut_a_sign_in_two() -> None:
    (event,) = play(["fist"] * 3 + ["unknown"] * 9 + ["rest"] * 2 + ["fist"] * 3 + ["rest"] * 3)
    assert event.windows == 6


@pytest.mark.parametrize("doubt", ["unknown", ("fist", 0.5), ("rest", 0.4)])
def test_a_moment_of_doubt_does_not_cut_a_sign_in_two(doubt: Item) -> None:
    (event,) = play(["fist"] * 3 + [doubt] * 2 + ["fist"] * 3 + ["rest"] * 3)
    assert event.windows == 6


def test_lasting_doubt_ends_a_sign_at_its_last_certain_window() -> None:
    (event,) = play(["fist"] * 3 + ["unknown"] * 12)
    assert event.end == START + 2 * STEP + LENGTH


def test_doubt_never_makes_a_sign() -> None:
    watch = Watch()
    assert watch.play([("fist", 0.5)] * 40 + ["unknown"] * 20) == []
    assert watch.gap() is None
    assert watch.starts == []


def laws(watch: Watch, min_windows: int) -> None:
    """What holds of all signs, whatever was heard."""
    events, starts = watch.told, watch.starts
    assert [start.event for start in starts] == [event.event for event in events]
    assert len({event.event for event in events}) == len(events)
    assert all(event.windows >= min_windows and event.class_ != "rest" for event in events)
    assert all(event.windows <= event.of for event in events)
    assert all(start.start == event.start for start, event in zip(starts, events, strict=True))
    assert all(event.start < event.end for event in events)
    assert all(one.end <= two.start for one, two in itertools.pairwise(events))


RUN = st.tuples(st.sampled_from([*CLASSES, "unknown"]), st.sampled_from([0.5, 0.9, SURE]), st.integers(1, 14))
RUNS = st.lists(RUN, max_size=12)


@UNTIMED
@given(st.integers(1, 5), st.sampled_from([1, 4, 8]), RUNS)
def test_signs_are_distinct_long_enough_and_in_order(
    min_windows: int, start_evidence: float, runs: list[tuple[str, float, int]]
) -> None:
    watch = Watch(min_windows=min_windows, start_evidence=start_evidence)
    items = [(name, confidence) for name, confidence, count in runs for _ in range(count)]
    watch.play(items)
    watch.gap()
    laws(watch, min_windows)
    assert all(event.confidence >= 0.6 and event.class_ != "unknown" for event in watch.told)
    certain = sum(name in {"fist", "pinch"} and confidence >= 0.6 for name, confidence in items)
    assert sum(event.of for event in watch.told) <= certain


# ---- known and unknown ---------------------------------------------------------------------------------------------

NEAR: Item = ("rest", SURE, 0.2)


def test_a_sign_that_is_far_from_what_the_network_takes_it_for_is_unknown() -> None:
    watch = Watch()
    (event,) = watch.play([*[("fist", SURE, 1.4)] * 5, *[NEAR] * 3])
    assert (event.class_, event.confidence, event.windows, event.of) == ("unknown", 0.0, 5, 5)
    assert event.distance == pytest.approx(1.4)
    [start] = watch.starts
    assert (start.class_, start.confidence, start.distance) == ("unknown", 0.0, pytest.approx(1.4))


@pytest.mark.parametrize("odd", [("fist", SURE, 3.0), ("fist", 0.34, 3.0), ("pinch", SURE, 3.0)])
def test_one_odd_window_makes_nothing_unknown(odd: Item) -> None:
    (event,) = play([*[("fist", SURE, 0.4)] * 4, odd, *[("fist", SURE, 0.4)] * 4, *[NEAR] * 3])
    assert event.class_ == "fist"
    assert event.windows >= 8
    assert event.distance is not None
    assert event.distance < 0.8


def test_where_a_short_sign_begins_and_ends_its_windows_are_like_nothing() -> None:
    border: list[Item] = [("fist", SURE, 3.0)] * 2
    (event,) = play([*border, *[("fist", SURE, 0.4)] * 5, *border, *[NEAR] * 3])
    assert (event.class_, event.windows, event.distance) == ("fist", 9, 0.4)


def test_what_the_network_doubts_and_is_far_is_an_unknown_sign_once_there_is_evidence() -> None:
    rest: list[Item] = [NEAR] * 3
    assert play([*[("fist", 0.4, 2.0)] * 2, *rest]) == []
    assert play([*[("fist", 0.4, 0.9)] * 8, *rest]) == []
    strange: list[Item] = [("fist", 0.4, 2.0), ("pinch", 0.4, 3.0)]
    watch = Watch()
    (event,) = watch.play([*strange * 20, *rest])
    assert (event.class_, event.windows, event.of) == ("unknown", 40, 40)
    assert event.distance == pytest.approx(2.5)
    assert (event.start, event.end) == (START, START + 39 * STEP + LENGTH)
    assert [(start.event, start.class_) for start in watch.starts] == [(event.event, "unknown")]


def test_strange_windows_at_the_borders_of_a_sign_belong_to_it() -> None:
    border: list[Item] = [("pinch", 0.4, 2.0)] * 3
    (event,) = play([*border, *[("fist", SURE, 0.4)] * 6, *border, *[NEAR] * 3])
    assert (event.class_, event.windows, event.of) == ("fist", 6, 6)


def test_an_unknown_sign_after_a_known_one_without_rest_is_a_second_one() -> None:
    watch = Watch()
    (first,) = watch.play([*[("fist", SURE, 0.4)] * 12, *[("pinch", 0.4, 2.0)] * 14])
    second = watch.gap()
    assert second is not None
    assert [(one.class_, one.windows) for one in (first, second)] == [("fist", 12), ("unknown", 14)]
    assert first.end == second.start == START + 12 * STEP + LENGTH / 2
    assert (first.distance, second.distance) == (pytest.approx(0.4), pytest.approx(2.0))


@pytest.mark.parametrize("first", [("fist", 0.4, 2.0), ("pinch", SURE, 2.0)])
def test_an_unknown_sign_stays_one_whatever_far_windows_are_taken_for(first: Item) -> None:
    watch = Watch()
    sure: list[Item] = [("fist", SURE, 2.0)] * 14
    doubtful: list[Item] = [("fist", 0.4, 2.0)] * 14
    (event,) = watch.play([*[first] * 14, *sure, *doubtful, *sure, *[NEAR] * 3])
    assert event.class_ == "unknown"
    assert [start.class_ for start in watch.starts] == ["unknown"]


def test_rest_may_be_twice_as_far_from_rest_as_a_sign_from_its_kind() -> None:
    watch = Watch()
    assert watch.play([("rest", SURE, 1.9)] * 20 + [("rest", 0.4, 1.9)] * 20) == []
    assert watch.gap() is None
    (event,) = watch.play([*[("rest", SURE, 2.1)] * 20, *[("rest", SURE, 1.9)] * 3])
    assert (event.class_, event.windows) == ("unknown", 20)


FAR = st.sampled_from([0.2, 1.1, 4.0])


@UNTIMED
@given(st.integers(1, 5), st.lists(st.tuples(RUN, FAR), max_size=12))
def test_distances_name_signs_unknown_and_change_no_other_law(
    min_windows: int, runs: list[tuple[tuple[str, float, int], float]]
) -> None:
    watch = Watch(min_windows=min_windows)
    watch.play([(name, confidence, far) for (name, confidence, count), far in runs for _ in range(count)])
    watch.gap()
    laws(watch, min_windows)
    for event in watch.told:
        if event.distance is not None:
            assert (event.class_ == "unknown") == (event.distance > 1)
