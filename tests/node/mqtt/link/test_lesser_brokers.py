"""Brokers that do not retain, or take no QoS 1, get what can be served, and it is told."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from edgetune_node.contract.topics import Topics
from edgetune_node.mqtt.wills import PATIENCE

pytestmark = pytest.mark.slow
TOPICS = Topics("acme/plant", "n1")
STATE, FAULT = TOPICS.asset("a", "state"), TOPICS.asset("a", "fault")


@pytest.mark.parametrize(
    ("option", "five", "three"),
    [
        ("retain_available false", (False, 2, "not retained"), (False, 2, "not retained")),
        ("max_qos 0", (True, 0, "retained"), (True, 0, "retained")),
        ("max_qos 1", (True, 1, "retained"), (True, 2, "retained")),
        ("retain_available false\nmax_qos 0", (False, 0, "not retained"), (False, 0, "not retained")),
    ],
)
def test_what_a_broker_lacks_is_found_and_done_without(
    make_broker: Any,
    bench: Any,
    say: Any,
    recorder: Any,
    protocol: str,
    option: str,
    five: tuple[bool, int, str],
    three: tuple[bool, int, str],
) -> None:
    broker = make_broker()
    broker.more.append(option)
    broker.start()
    scada = recorder(broker, "acme/#", protocol=protocol)
    node = bench(broker, protocol=protocol)
    node.link.publish(say.fault(1))
    node.start()
    node.link.publish(say.state(2))
    node.link.publish(say.status("online", 3))
    for topic in (FAULT, STATE, TOPICS.node("status")):
        scada.wait_for(lambda seen, topic=topic: seen.topic == topic)
    node.delivered()
    served = node.link.broker
    assert (served.retain, served.max_qos, served.will) == (five if protocol == "5" else three)
    assert node.link.set_aside is None
    assert node.link.flapping is None
    scada.publish(TOPICS.asset("a", "cmd/cancel"), b"now", qos=0)
    node.command()
    node.connection.abandon()  # the broker sends the will
    scada.wait_for(lambda seen: seen.topic == TOPICS.node("status") and seen.json()["status"] == "offline")
    node.until_up(2)
    late = recorder(broker, "acme/#", protocol=protocol)
    node.link.publish(say.state(4))
    late.wait_for(lambda seen: seen.topic == STATE and seen.json()["seq"] == 4)
    assert any(each.retain for each in late.on(FAULT)) == served.retain  # it may come again, but not as retained


def test_a_message_is_kept_until_a_broker_of_qos_0_has_it(make_broker: Any, bench: Any, say: Any) -> None:
    broker = make_broker()
    broker.more.append("max_qos 0")
    broker.start()
    node = bench(broker, keepalive_s=60).start()
    broker.freeze()
    node.link.publish(say.fault(1))
    node.until(lambda: node.link._sender.delivery.flying)
    assert node.outbox.depth == 1
    broker.thaw()
    node.delivered()


def test_nothing_is_retained_where_the_configuration_says_so(
    fresh_broker: Any, bench: Any, say: Any, recorder: Any, protocol: str
) -> None:
    node = bench(fresh_broker, protocol=protocol, retain="never").start()
    node.link.publish(say.fault(1))
    node.link.publish(say.status("online", 2))
    node.delivered()
    assert (node.link.broker.retain, node.link.broker.will) == (False, "not retained")
    node.connection.abandon()
    node.until_up(2)
    late = recorder(fresh_broker, "acme/#", protocol=protocol)
    node.link.publish(say.state(3))
    late.wait_for(lambda seen: seen.topic == STATE)
    assert not [seen for seen in late.messages if seen.retain]  # what the node says anew may come late, too


def test_a_broker_that_was_only_starting_is_asked_for_the_retained_will_again(bench: Any, make_broker: Any) -> None:
    """Something else that hangs up stands on its port for the first tries."""
    broker = make_broker().start()
    broker.stop()
    tries = 0
    with socket.create_server((broker.host, broker.port)) as impostor:
        node = bench(broker, protocol="3.1.1")
        node.link.start()
        while tries < PATIENCE + 1:
            impostor.accept()[0].close()
            tries += 1
    broker.start()
    node.until_up()
    assert node.link.broker.will == "retained"
