from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, strategies as st
from rich.console import Console

from edgetune_node.cli.remote.watch import _cells, asset_table, line_text
from edgetune_node.contract.fault import Fault
from edgetune_node.contract.messages import CalibrationStatus, Classification, Health, Info, Model, State, Status
from edgetune_node.operator.fleet import Fleet, cause_text, fault_text, phase_text, sample_age

if TYPE_CHECKING:
    from edgetune_node.contract.message import Message

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
FAULT: dict[str, Any] = {
    "active": True,
    "event": "e-1",
    "class_": "inner",
    "severity": "alarm",
    "first_seen": NOW,
    "last_seen": NOW,
    "votes": 8,
    "of": 10,
    "confidence": 0.97,
    "model": "m-1",
}
FIGURES: dict[str, Any] = {
    **dict.fromkeys(("uptime_s", "rss_bytes", "cpu_percent", "queue_depth", "dropped_chunks", "reconnects"), 0),
    "temperature_c": None,
    "outbox_depth": 0,
    "outbox_dropped": 0,
    "disk_free_bytes": 0,
}


def populate(node: Any) -> None:
    node.online()
    node.state("monitoring")
    node.model(id="m-1", arena_bytes=2144, accuracy=0.987)
    node.say(Fault, **FAULT)


@pytest.mark.slow
def test_json_gives_every_message_and_nothing_else(broker: Any, scripted_node: Any, spawn: Any) -> None:
    node = scripted_node(broker)
    populate(node)
    node.seen.publish(f"{node.base}/press/samples", b"\x00\xff", retain=True)
    process = spawn("watch", "--json", *node.target)
    lines = [json.loads(process.stdout.readline()) for _ in range(5)]
    node.seen.publish(f"{node.base}/press/samples", b"\x00\xff")
    node.say(Health, **FIGURES, assets=[])
    lines.append(json.loads(process.stdout.readline()))
    assert {line["topic"].removeprefix(node.base + "/") for line in lines} == {
        "status",
        "info",
        "health",
        "press/state",
        "press/model",
        "press/fault",
    }
    assert all(set(line) == {"topic", "payload"} for line in lines)


def test_it_ends_after_its_time(broker: Any, scripted_node: Any, cli: Any) -> None:
    assert cli("watch", "--json", "--seconds", "0.1", *scripted_node(broker).target).code == 0


@pytest.mark.slow
def test_plain_lines_say_what_changes(broker: Any, scripted_node: Any, spawn: Any) -> None:
    node = scripted_node(broker)
    populate(node)
    process = spawn("watch", "--seconds", "60", *node.target)

    def line_with(*words: str) -> str:
        """The next line with these words; none once `watch` has ended, which fails."""
        return next(line for line in process.stdout if all(each in line for each in words))

    shown = line_with("fault ALARM inner", "model m-1, arena 2,144 B, 98.7%")
    assert shown.startswith(f"{node.id}/press: monitoring")
    node.say(Classification, window=1, class_="noise", confidence=0.9, probabilities={}, model="m-1", quality=[])
    line_with("hears noise")
    node.say(Fault, **{**FAULT, "active": False, "class_": "normal", "severity": "none"})
    line_with("fault none")
    node.say(Fault, **FAULT)
    node.say(Status, status="offline")
    line_with("fault stale (node offline): ALARM inner")
    process.terminate()
    process.wait(60)


@pytest.mark.slow
def test_a_reader_that_has_enough_ends_it_quietly(broker: Any, scripted_node: Any, spawn: Any) -> None:
    node = scripted_node(broker)
    populate(node)
    process = spawn("watch", "--json", "--seconds", "20", *node.target, stderr=subprocess.PIPE)
    assert process.stdout.readline()
    process.stdout.close()
    node.state("recording")
    node.state("monitoring")
    process.wait(60)
    assert "Traceback" not in process.stderr.read()


def test_a_broker_that_is_down_is_a_message(cli: Any, make_broker: Any) -> None:
    process = make_broker().start()
    process.stop()
    ended = cli("watch", "--broker", f"{process.host}:{process.port}")
    assert ended.code == 1
    assert "refuses the connection" in ended.err


def payload(model: type[Message], /, **fields: Any) -> dict[str, Any]:
    message = model(ts=NOW, boot="b", seq=1, **fields)
    found: dict[str, Any] = json.loads(message.json_bytes())
    return found


def described(*assets: str) -> dict[str, Any]:
    known = {"task": "fault", "channels": 1, "rate_hz": 1e3, "unit": "g", "window": 64, "hop": 64, "source": "mqtt"}
    described = [{"id": name, **known} for name in assets]
    return payload(Info, versions={}, assets=described, capabilities=[], insecure=[], config={})


def heard(name: str) -> dict[str, Any]:
    return payload(Classification, window=1, class_=name, confidence=0.9, probabilities={}, model="m-1", quality=[])


def fleet() -> Fleet:
    line = Fleet("acme/plant")
    for topic, said in (
        ("n1/status", payload(Status, status="online")),
        ("n1/info", described("press", "saw")),
        ("n1/press/state", payload(State, phase="monitoring", reason="", since=NOW)),
        ("n1/press/classification", heard("inner")),
        ("n1/press/fault", payload(Fault, **FAULT)),
        ("n1/press/model", payload(Model, id="m-1", arena_bytes=2144, accuracy=0.987)),
        ("n2/status", payload(Status, status="offline")),
        ("n2/mill/state", payload(State, phase="monitoring", reason="", since=NOW)),
        ("n3/status", payload(Status, status="stopped")),
    ):
        line.take(f"acme/plant/{topic}", said, 0.0)
    return line


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_the_table_fits_the_terminal_and_loses_nothing(width: int) -> None:
    console = Console(width=width)
    with console.capture() as captured:
        console.print(asset_table(fleet().rows(), 3.0, width=width))
    shown = captured.get()
    assert max(map(len, shown.splitlines())) <= width
    words = " ".join(shown.split())
    for text in ("n1/press", "n1/saw", "n2/mill", "n3", "offline", "stopped", "monitoring", "ALARM", "2,144", "98.7%"):
        assert text in words


