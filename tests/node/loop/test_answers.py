"""Where a node's answers go: to their own topics and to those of who asked, but never where that would do harm."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from paho.mqtt import properties

from edgetune_node.mqtt.outbox import Outbox
from edgetune_node.mqtt.property_text import read_text

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

OTHERS = "edgetune/n2/pump/fault"
DEEP = "a/" * 201 + "a"
"""At this topic mosquitto ends the connection of whoever publishes there."""


def test_a_command_cannot_have_the_node_write_over_another_nodes_fault(
    node: Callable[..., Any], bearing: str, recorder: Callable[..., Any]
) -> None:
    loop = node(bearing)
    loop.start()
    line = recorder(loop.broker, "edgetune/n2/#", "answers/#")
    line.publish(OTHERS, {"active": True}, retain=True)
    loop.scada.publish("edgetune/n1/cmd/ping", {"id": "1"}, response_topic=OTHERS)
    assert "topics below edgetune are for nodes" in loop.reply("1")["detail"]["response_topic"]
    loop.scada.publish("edgetune/n1/cmd/ping", {"id": "2"}, response_topic="answers/me")
    assert line.wait_for(lambda seen: seen.topic == "answers/me").json()["id"] == "2"
    assert [message.json() for message in line.on(OTHERS)] == [{"active": True}]


def test_a_response_topic_that_a_broker_may_hang_up_on_costs_no_connection(
    node: Callable[..., Any], bearing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(properties, "readUTF", read_text)  # else paho has the recorder hang up on the command it hears
    loop = node(bearing)
    loop.start()
    for number, topic in enumerate((DEEP, "reply/\ufeff", "x" * 60_000)):
        loop.scada.publish("edgetune/n1/cmd/ping", {"id": str(number)}, response_topic=topic)
        assert loop.reply(str(number))["detail"]["response_topic"].startswith("not used: ")
        loop.scada.publish("edgetune/n1/cmd/ping", b"garbage", response_topic=topic)
        rejected = loop.wait("resp/ping", lambda answer: answer["status"] == "rejected")
        assert rejected["detail"]["response_topic"].startswith("not used: ")
        loop.forget()
    health = loop.wait("health", lambda health: health["outbox_depth"] == 0)
    assert (health["reconnects"], health["outbox_set_aside"]) == (0, 0)
    assert health["problems"] == []


def test_what_an_older_version_left_poisoned_is_counted_and_named_also_after_a_restart(
    node: Callable[..., Any], bearing: str
) -> None:
    loop = node(bearing)
    loop.data.mkdir()
    behind = "edgetune/n1/bearing/resp/record"
    outbox = Outbox(loop.data / "outbox.sqlite", max_bytes=10**6, max_age_s=1e6, clock=time.time_ns)
    for topic in (DEEP, behind):
        outbox.put(topic, b'{"id": "1"}', qos=1, retain=False, correlation=None, boot="old")
    outbox.close()
    loop.start()
    loop.scada.wait_for_count(behind, 1)
    for _ in range(2):
        health = loop.wait("health", lambda health: health["outbox_set_aside"] == 1)
        [problem] = [problem for problem in health["problems"] if "set aside" in problem]
        assert DEEP[:100] in problem
        assert "another client" not in str(health["problems"])
        loop.send(signal.SIGTERM)
        assert loop.ended() == 0
        loop.forget()
        loop.start()
