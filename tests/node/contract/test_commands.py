from __future__ import annotations

import contextlib
import json
import string
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings as hypothesis_settings, strategies as st

from edgetune_node.contract import validation
from edgetune_node.contract.commands import COMMANDS, Command, Deploy, Recalibrate, parse_command
from edgetune_node.contract.context import Context, parse_context
from edgetune_node.contract.json_input import MAX_PAYLOAD_BYTES
from edgetune_node.contract.messages import Response
from edgetune_node.errors import CommandError, PayloadError

UNTIMED = hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
LIVE = {"id": "j1", "source": "live", "classes": ["normal", "inner"]}


def parse(name: str, data: Any, **options: Any) -> Command:
    payload = data if isinstance(data, bytes) else json.dumps(data).encode()
    return parse_command(name, payload, now=NOW, **options)


def refusal(name: str, data: Any, **options: Any) -> CommandError:
    with pytest.raises(CommandError) as caught:
        parse(name, data, **options)
    error = caught.value
    assert error.command == name
    assert error.problems
    Response(  # whatever was wrong can be said in an answer
        ts=NOW, boot="b", seq=0, id=error.command_id, command=name, status="rejected", errors=error.problems
    ).json_bytes()
    return error


EXAMPLES: dict[str, dict[str, Any]] = {
    "ping": {},
    "backup": {"keep": 2},
    "recalibrate": {"source": "stored"},
    "continue": {},
    "record": {"label": "inner", "seconds": 2},
    "cancel": {},
    "rollback": {},
    "acknowledge": {"by": "operator", "comment": "seen"},
    "shelve": {"seconds": 3600.0, "by": "operator", "class": "inner", "comment": "repair on Monday"},
    "label": {"label": "inner", "seconds": 2.5},
    "profile": {"subject": "person1", "condition": "full_load"},
    "deploy": {"model": "model-20260131-ab12"},
    "capture": {"event": "0a1b2c", "number": 0},
    "history": {"from": "2026-01-01T00:00:00+00:00", "step": "hour", "figures": ["rms", "distance"]},
    "forget": {"subject": "person1"},
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_read(name: str) -> None:
    command = parse(name, {"id": "j1", "expires": "2026-01-31T13:00:00+00:00", **EXAMPLES[name]})
    assert isinstance(command, COMMANDS[name])
    assert command.id == "j1"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_needs_an_id(name: str) -> None:
    error = refusal(name, EXAMPLES[name])
    assert error.command_id is None
    assert any(problem.startswith("id: ") for problem in error.problems)


def test_everything_that_is_wrong_is_named_at_once() -> None:
    error = refusal(
        "recalibrate",
        {
            "id": "j1",
            "source": "somewhere",
            "classes": ["in ner", "x"],
            "takes": "2",
            "seconds_per_take": 0,
            "budget": {"ram_bytes": "4KiB", "rom": 1},
            "deploy": None,
            "colour": "red",
        },
    )
    assert error.command_id == "j1"
    assert {problem.split(":")[0] for problem in error.problems} == {
        "source",
        "classes.0",
        "takes",
        "seconds_per_take",
        "budget.ram_bytes",
        "budget.rom",
        "deploy",
        "colour",
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"takes": 0},
        {"takes": 1.5},
        {"takes": True},
        {"takes": "1"},
        {"seconds_per_take": 0},
        {"seconds_per_take": -1},
        {"seconds_per_take": "5"},
        {"seconds_per_take": 1e9},
        {"classes": "normal"},
        {"classes": []},
        {"classes": ["normal", "normal"]},
        {"classes": ["normal", "unknown"]},
        {"classes": [f"c{n}" for n in range(65)]},
        {"classes": ["x" * 65]},
        {"pace": "slow"},
        {"pace": {"countdown_s": -1}},
        {"pace": {"hurry": 1}},
        {"budget": 4096},
        {"budget": {"ram_bytes": 0}},
        {"budget": {"search_seconds": 0}},
        {"budget": {"ram_bytes": 4096.5}},
        {"deploy": "maybe"},
        {"id": ""},
        {"id": "x" * 65},
        {"id": 7},
        {"source": "stored"},
    ],
)
def test_a_wrong_field_of_recalibrate_is_refused(wrong: dict[str, Any]) -> None:
    refusal("recalibrate", {**LIVE, **wrong})


@pytest.mark.parametrize("seconds", [0, -1, 3601, "2", True, None, [2]])
def test_a_record_of_no_sensible_length_is_refused(seconds: object) -> None:
    (problem,) = refusal("record", {"id": "r", "label": "inner", "seconds": seconds}).problems
    assert problem.startswith("seconds: ")