def test_a_recalibration_that_is_suggested_is_seen_until_it_is_not() -> None:
    line = fleet()
    for suggested, shown in ((["the RMS has risen"], True), ([], False)):
        said = payload(CalibrationStatus, phase="idle", instruction="", percent=0, suggested=suggested)
        row = line.take("acme/plant/n1/press/calibration", said, 0.0)
        assert row is not None
        assert phase_text(row) == ("monitoring, recalibrate suggested" if shown else "monitoring")
        assert ("the RMS has risen" in line_text(row)) is shown


def test_offline_nodes_are_greyed() -> None:
    rows = fleet().rows()
    styles = [row.style for row in asset_table(rows, 0.0, width=120).rows]
    assert [row.status for row in rows] == ["online", "online", "offline", "stopped"]
    assert styles == ["", "", "dim", "dim"]


@pytest.mark.parametrize("status", ["offline", "stopped"])
def test_the_fault_of_a_node_that_is_gone_is_stale_until_it_is_back(status: str) -> None:
    line = fleet()

    def cell() -> tuple[str, str]:
        row = line.of_node("n1")[0]
        found = _cells(row, 0.0)["fault"]
        return found.plain.partition("ALARM")[0], str(found.style)

    assert cell() == ("", "bold red")
    line.take("acme/plant/n1/status", payload(Status, status=status), 1.0)
    assert cell() == (f"stale (node {status}): ", "")
    line.take("acme/plant/n1/status", payload(Status, status="online"), 2.0)
    assert cell() == ("", "bold red")


def test_a_node_that_comes_and_goes_takes_its_assets_along() -> None:
    line = fleet()
    line.take("acme/plant/n1/status", payload(Status, status="offline"), 1.0)
    assert {row.status for row in line.rows() if row.node == "n1"} == {"offline"}


def test_the_age_of_samples_grows_until_something_is_heard() -> None:
    line = Fleet("e")
    figures = dict.fromkeys(("samples", "windows", "dropped_chunks", "gaps"), 0)
    rest = {"sample_age_s": 1.0, "inference_p50_us": None, "inference_p99_us": None, "source_error": None}
    line.take("e/n/health", payload(Health, **FIGURES, assets=[{"id": "press", **figures, **rest}]), 10.0)
    (row,) = line.rows()
    assert sample_age(row, 15.0) == 6.0
    line.take("e/n/press/classification", heard("normal"), 14.5)
    (row,) = line.rows()
    assert sample_age(row, 15.0) == 0.5


def test_an_acknowledged_fault_says_by_whom() -> None:
    line = Fleet("e")
    seen = payload(Fault, **FAULT, acknowledged=True, acknowledged_by="jo")
    row = line.take("e/n/press/fault", seen, 0.0)
    assert row is not None
    assert fault_text(row).endswith("acknowledged by jo")


@pytest.mark.parametrize("width", [80, 200])
def test_a_fault_is_shown_with_what_physics_says_and_what_to_do(width: int) -> None:
    line = Fleet("e")
    found = {
        "unit": "g",
        "seconds": 1.0,
        "defect": "bpfi",
        "defect_hz": 162.19,
        "physics": "agrees",
        "note": "the envelope shows the line of the inner race (bpfi)",
        "action": "inspect the bearing",
    }
    row = line.take("e/n/press/fault", payload(Fault, **FAULT, evidence=found), 0.0)
    assert row is not None
    console = Console(width=width)
    with console.capture() as captured:
        console.print(asset_table([row], 0.0, width=width))
    for text in (" ".join(captured.get().split()), line_text(row)):
        for part in ("inner race", "line at 162.2 Hz", "Do: inspect"):
            assert part in text
    row = line.take("e/n/press/fault", payload(Fault, **{**FAULT, "active": False}, evidence=found), 1.0)
    assert row is not None
    assert cause_text(row) == ""
    against = {**found, "physics": "disagrees"}
    row = line.take("e/n/press/fault", payload(Fault, **{**FAULT, "active": False}, evidence=against), 2.0)
    assert row is not None
    assert "inner race" in cause_text(row)


def test_a_field_that_a_newer_node_adds_is_left_out() -> None:
    line = Fleet("e")
    line.take("e/n/press/model", {**payload(Model, id="m-9"), "colour": "blue"}, 0.0)
    assert [row.model.id for row in line.rows() if row.model] == ["m-9"]


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3))
LEAVES = ["status", "info", "health", "press/state", "press/fault", "press/model", "press/sign", "a/b/c", ""]


@given(
    st.sampled_from(LEAVES),
    st.sampled_from([payload(Status, status="online"), described("press"), payload(Fault, **FAULT), heard("a"), {}]),
    st.dictionaries(st.sampled_from(["status", "assets", "class", "confidence", "active", "id", "accuracy"]), JSON),
)
def test_whatever_others_publish_there_is_survived(leaf: str, good: dict[str, Any], bad: dict[str, Any]) -> None:
    line = Fleet("e")
    line.take(f"e/n/{leaf}", {**good, **bad}, 0.0)
    console = Console(width=80)
    with console.capture():
        console.print(asset_table(line.rows(), 1.0, width=80))
