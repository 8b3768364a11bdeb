"""The broker is killed, frozen, restarted, or not there yet; what was said meanwhile is not lost, and said in order."""

from __future__ import annotations

import contextlib
import time
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from brokers import free_port
from mqtt_proxy import MqttProxy

from edgetune_node.contract.topics import Topics
from edgetune_node.events.events import LinkChanged

TOPICS = Topics("acme/plant", "n1")
STATE, FAULT, SIGN = (TOPICS.asset("a", leaf) for leaf in ("state", "fault", "sign"))


def seqs(messages: list[Any], *, historical: bool) -> list[int]:
    return [seen.json()["seq"] for seen in messages if seen.json()["historical"] is historical]


def test_the_backlog_of_an_outage_leaves_in_order_and_the_present_state_follows(
    fresh_broker: Any, bench: Any, say: Any, recorder: Any, protocol: str
) -> None:
    node = bench(fresh_broker, protocol=protocol).start()
    scada = recorder(fresh_broker, "acme/#", protocol=protocol)
    node.link.publish(say.fault(0, active=False))
    node.delivered()
    fresh_broker.kill()
    node.until(lambda: not node.link.connected)
    for seq in range(1, 31):
        node.link.publish((say.sign, say.state)[seq % 2](seq))
    node.link.publish(say.fault(31, active=True))
    node.until(lambda: node.link.depth == 31)
    assert node.outbox.depth == 31
    scada.clear()
    fresh_broker.start()
    node.until_up(2)
    node.delivered()
    for present in (FAULT, STATE):  # said after the backlog, and not counted in what waits
        scada.wait_for(lambda seen, topic=present: seen.topic == topic and seen.json()["historical"] is False)
    # the recorder may have come back later than the node: what it saw is the end of what was sent
    late = recorder(fresh_broker, "acme/#", protocol=protocol)
    kept = late.wait_for(lambda seen: seen.topic == FAULT)
    assert kept.retain
    assert (kept.json()["seq"], kept.json()["active"], kept.json()["historical"]) == (31, True, False)
    assert late.wait_for(lambda seen: seen.topic == STATE).json()["seq"] == 29
    assert late.on(SIGN) == []


def test_the_backlog_is_marked_unretained_and_in_the_order_it_was_said(
    fresh_broker: Any, bench: Any, say: Any, recorder: Any, protocol: str
) -> None:
    """The subscriber is there before the node's link, so that it sees all of it."""
    scada = recorder(fresh_broker, "acme/#", protocol=protocol)
    away = SimpleNamespace(host=fresh_broker.host, port=free_port())
    node = bench(away, protocol=protocol)
    node.link.start()
    for seq in range(20):
        say_it = (say.sign, say.state, say.fault)[seq % 3]
        node.link.publish(say_it(seq))
        node.until(lambda seq=seq: node.outbox.depth == seq + 1)
    with contextlib.closing(MqttProxy(fresh_broker, away.port)):
        node.until_up()
        node.delivered()
        for present in (FAULT, STATE):  # not counted in what waits
            scada.wait_for(lambda seen, topic=present: seen.topic == topic and not seen.json()["historical"])
    backlog = [seen for seen in scada.messages if seen.json()["historical"]]
    assert seqs(backlog, historical=True) == sorted(seqs(backlog, historical=True))
    assert len(backlog) == 20
    assert not any(seen.retain for seen in backlog)
    topics = [(seen.topic, seen.json()["historical"]) for seen in scada.messages]
    last_of_backlog = max(index for index, (_, historical) in enumerate(topics) if historical)
    assert last_of_backlog < topics.index((STATE, False))
    if protocol == "5":
        assert all(seen.retain for seen in scada.messages if not seen.json()["historical"] and seen.topic != SIGN)


def test_the_backlog_keeps_to_its_rate(fresh_broker: Any, bench: Any, say: Any, recorder: Any) -> None:
    node = bench(fresh_broker, replay_per_second=20)
    for seq in range(20):
        node.link.publish(say.state(seq))
    scada = recorder(fresh_broker, "acme/#")
    began_s = time.monotonic()
    node.start()
    assert time.monotonic() - began_s >= 19 / 20
    assert seqs(scada.wait_for_count(STATE, 21), historical=True) == list(range(20))


def test_a_backlog_does_not_hold_up_what_comes_in(fresh_broker: Any, bench: Any, say: Any, recorder: Any) -> None:
    node = bench(fresh_broker, replay_per_second=0.01)
    for seq in range(20):
        node.link.publish(say.state(seq))
    node.link.start()
    node.until(lambda: node.link.connected)
    recorder(fresh_broker).publish(TOPICS.asset("a", "cmd/cancel"), b"now")
    command = node.command()
    assert LinkChanged(connected=True) not in node.events
    node.link.ack(command.ack)


def test_a_broker_that_is_down_at_the_start_is_waited_for(
    make_broker: Any, bench: Any, say: Any, recorder: Any
) -> None:
    broker = make_broker().start()
    broker.stop()
    node = bench(broker)
    node.link.start()
    node.link.publish(say.state(1))
    node.until(lambda: node.reasons() != [])
    assert "refused" in node.reasons()[0]
    assert str(broker.port) in node.reasons()[0]
    assert len(node.reasons()) == 1
    broker.start()
    node.until_up()
    assert recorder(broker, "acme/#").wait_for(lambda seen: seen.topic == STATE).json()["seq"] == 1