def test_a_class_cannot_be_called_unknown() -> None:
    for name in ("record", "label"):
        (problem,) = refusal(name, {"id": "r", "label": "unknown", "seconds": 1}).problems
        assert "choose another name" in problem


@pytest.mark.parametrize("model", ["../x", "/etc", ".hidden", "a/b", "", "x" * 81, "a\x00b"])
def test_deploy_takes_a_name_and_never_a_path(model: str) -> None:
    refusal("deploy", {"id": "d", "model": model})
    assert isinstance(parse("deploy", {"id": "d", "model": "model-1"}), Deploy)


@pytest.mark.parametrize(
    ("pace", "expected"),
    [
        ({}, ("continue", 3.0)),
        ({"pace": "continue"}, ("continue", 3.0)),
        ({"pace": "countdown"}, ("countdown", 3.0)),
        ({"countdown_s": 5}, ("countdown", 5.0)),
        ({"pace": {"countdown_s": 4}}, ("countdown", 4.0)),
    ],
)
def test_a_countdown_can_be_asked_for_in_every_documented_way(
    pace: dict[str, Any], expected: tuple[str, float]
) -> None:
    command = parse("recalibrate", {**LIVE, **pace})
    assert isinstance(command, Recalibrate)
    assert (command.pace, command.countdown_s) == expected


def test_a_budget_remembers_what_it_did_not_name() -> None:
    command = parse("recalibrate", {**LIVE, "budget": {"ram_bytes": 2048, "macs": None}})
    assert isinstance(command, Recalibrate)
    assert command.budget is not None
    assert command.budget.model_dump(exclude_unset=True) == {"ram_bytes": 2048, "macs": None}


def test_a_command_that_nobody_knows_is_answered_with_those_there_are() -> None:
    error = refusal("dance", {"id": "j1"})
    assert error.command_id == "j1"
    assert "recalibrate" in error.problems[0]


@pytest.mark.parametrize(("given", "echoed"), [(5, "5"), (1.5, "1.5"), (True, None), (10**80, None), ([], None)])
def test_a_number_as_id_is_refused_and_echoed_so_that_its_sender_learns_it(given: Any, echoed: str | None) -> None:
    error = refusal("ping", {"id": given})
    assert error.command_id == echoed
    assert error.problems[0].startswith("id: ")


def test_a_retained_command_is_refused_with_its_id() -> None:
    error = refusal("recalibrate", LIVE, retained=True)
    assert error.command_id == "j1"
    assert "retain" in error.problems[0]


@pytest.mark.parametrize("late", [timedelta(0), timedelta(seconds=1), timedelta(days=1000)])
def test_an_expired_command_is_refused(late: timedelta) -> None:
    error = refusal("ping", {"id": "p", "expires": (NOW - late).isoformat()})
    assert "expired" in error.problems[0]


def test_a_command_without_a_time_zone_in_expires_is_refused() -> None:
    (problem,) = refusal("ping", {"id": "p", "expires": "2027-01-01T00:00:00"}).problems
    assert problem.startswith("expires: ")


def test_a_mebibyte_of_json_is_refused_by_its_size() -> None:
    payload = json.dumps({"id": "j1", "x": "y" * 2**20}).encode()
    for came in (payload, payload[: MAX_PAYLOAD_BYTES + 1]):  # the link passes no more on
        assert "more than 16384 bytes" in refusal("record", came).problems[0]


def test_the_largest_command_is_read() -> None:
    payload = b'{"id": "p"}'
    assert parse("ping", payload + b" " * (MAX_PAYLOAD_BYTES - len(payload))).id == "p"
    refusal("ping", payload + b" " * (MAX_PAYLOAD_BYTES - len(payload) + 1))


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"id": "a"} x', "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b'{"id": "\xe9"}', "not UTF-8"),
        (b'{"id": "a", "id": "b"}', "twice"),
        (b'{"id": "a", "budget": {"macs": 1, "macs": 2}}', "twice"),
        (b'{"id": NaN}', "NaN is not a JSON number"),
        (b'{"id": -Infinity}', "-Infinity is not a JSON number"),
        (b"[" * 16_000, "nested too deeply"),
        (b'{"a":' * 3_000, "nested too deeply"),
        (b"[]", "must be a JSON object, not list"),
        (b"null", "must be a JSON object, not NoneType"),
        (b'"id"', "must be a JSON object, not str"),
        (b'{"id": "\\ud800"}', "surrogate"),
        (b'{"id": "a", "\\udfff": 1}', "surrogate"),
        (b'{"id": "a", "x": ' + b"9" * 5000 + b"}", "a number has more than 1000 digits"),
    ],
)
def test_what_is_no_clean_json_object_is_refused(payload: bytes, says: str) -> None:
    assert says in refusal("recalibrate", payload).problems[0]


