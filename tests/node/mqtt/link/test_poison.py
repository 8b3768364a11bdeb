"""A message that the broker hangs up on is set aside, and whatever waits behind it arrives."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from edgetune_node.contract.topics import Topics
from edgetune_node.mqtt import client_id_conflict, set_aside
from edgetune_node.mqtt.outbox import Outbox

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow
TOPICS = Topics("acme/plant", "n1")
STATE, FAULT, SIGN = (TOPICS.asset("a", leaf) for leaf in ("state", "fault", "sign"))
DEEP = "a/" * 201 + "a"
MARKED = "reply/\ufeff"


def poisoned(folder: Path, *topics: str) -> None:
    """Leave messages in an outbox, as an older version would have: answers to their topics at its head."""
    outbox = Outbox(folder / "outbox.sqlite", max_bytes=10**6, max_age_s=1e6, clock=time.time_ns)
    for topic in topics:
        outbox.put(topic, b'{"id": "1"}', qos=1, retain=False, correlation=None, boot="old")
    outbox.close()


def test_a_poisoned_head_of_the_outbox_holds_up_no_fault_also_over_restarts(
    fresh_broker: Any, bench: Any, say: Any, recorder: Any, tmp_path: Path
) -> None:
    poisoned(tmp_path / "node", DEEP)
    scada = recorder(fresh_broker, "acme/#")
    node = bench(fresh_broker, folder=tmp_path / "node")
    node.link.publish(say.fault(7))
    node.link.start()
    assert scada.wait_for(lambda seen: seen.topic == FAULT).json()["seq"] == 7
    node.delivered()
    node.until(lambda: node.outbox.aside == 1)
    assert node.link.set_aside is not None
    assert DEEP[:100] in node.link.set_aside
    assert node.link.flapping is None
    node.close()
    scada.clear()
    again = bench(fresh_broker, folder=tmp_path / "node")
    again.link.publish(say.fault(8))
    again.start()
    scada.wait_for(lambda seen: seen.topic == FAULT and seen.json()["seq"] == 8)
    assert (again.outbox.aside, again.link.reconnects) == (1, 0)
    assert again.link.set_aside is not None


@pytest.mark.parametrize("topic", [DEEP, MARKED])
def test_a_command_with_a_bad_response_topic_keeps_no_node_off_line(
    fresh_broker: Any, bench: Any, recorder: Any, topic: str
) -> None:
    node = bench(fresh_broker).start()
    plant = recorder(fresh_broker)
    plant.publish(TOPICS.asset("a", "cmd/record"), b"1", response_topic=topic)
    assert TOPICS.unusable(node.command().response_topic) is not None
    node.link.ack(node.command().ack)
    plant.publish(TOPICS.asset("a", "cmd/record"), b"2")
    assert node.command(1).payload == b"2"
    assert node.link.reconnects == 0


def test_answers_to_response_topics_wait_for_everything_else(
    make_broker: Any, bench: Any, say: Any, recorder: Any
) -> None:
    broker = make_broker().start()
    node = bench(broker)
    node.link.publish(say.reply("reply/x"))
    node.link.publish(say.fault(1))
    scada = recorder(broker, "#")
    node.start()
    node.delivered()
    scada.wait_for(lambda seen: seen.topic == "reply/x")
    seen = [each.topic for each in scada.messages if each.topic in {"reply/x", FAULT}]
    assert seen == [FAULT, FAULT, "reply/x"]  # historical, restated, then the answer


@pytest.mark.parametrize("how", ["", "close", "reset"])
@pytest.mark.parametrize("leaf", ["a/fault", "a/classification", "health", "status"])
def test_a_broker_that_hangs_up_on_one_topic_gets_all_the_others(
    aedes: Any, bench: Any, say: Any, recorder: Any, how: str, leaf: str
) -> None:
    broker = aedes(denied=f"/{leaf}$", how=how)
    scada = recorder(broker, "acme/#", protocol="3.1.1")
    node = bench(broker, protocol="3.1.1")
    told = {
        FAULT: say.fault(1),
        STATE: say.state(2),
        SIGN: say.sign(3),
        TOPICS.asset("a", "classification"): say.classification(4),
        TOPICS.node("health"): say.health(5),
    }
    node.link.start()
    denied = TOPICS.node(leaf)

    def all_told() -> bool:
        if node.link.connected:
            node.link.publish(say.health(5))
            node.link.publish(say.classification(4))
            node.link.publish(say.status("online", 6))
        return node.link.set_aside is not None and all(scada.on(topic) for topic in told if topic != denied)

    for topic in (FAULT, STATE, SIGN):
        node.link.publish(told[topic])
    deadline_s = time.monotonic() + 120
    while not all_told() and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert node.link.set_aside is not None, node.reasons()
    assert denied in node.link.set_aside
    for topic in told:
        assert bool(scada.on(topic)) == (topic != denied), topic
    assert node.link.flapping is None
    node.delivered()
    assert node.outbox.aside == (leaf == "a/fault")
    assert node.link.reconnects <= 8


def test_a_broker_that_hangs_up_on_a_subscription_gets_what_the_node_publishes(
    aedes: Any, bench: Any, say: Any, recorder: Any
) -> None:
    broker = aedes(denied_filter="context")
    scada = recorder(broker, "acme/plant/n1/a/fault", protocol="3.1.1")
    node = bench(broker, protocol="3.1.1")
    node.link.publish(say.fault(1))
    node.link.start()
    scada.wait_for(lambda seen: seen.topic == FAULT)
    node.until(lambda: node.link.refusal is not None)
    assert "context: the broker hangs up on it" in node.link.refusal
    scada.publish(TOPICS.asset("a", "cmd/cancel"), b"now")
    node.command()


def test_a_refused_subscription_is_told(aedes: Any, bench: Any) -> None:
    node = bench(aedes(denied_filter="context", how="refuse"), protocol="3.1.1").start()
    assert node.link.refusal == f"subscription to {TOPICS.base}/+/context: Unspecified error"
    assert node.link.reconnects == 0


def test_a_broker_that_resets_every_connection_is_not_hammered(aedes: Any, bench: Any, say: Any) -> None:
    """Every topic is denied: each has to be found, and none of it is taken for another client."""
    broker = aedes(denied=".", how="reset")
    node = bench(broker, protocol="3.1.1")
    for publish in (say.fault(1), say.state(2), say.sign(3)):
        node.link.publish(publish)
    began_s = time.monotonic()
    node.link.start()
    node.until(lambda: node.outbox.aside == 3)
    took_s = time.monotonic() - began_s
    assert node.link.flapping is None
    assert broker.connections <= 2 + took_s / client_id_conflict.MIN_RECONNECT_S
    node.until(lambda: node.changes()[-1:] == [True])


def test_what_was_set_aside_is_sent_once_the_broker_takes_it(
    aedes: Any, bench: Any, say: Any, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(set_aside, "SETTLED_S", 0.5)
    monkeypatch.setattr(set_aside, "LOOK_S", 0.5)
    strict = aedes(denied="/fault$")
    node = bench(strict, protocol="3.1.1")
    node.link.publish(say.fault(1))
    node.link.start()
    node.until(lambda: node.outbox.aside == 1)
    node.close()
    lenient = aedes()
    scada = recorder(lenient, "acme/#", protocol="3.1.1")
    again = bench(lenient, folder=node.outbox._file.path.parent, protocol="3.1.1")
    again.link.start()
    scada.wait_for(lambda seen: seen.topic == FAULT and seen.json()["historical"])
    again.until(lambda: again.outbox.aside == 0)
    again.until(lambda: again.link.set_aside is None)