def test_of_telemetry_only_the_newest_state_outlives_an_outage(
    fresh_broker: Any, bench: Any, say: Any, recorder: Any
) -> None:
    node = bench(fresh_broker).start()
    fresh_broker.kill()
    node.until(lambda: not node.link.connected)
    for seq in range(5):
        node.link.publish(say.health(seq))
        node.link.publish(say.classification(seq))
    assert node.link.depth == 0
    fresh_broker.start()
    node.until_up(2)
    node.link.publish(say.classification(9))
    scada = recorder(fresh_broker, "acme/#")
    assert scada.wait_for(lambda seen: seen.topic == TOPICS.node("health")).json()["seq"] == 4
    assert (node.link.telemetry_dropped, node.link.dropped) == (5, 0)


def test_a_heartbeat_never_replaces_a_newer_change(fresh_broker: Any, bench: Any, say: Any, recorder: Any) -> None:
    node = bench(fresh_broker).start()
    fresh_broker.kill()
    node.until(lambda: not node.link.connected)
    node.link.publish(say.fault(1, active=False, durability=say.TELEMETRY))
    node.link.publish(say.fault(2, active=True))
    fresh_broker.start()
    node.until_up(2)
    node.link.publish(say.state(3))
    node.delivered()
    scada = recorder(fresh_broker, "acme/#")
    scada.wait_for(lambda seen: seen.topic == STATE)
    assert scada.wait_for(lambda seen: seen.topic == FAULT).json()["seq"] == 2


def test_a_thawed_broker_gets_everything_once_and_in_order(
    fresh_broker: Any, bench: Any, say: Any, recorder: Any
) -> None:
    scada = recorder(fresh_broker, "acme/#")
    node = bench(fresh_broker, keepalive_s=60).start()
    fresh_broker.freeze()
    for seq in range(60):
        node.link.publish(say.state(seq))
    assert node.link.depth == 60
    fresh_broker.thaw()
    node.delivered()
    assert seqs(scada.wait_for_count(STATE, 60), historical=False) == list(range(60))
    assert len(scada.on(STATE)) == 60


def test_a_frozen_broker_does_not_hold_up_the_stop(fresh_broker: Any, bench: Any, say: Any) -> None:
    node = bench(fresh_broker, keepalive_s=60).start()
    fresh_broker.freeze()
    for seq in range(40):
        node.link.publish(say.state(seq))
    node.stopped = True
    node.link.stop(say.status("stopped"), 2.0)
    assert node.link.connected is False
    assert node.reasons() == []  # it ended by itself, before the keepalive told that the broker is gone
    assert [entry.key for entry in node.outbox.pending()] == list(range(1, 41))
    node.outbox.close()


@pytest.mark.slow
def test_a_broker_frozen_for_longer_than_the_keepalive_counts_as_lost(
    fresh_broker: Any, bench: Any, say: Any, recorder: Any
) -> None:
    scada = recorder(fresh_broker, "acme/#")
    node = bench(fresh_broker, keepalive_s=5).start()
    fresh_broker.freeze()
    node.link.publish(say.sign(1))
    node.until(lambda: node.reasons() != [])
    node.until(lambda: node.outbox.depth == 1)
    fresh_broker.thaw()
    node.until_up(2)
    node.delivered()
    assert scada.wait_for(lambda seen: seen.topic == SIGN).json()["seq"] == 1


def test_a_long_backlog_does_not_hold_up_the_stop(fresh_broker: Any, bench: Any, say: Any, recorder: Any) -> None:
    scada = recorder(fresh_broker, "acme/#")
    node = bench(fresh_broker, replay_per_second=0.01)
    for seq in range(50):
        node.link.publish(say.state(seq))
    node.link.start()
    scada.wait_for(lambda seen: seen.topic == STATE)
    node.stopped = True
    node.link.stop(say.status("stopped"), 20.0)
    scada.wait_for(lambda seen: b"stopped" in seen.payload)
    assert node.outbox.depth >= 48
    node.outbox.close()


def test_on_a_full_disk_messages_go_on_from_memory_in_order(
    fresh_broker: Any, bench: Any, say: Any, recorder: Any
) -> None:
    scada = recorder(fresh_broker, "acme/#")
    node = bench(fresh_broker, keepalive_s=60).start()
    with node.outbox._file.reading() as db:
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count={pages}")
    fresh_broker.freeze()  # so that nothing is acknowledged, and no room made
    with structlog.testing.capture_logs() as logs:
        for seq in range(200):
            node.link.publish(say.state(seq))
    assert node.outbox.depth < 200
    assert "free some space" in node.link.disk_error
    assert [log["event"] for log in logs] == ["outbox_failed"]
    fresh_broker.thaw()
    assert seqs(scada.wait_for_count(STATE, 200), historical=False) == list(range(200))
    node.delivered()
