"""Commands that a host writes, and what cannot be written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from brokers import wait_until
from structlog.testing import capture_logs

from edgetune_node.contract.messages import Response
from edgetune_node.events.effects import Durability
from edgetune_node.integrations.sparkplug import complaint
from edgetune_node.integrations.sparkplug.payload import DataType, Metric, encode
from edgetune_node.mqtt import MAX_INCOMING_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from brokers import Broker


@pytest.mark.parametrize(
    ("name", "written", "wanted"),
    [
        ("acknowledge", "", {"by": "sparkplug"}),
        ("acknowledge", '{"by": "anna", "comment": "seen"}', {"by": "anna", "comment": "seen"}),
        ("recalibrate", "{}", {"source": "stored"}),
        ("recalibrate", '{"id": "mine", "source": "live", "classes": ["normal"]}', {"id": "mine", "source": "live"}),
        ("rollback", "", {}),
    ],
)
def test_a_written_metric_is_the_command_of_its_name(
    broker: Broker, plant: Callable[..., Any], name: str, written: str, wanted: dict[str, Any]
) -> None:
    at = plant(broker).start()
    at.host.wait("DBIRTH", 2)
    at.host.write(f"command/{name}", written, "pump")
    wait_until(lambda: at.commands)
    [command] = at.commands
    assert (command.asset, command.name, command.retained, command.ack) == ("pump", name, False, None)
    given = json.loads(command.payload)
    assert given.items() >= wanted.items()
    assert 1 <= len(given["id"]) <= 64


def test_each_command_has_an_id_of_its_own(broker: Broker, plant: Callable[..., Any]) -> None:
    at = plant(broker).start()
    at.host.wait("DBIRTH", 2)
    for _ in range(2):
        at.host.write("command/rollback", "", "pump")
    wait_until(lambda: len(at.commands) == 2)
    assert len({json.loads(command.payload)["id"] for command in at.commands}) == 2


@pytest.mark.parametrize("written", ["{", "[1]", True, '"text"'])
def test_what_is_no_command_is_left_for_the_node_to_refuse(
    broker: Broker, plant: Callable[..., Any], written: Any
) -> None:
    at = plant(broker).start()
    at.host.wait("DBIRTH", 2)
    at.host.write("command/acknowledge", written, "pump")
    wait_until(lambda: at.commands)
    text = json.dumps(written) if isinstance(written, bool) else written
    assert at.commands[0].payload == text.encode()


def test_a_signed_command_is_passed_on_as_it_is(broker: Broker, plant: Callable[..., Any]) -> None:
    at = plant(broker, mqtt=f'command_key = "{"k" * 32}"').start()
    at.host.wait("DBIRTH", 2)
    at.host.write("command/acknowledge", '{"payload": "..."}', "pump")
    wait_until(lambda: at.commands)
    assert at.commands[0].payload == b'{"payload": "..."}'


def test_a_retained_command_is_marked_and_a_retained_rebirth_is_left(
    fresh_broker: Broker, plant: Callable[..., Any]
) -> None:
    at = plant(fresh_broker)
    at.host.write("command/rollback", "", "pump", retain=True)
    at.host.write("Node Control/Rebirth", value=True, retain=True)
    at.start()
    at.host.wait("DBIRTH", 2)
    wait_until(lambda: at.commands)
    assert at.commands[0].retained
    at.host.write("Node Control/Rebirth", value=True)
    at.host.wait("NBIRTH", 2)
    assert len(at.host.said("NBIRTH")) == 2


def test_what_cannot_be_written_is_told_and_nothing_happens(broker: Broker, plant: Callable[..., Any]) -> None:
    at = plant(broker).start()
    at.host.wait("DBIRTH", 2)
    for name, device, told in (
        ("fault/active", "pump", "fault/active of pump was written"),
        ("command/history", "pump", "command/history of pump was written"),
        ("Node Control/Reboot", None, "Node Control/Reboot was written to the edge node"),
    ):
        at.host.write(name, "x", device)
        wait_until(lambda told=told: any(told in problem for problem in at.edge.problems), what=told)
    at.host.send(b"\xff\xff\xff", "pump")
    wait_until(lambda: any("is no payload of Sparkplug B" in problem for problem in at.edge.problems))
    at.host.send(b"")
    at.host.send(encode([Metric("", DataType.STRING, None, 0)], time_ms=0, seq=None))
    at.host.rebirth()
    at.host.wait("NBIRTH", 2)
    assert at.commands == []


def test_an_answer_is_data_of_the_device(broker: Broker, plant: Callable[..., Any]) -> None:
    at = plant(broker).start()
    at.host.wait("DBIRTH", 2)
    for each in at.publisher.respond("pump", Response(id="i", command="rollback", status="failed", reason="no other")):
        at.edge.published(each)
    answer = at.host.wait_value("answer/status", "failed", "pump")
    assert answer.verb == "DDATA"
    assert (answer.values["answer/command"], answer.values["answer/id"]) == ("rollback", "i")
    assert answer.values["answer/reason"] == "no other"
    elsewhere = Response(id="j", command="rollback", status="done")
    at.edge.published(at.publisher.publish(elsewhere, "pump", Durability.RARE, topic="somewhere/else"))
    at.edge.published(
        at.publisher.publish(
            Response(id="k", command="ping", status="done"), None, Durability.RARE, topic=at.topics.node("resp/ping")
        )
    )
    at.phase("monitoring")
    at.host.wait_value("state/phase", "monitoring")
    assert len([each for each in at.host.said() if each.values.get("answer/id")]) == 1


def test_names_of_any_number_and_length_are_one_short_problem(
    broker: Broker, plant: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    at = plant(broker).start()
    at.host.wait("DBIRTH", 2)
    monkeypatch.setattr(complaint, "LOGGED_S", 3600.0)  # six of them may take more than ten seconds here
    with capture_logs() as logs:
        for device, told in ((None, "written to the edge node"), ("pump", "of pump was written")) * 3:
            strange = [Metric("x" * 10_000, DataType.STRING, "", 1), *(Metric("", DataType.STRING, "", 1),) * 20_000]
            at.host.send(encode(strange, time_ms=1, seq=None), device)
            wait_until(lambda told=told: any(told in problem for problem in at.edge.problems), what=told)
            assert all(len(problem) < 500 for problem in at.edge.problems)
    assert len(logs) == 1


@pytest.mark.parametrize("body", [b"\x12\x04\x0a\x02\xff\xfe", b"\x12\x04\x7a\x02\xff\xfe"])
def test_a_text_that_is_not_utf8_is_told(broker: Broker, plant: Callable[..., Any], body: bytes) -> None:
    at = plant(broker).start()
    at.host.wait("DBIRTH", 2)
    at.host.send(body, "pump")
    wait_until(lambda: any("is not UTF-8" in problem for problem in at.edge.problems))


def test_a_packet_beyond_the_bound_does_not_reach_the_edge_node(
    fresh_broker: Broker, plant: Callable[..., Any]
) -> None:
    at = plant(fresh_broker).start()
    at.host.wait("DBIRTH", 2)
    at.host.write("command/rollback", "x" * MAX_INCOMING_BYTES, "pump")
    at.host.write("command/rollback", "", "pump")
    wait_until(lambda: at.commands)
    assert len(at.commands[0].payload) < 1000
