"""The SCADA's view of an asset is worked out from messages alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

from edgetune_node.contract.fault import Fault
from edgetune_node.contract.messages import Classification, Model, State, Status
from edgetune_node.contract.sign_messages import Sign, SignStart
from edgetune_node.demo.errors import DemoError
from edgetune_node.demo.scada import ScadaView

TS = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
STAMP: dict[str, Any] = {"ts": TS, "boot": "b", "seq": 0}


def classification(window: int, class_: str = "normal") -> dict[str, Any]:
    return Classification(
        **STAMP, window=window, class_=class_, confidence=1.0, probabilities={class_: 1.0}, model="m-1", quality=[]
    ).model_dump(mode="json", by_alias=True)


def fault(class_: str, *, active: bool) -> dict[str, Any]:
    return Fault(
        **STAMP,
        active=active,
        event="e",
        class_=class_,
        severity="alarm" if active else "none",
        first_seen=TS,
        last_seen=TS,
        cleared=None if active else TS,
        votes=8,
        of=10,
        confidence=0.9,
        model="m-1",
    ).model_dump(mode="json", by_alias=True)


@given(st.sets(st.integers(0, 200), min_size=1), st.randoms())
def test_lost_windows_are_the_numbers_missing_between_first_and_last(numbers: set[int], random: Any) -> None:
    view = ScadaView()
    order = [*numbers, *numbers]  # a repeated window is counted once
    random.shuffle(order)
    for at, window in enumerate(order):
        view.see("classification", classification(window), float(at))
    missing = [number for number in range(min(numbers), max(numbers)) if number not in numbers]
    assert view.windows == len(numbers)
    assert view.lost_windows == len(missing)


def test_nothing_is_lost_where_nothing_was_seen() -> None:
    assert (ScadaView().windows, ScadaView().lost_windows) == (0, 0)


def test_a_fault_is_open_from_raised_to_cleared() -> None:
    view = ScadaView()
    said = view.see("fault", fault("inner", active=True), 5.0)
    assert said is not None
    assert "inner" in said
    assert view.open_fault is view.faults[0]
    assert view.see("fault", fault("inner", active=True), 6.0) is None  # a heartbeat says nothing new
    view.see("fault", fault("normal", active=False), 7.5)
    assert view.open_fault is None
    assert [(one.class_, one.raised_at, one.cleared_at) for one in view.faults] == [("inner", 5.0, 7.5)]
    assert view.faults[0].raised_ts == view.faults[0].cleared_ts == "2026-01-31T12:00:00.000Z"


def test_a_fault_that_becomes_another_class_is_the_same_fault() -> None:
    view = ScadaView()
    view.see("fault", fault("inner", active=True), 1.0)
    said = view.see("fault", fault("ball", active=True), 2.0)
    assert said is not None
    assert "ball" in said
    assert [(one.class_, one.raised_at, one.cleared_at) for one in view.faults] == [("ball", 1.0, None)]


def test_another_event_ends_the_one_before() -> None:
    view = ScadaView()
    view.see("fault", fault("inner", active=True), 1.0)
    view.see("fault", {**fault("ball", active=True), "event": "e2"}, 2.0)
    assert [(one.class_, one.cleared_at) for one in view.faults] == [("inner", 2.0), ("ball", None)]


def test_the_faults_of_a_node_of_0_1_0_are_seen() -> None:
    view = ScadaView()
    old = {**fault("inner", active=True), "schema": "fault/1"}
    new = {"judged", "reason", "class_since", "candidates", "kind", "severity_level", "severity_from"}
    view.see("fault", {name: value for name, value in old.items() if name not in new}, 1.0)
    assert [one.class_ for one in view.faults] == ["inner"]


def test_a_healthy_heartbeat_opens_nothing() -> None:
    view = ScadaView()
    assert view.see("fault", fault("normal", active=False), 1.0) is None
    assert view.faults == []


def test_status_phase_and_model_are_said_once_each() -> None:
    view = ScadaView()
    state = State(**STAMP, phase="uncalibrated", reason="no model yet", since=TS).model_dump(mode="json", by_alias=True)
    status = Status(**STAMP, status="online").model_dump(mode="json", by_alias=True)
    cost = {"arena_bytes": 976, "arena_bytes_deployed": 3904, "streamed_bytes": 160, "flash_bytes": 1000, "macs": 9}
    model = Model(**STAMP, id="m-1", **cost).model_dump(mode="json", by_alias=True)
    said = [view.see(leaf, payload, 0.0) for leaf, payload in [("status", status), ("state", state), ("model", model)]]
    assert [view.status, view.phase, view.model and view.model.id] == ["online", "uncalibrated", "m-1"]
    assert said[2] is not None
    assert "arena 976 B (int8 plan), 3904 B as deployed" in said[2]
    assert "RAM" not in said[2]
    assert [view.see(leaf, payload, 1.0) for leaf, payload in [("status", status), ("state", state)]] == [None, None]
    assert view.see("model", model, 1.0) is None


def test_a_model_topic_without_a_model_announces_nothing() -> None:
    view = ScadaView()
    assert view.see("model", Model(**STAMP).model_dump(mode="json", by_alias=True), 0.0) is None
    assert view.model is None


def test_a_message_against_its_schema_is_named() -> None:
    with pytest.raises(DemoError, match=r"schema of classification.*window"):
        ScadaView().see("classification", {**classification(1), "window": "many"}, 0.0)


def test_topics_of_others_are_passed_over() -> None:
    assert ScadaView().see("health", {"anything": 1}, 0.0) is None


def test_the_share_that_is_right_looks_only_into_the_spans() -> None:
    view = ScadaView()
    for at, class_ in [(1.0, "normal"), (2.0, "inner"), (3.0, "inner"), (9.0, "ball")]:
        view.see("classification", classification(int(at), class_), at)
    assert view.share_right([(0.5, 1.5, "normal"), (1.6, 2.5, "normal"), (2.6, 3.5, "inner")]) == pytest.approx(2 / 3)
    assert view.share_right([(20.0, 30.0, "normal")]) is None


def test_a_sign_has_the_class_of_its_end() -> None:
    view = ScadaView()
    told: dict[str, Any] = {**STAMP, "event": "e1", "confidence": 0.9, "start": TS, "model": "m-1"}
    began = SignStart(**told, class_="unknown").model_dump(mode="json", by_alias=True)
    assert "unknown" in str(view.see("sign_start", began, 4.0))
    assert view.open_sign is view.signs[0]
    end = Sign(**told, class_="fist", end=TS + timedelta(seconds=2), windows=9).model_dump(mode="json", by_alias=True)
    assert "SIGN: fist, 2.0 s long" in str(view.see("sign", end, 6.0))
    assert view.open_sign is None
    assert [(one.first_class, one.class_, one.started_at) for one in view.signs] == [("unknown", "fist", 4.0)]