def test_numbers_beyond_floating_point_are_refused() -> None:
    refusal("record", b'{"id": "r", "label": "x", "seconds": 1e999}')
    refusal("record", b'{"id": "r", "label": "x", "seconds": ' + b"9" * 1000 + b"}")
    refusal("recalibrate", b'{"id": "r", "source": "stored", "budget": {"ram_bytes": 1e999}}')


# ---- laws --------------------------------------------------------------------------------------------------------

NAMES = st.sampled_from([*COMMANDS, "dance", ""])
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(sorted({name for model in COMMANDS.values() for name in model.model_fields}))


def read_or_refuse(name: str, payload: bytes) -> None:
    try:
        command = parse_command(name, payload, now=NOW)
    except CommandError as error:
        refused = error
    else:
        assert isinstance(command, COMMANDS[name])
        assert 1 <= len(command.id) <= 64
        return
    assert refused.problems
    Response(
        ts=NOW, boot="b", seq=0, id=refused.command_id, command=name, status="rejected", errors=refused.problems
    ).json_bytes()


@UNTIMED
@given(NAMES, st.binary())
def test_any_bytes_are_read_or_refused(name: str, payload: bytes) -> None:
    read_or_refuse(name, payload)


@UNTIMED
@given(NAMES, JSON_VALUES)
def test_any_json_is_read_or_refused(name: str, value: object) -> None:
    read_or_refuse(name, json.dumps(value).encode())


@UNTIMED
@given(NAMES, st.dictionaries(FIELDS, JSON_VALUES))
def test_any_values_of_known_fields_are_read_or_refused(name: str, data: dict[str, object]) -> None:
    read_or_refuse(name, json.dumps({"id": "j1", **data}).encode())


@UNTIMED
@given(NAMES, st.text(alphabet=string.printable + '{}[]":,\\u0000'))
def test_any_text_is_read_or_refused(name: str, text: str) -> None:
    read_or_refuse(name, text.encode())


@pytest.mark.parametrize(
    ("name", "fields", "named"),
    [
        ("record", {"label": "-x y", "seconds": 1}, "label: must begin with a letter or digit and hold only letters"),
        ("record", {"label": "a b", "seconds": 1}, "letters, digits and _ . + -"),
        ("deploy", {"model": "../x"}, "model: must begin with a letter or digit"),
    ],
)
def test_a_name_that_is_none_is_told_what_a_name_may_hold(name: str, fields: dict[str, Any], named: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse_command(name, json.dumps({"id": "1", **fields}).encode(), now=NOW)
    assert named in str(caught.value)
    assert "pattern" not in str(caught.value)


def test_the_plant_may_tell_more_than_the_node_knows() -> None:
    context = parse_context(b'{"shaft_rpm": 1797, "shift": "night"}')
    assert (context.shaft_rpm, context.load, context.running) == (1797.0, None, None)
    assert parse_context(b"") == Context()


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (b'{"shaft_rpm": 1797, "shaft_rpm": 0}', "an object names a key twice"),
        (b'{"shaft_rpm": NaN}', "NaN is not a JSON number"),
        (b'{"shaft_rpm": 1e999}', "shaft_rpm: "),
        (b'{"shaft_rpm": -1, "running": "perhaps"}', "shaft_rpm: .*; running: "),
        (b"[]", "must be a JSON object, not list"),
        (b'{"load": ' + b"[" * 9000, "nested too deeply|not JSON"),
        (b"\xff", "not UTF-8"),
        (b" " * MAX_PAYLOAD_BYTES + b"{}", "more than 16384 bytes"),
        (b'{"load": ' + b"9" * 9000 + b"}", "not JSON"),
    ],
)
def test_what_is_no_context_is_refused_with_the_reason(payload: bytes, told: str) -> None:
    with pytest.raises(PayloadError, match=told):
        parse_context(payload)


@given(
    st.binary(max_size=64)
    | st.text(max_size=64).map(str.encode)
    | st.builds(
        json.dumps,
        st.fixed_dictionaries(
            {}, optional={name: st.none() | st.booleans() | st.floats() | st.text() for name in Context.model_fields}
        ),
    ).map(str.encode)
)
def test_any_context_is_read_or_refused(payload: bytes) -> None:
    with contextlib.suppress(PayloadError):
        parse_context(payload)


def test_of_a_thousand_unknown_fields_a_few_are_compared_with_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    def compare(name: str, _: object) -> str:
        compared.append(name)
        return ""

    monkeypatch.setattr(validation, "did_you_mean", compare)
    assert len(refusal("recalibrate", LIVE | {f"clases{number}": 1 for number in range(900)}).problems) >= 900
    assert 0 < len(compared) <= validation.MOST_NEAR
