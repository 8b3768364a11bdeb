from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings as hypothesis_settings, strategies as st
from pydantic import ValidationError
from refusals import refused_fields

from edgetune_node.contract.fault import Fault
from edgetune_node.contract.messages import MESSAGES, Classification, Response, Status, Vibration
from edgetune_node.contract.parts import iso

if TYPE_CHECKING:
    from edgetune_node.contract.message import Message

UNTIMED = hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
TS = datetime(2026, 1, 31, 12, 0, 0, 123_456, tzinfo=UTC)
ENVELOPE: dict[str, Any] = {"ts": TS, "boot": "b1", "seq": 7}
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")


def status(**changes: Any) -> Status:
    return Status(**{**ENVELOPE, "status": "online", **changes})


def test_a_payload_says_its_schema_time_life_and_number() -> None:
    assert json.loads(status().json_bytes()) == {
        "schema": "status/1",
        "ts": "2026-01-31T12:00:00.123Z",
        "boot": "b1",
        "seq": 7,
        "clock_synced": True,
        "historical": False,
        "status": "online",
    }


def test_nothing_that_a_message_speaks_of_keeps_it_from_being_said() -> None:
    told = Response(
        **ENVELOPE,
        id="c1",
        command="record",
        status="failed",
        reason="m\udcfchle.npz",
        detail={"a\ud800": ["\udfff", 1]},
    )
    assert json.loads(told.json_bytes()) == json.loads(
        Response(
            **ENVELOPE, id="c1", command="record", status="failed", reason="m?hle.npz", detail={"a?": ["?", 1]}
        ).json_bytes()
    )


VERSIONS = {"fault": 2}


@pytest.mark.parametrize("model", MESSAGES)
def test_every_message_names_its_schema_and_its_topic(model: type[Message]) -> None:
    name = model.topic.split("/")[0]
    assert model.model_fields["schema_"].default == f"{name}/{VERSIONS.get(name, 1)}"


def test_what_is_retained_is_what_a_late_subscriber_needs() -> None:
    retained = {model.topic for model in MESSAGES if model.retained}
    assert retained == {"status", "info", "health", "state", "fault", "model", "calibration"}
    at_most_once = {model.topic for model in MESSAGES if model.qos == 0}
    assert at_most_once == {"health", "classification", "vibration", "emg", "spectrum"}


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValidationError) as caught:
        status(ts=datetime(2026, 1, 31))  # noqa: DTZ001 - that is the point
    assert refused_fields(caught) == ["ts"]


@UNTIMED
@given(
    st.datetimes(
        min_value=datetime(1971, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
        max_value=datetime(2200, 1, 1),  # noqa: DTZ001
        timezones=st.integers(-12 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
    )
)
def test_times_are_utc_with_milliseconds_whatever_their_zone(time: datetime) -> None:
    text = iso(time)
    assert TIME.match(text)
    assert timedelta(0) <= time - datetime.fromisoformat(text) < timedelta(milliseconds=1)


def test_a_number_that_is_none_is_null_in_json() -> None:
    vibration = Vibration(
        **ENVELOPE,
        rms=[float("nan")],
        peak=[float("inf")],
        crest_factor=[1.0],
        kurtosis=[-float("inf")],
        unit="g",
        seconds=1.0,
        quality=[],
    )
    data = json.loads(vibration.json_bytes(), parse_constant=pytest.fail)
    assert (data["rms"], data["peak"], data["kurtosis"]) == ([None], [None], [None])
    response = Response(
        **ENVELOPE, id="x", command="ping", status="done", detail={"deep": [{"accuracy": float("nan")}]}
    )
    assert json.loads(response.json_bytes(), parse_constant=pytest.fail)["detail"] == {"deep": [{"accuracy": None}]}


def test_fields_that_python_cannot_name_have_their_real_name_in_json() -> None:
    classification = Classification(
        **ENVELOPE, window=1, class_="inner", confidence=0.9, probabilities={"inner": 0.9}, model="m", quality=[]
    )
    data = json.loads(classification.json_bytes())
    assert data["class"] == "inner"
    assert "class_" not in data


def test_a_message_is_read_back_as_it_was() -> None:
    fault = Fault(
        **{**ENVELOPE, "ts": TS.replace(microsecond=123_000)},
        active=True,
        event="e1",
        class_="inner",
        severity="alarm",
        first_seen=TS.replace(microsecond=0),
        last_seen=TS.replace(microsecond=0),
        votes=8,
        of=10,
        confidence=0.9,
        model="m",
    )
    assert Fault.model_validate_json(fault.json_bytes()) == fault


def test_a_message_with_a_field_of_another_schema_is_refused() -> None:
    with pytest.raises(ValidationError) as caught:
        Status.model_validate({**ENVELOPE, "schema": "status/2", "status": "online"})
    assert refused_fields(caught) == ["schema"]
    with pytest.raises(ValidationError) as caught:
        status(mood="good")
    assert refused_fields(caught) == ["mood"]


@pytest.mark.parametrize("field", ["ts", "boot", "seq"])
def test_a_payload_without_its_stamp_is_refused(field: str) -> None:
    payload = json.loads(status().json_bytes())
    del payload[field]
    for read in (lambda: Status.model_validate(payload), lambda: Status.model_validate_json(json.dumps(payload))):
        with pytest.raises(ValidationError, match=rf"\n{field}\n"):
            read()


# ---- fault/1 -----------------------------------------------------------------------------------------------------

OLD_FAULT: dict[str, Any] = {
    "schema": "fault/1",
    "ts": "2026-01-31T12:00:00.000Z",
    "boot": "b",
    "seq": 3,
    "active": True,
    "event": "e1",
    "class": "inner",
    "severity": "warning",
    "first_seen": "2026-01-31T12:00:00.000Z",
    "last_seen": "2026-01-31T12:00:01.000Z",
    "votes": 8,
    "of": 10,
    "confidence": 0.9,
    "model": "m",
}


def test_a_fault_of_0_1_0_is_read() -> None:
    fault = Fault.model_validate(OLD_FAULT)
    assert (fault.judged, fault.class_, fault.severity, fault.severity_level) == (True, "inner", "warning", 2)
    assert Fault.model_validate_json(json.dumps(OLD_FAULT)) == fault


def test_a_node_of_0_1_0_without_a_model_is_not_believed_that_its_machine_is_healthy() -> None:
    healthy = {**OLD_FAULT, "active": False, "class": "normal", "severity": "none"}
    assert Fault.model_validate(healthy).class_ == "normal"
    unjudged = Fault.model_validate({**healthy, "model": None})
    assert (unjudged.judged, unjudged.class_, unjudged.severity, unjudged.severity_level) == (
        False,
        None,
        "unknown",
        None,
    )
    assert Fault.model_validate({**OLD_FAULT, "model": None}).class_ == "inner"
