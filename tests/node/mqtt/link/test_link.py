"""The link against a real mosquitto, in both protocol versions: commands in, messages out, the last will."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from edgetune_node.contract.json_input import MAX_PAYLOAD_BYTES
from edgetune_node.contract.topics import Topics
from edgetune_node.events.effects import FinishCommand, KeepCommand
from edgetune_node.events.events import ContextArrived

if TYPE_CHECKING:
    from pathlib import Path


TOPICS = Topics("acme/plant", "n1")


# ---- commands ------------------------------------------------------------------------------------------------------


def test_commands_context_and_samples_reach_the_node(
    fresh_broker: Any, bench: Any, recorder: Any, protocol: str
) -> None:
    node = bench(fresh_broker, protocol=protocol).start()
    plant = recorder(fresh_broker, protocol=protocol)
    plant.publish(TOPICS.asset("a", "cmd/record"), b"1")
    plant.publish(TOPICS.node("cmd/ping"), b"2", qos=0)
    plant.publish(TOPICS.asset("a", "context"), b"3")
    plant.publish(TOPICS.asset("a", "samples"), b"4", qos=0)
    plant.publish(TOPICS.asset("b", "samples"), b"5")
    node.until(lambda: len(node.events) == 4 and node.samples == [b"4"])
    record, ping = node.commands()
    assert (record.asset, record.name, record.payload, record.retained) == ("a", "record", b"1", False)
    assert (ping.asset, ping.name, ping.payload, ping.ack) == (None, "ping", b"2", None)
    assert ContextArrived("a", b"3") in node.events


def test_samples_that_the_broker_kept_are_not_taken_for_live(
    fresh_broker: Any, bench: Any, recorder: Any, protocol: str
) -> None:
    plant = recorder(fresh_broker, protocol=protocol)
    plant.publish(TOPICS.asset("a", "samples"), b"of yesterday", retain=True)
    node = bench(fresh_broker, protocol=protocol).start()
    plant.publish(TOPICS.asset("a", "samples"), b"live, kept by mistake", retain=True)
    plant.publish(TOPICS.asset("a", "samples"), b"live")
    node.until(lambda: b"live" in node.samples)
    assert node.samples == [b"live, kept by mistake", b"live"]


def test_a_retained_command_is_seen_as_retained(fresh_broker: Any, bench: Any, recorder: Any, protocol: str) -> None:
    plant = recorder(fresh_broker, protocol=protocol)
    plant.publish(TOPICS.asset("a", "cmd/record"), b"early", retain=True)
    node = bench(fresh_broker, protocol=protocol).start()
    assert node.command().retained
    if protocol == "5":
        plant.publish(TOPICS.asset("a", "cmd/cancel"), b"late", retain=True)
        assert node.command(1).retained


def test_a_retained_command_is_not_refused_anew_on_each_reconnect(
    fresh_broker: Any, bench: Any, recorder: Any, say: Any
) -> None:
    node = bench(fresh_broker).start()
    plant = recorder(fresh_broker)
    plant.publish(TOPICS.asset("a", "cmd/record"), b"once", retain=True)
    node.link.ack(node.command().ack)
    node.link.publish(say.fault(1))
    node.delivered()  # and so the acknowledgement, which goes the same way before it, is with the broker
    fresh_broker.stop()
    fresh_broker.start()
    node.until_up(2)
    plant.publish(TOPICS.asset("a", "cmd/cancel"), b"after")
    node.until(lambda: b"after" in [command.payload for command in node.commands()])
    assert [command.payload for command in node.commands()].count(b"once") == 1


def test_a_huge_command_is_cut_to_one_byte_more_than_allowed(fresh_broker: Any, bench: Any, recorder: Any) -> None:
    node = bench(fresh_broker).start()
    recorder(fresh_broker).publish(TOPICS.asset("a", "cmd/record"), b"x" * 2**20)
    assert len(node.command().payload) == MAX_PAYLOAD_BYTES + 1
    node.link.ack(node.command().ack)


@pytest.mark.parametrize("leaf", ["samples", "context", "cmd/record"])
def test_the_broker_is_asked_to_keep_packets_over_four_mebibytes_to_itself(
    fresh_broker: Any, bench: Any, recorder: Any, leaf: str
) -> None:
    node = bench(fresh_broker, keepalive_s=60).start()
    plant = recorder(fresh_broker)
    for size in (4 * 2**20, 2**20):  # the first is beyond it with its topic
        plant.publish(TOPICS.asset("a", leaf), b"x" * size)
    plant.publish(TOPICS.asset("a", "cmd/cancel"), b"after")
    node.until(lambda: node.commands() and node.commands()[-1].payload == b"after")
    assert node.changes() == [True]
    assert len(node.samples) + len(node.events) == 3  # the connection, what is small enough, and what came after


def test_response_topic_and_correlation_are_passed_on_and_back(
    fresh_broker: Any, bench: Any, say: Any, recorder: Any
) -> None:
    node = bench(fresh_broker).start()
    plant = recorder(fresh_broker, "reply/#")
    plant.publish(TOPICS.asset("a", "cmd/record"), b"", response_topic="reply/x", correlation=b"\x00\xff")
    command = node.command()
    assert (command.response_topic, command.correlation) == ("reply/x", b"\x00\xff")
    node.link.ack(command.ack)
    node.link.publish(say.reply("reply/x", command.correlation))
    assert plant.wait_for(lambda seen: seen.topic == "reply/x").correlation == b"\x00\xff"


def test_a_command_not_yet_acknowledged_comes_back_after_a_crash(
    fresh_broker: Any, bench: Any, recorder: Any, protocol: str, tmp_path: Path
) -> None:
    """The crashed node is a real process, killed while it holds two commands, one of them acknowledged."""
    script = f"""
import pathlib, sys, threading, time
from edgetune_node.config import MqttSection
from edgetune_node.events import CommandArrived, KeepCommand, LinkChanged
from edgetune_node.contract import Topics
from edgetune_node.mqtt.link import Link
from edgetune_node.mqtt.outbox import Outbox

def post(event):
    if isinstance(event, CommandArrived) and event.payload == b"first":
        link.keep_command(KeepCommand("a", event.name, "first", event.payload, b"accepted", event.ack))
    print(event.payload.decode() if isinstance(event, CommandArrived) else "up", flush=True)

folder = pathlib.Path({str(tmp_path / "node-0")!r})
outbox = Outbox(folder / "outbox.sqlite", max_bytes=10**6, max_age_s=1e6, clock=time.time_ns)
settings = MqttSection(host={fresh_broker.host!r}, port={fresh_broker.port}, protocol={protocol!r})
link = Link(
    settings, Topics("acme/plant", "n1"), outbox,
    post=post, boot="b", assets=(), sample_feeds={{}}, will=b"offline", jitter=lambda: 0.0,
)
link.start()
threading.Event().wait()
"""
    watch = recorder(fresh_broker, TOPICS.node("status"))
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"up\n"
    watch.publish(TOPICS.asset("a", "cmd/record"), b"first")
    assert child.stdout.readline() == b"first\n"
    watch.publish(TOPICS.asset("a", "cmd/record"), b"between", qos=0)  # until then the acknowledgement has left
    assert child.stdout.readline() == b"between\n"
    watch.publish(TOPICS.asset("a", "cmd/record"), b"second")
    assert child.stdout.readline() == b"second\n"
    child.kill()
    child.wait()
    child.stdout.close()
    assert watch.wait_for(lambda seen: seen.payload == b"offline").retain
    node = bench(fresh_broker, protocol=protocol).start()
    command = node.command()
    assert command.payload == b"second"
    assert node.outbox.commands.answer_of("a", "first") == b"accepted"
    node.link.keep_command(KeepCommand("a", "record", "second", command.payload, b"accepted", command.ack))
    node.link.finish_command(FinishCommand("a", "record", "second", b"done"))
    assert node.outbox.commands.answer_of("a", "second") == b"done"
    node.close()


# ---- messages ------------------------------------------------------------------------------------------------------


def test_two_hundred_messages_arrive_in_order(
    fresh_broker: Any, bench: Any, say: Any, recorder: Any, protocol: str
) -> None:
    scada = recorder(fresh_broker, "acme/#", protocol=protocol)
    node = bench(fresh_broker, protocol=protocol).start()
    for seq in range(200):
        node.link.publish(say.state(seq) if seq % 2 else say.sign(seq))
    states = scada.wait_for_count(TOPICS.asset("a", "state"), 100)
    signs = scada.wait_for_count(TOPICS.asset("a", "sign"), 100)
    assert [seen.json()["seq"] for seen in states] == list(range(1, 200, 2))
    assert [seen.json()["seq"] for seen in signs] == list(range(0, 200, 2))
    assert not any(seen.json()["historical"] for seen in states + signs)
    node.delivered()


def test_a_burst_of_classifications_arrives_whole(fresh_broker: Any, bench: Any, say: Any, recorder: Any) -> None:
    scada = recorder(fresh_broker, TOPICS.asset("a", "classification"))
    node = bench(fresh_broker).start()
    for seq in range(300):
        node.link.publish(say.classification(seq))
    seen = scada.wait_for_count(TOPICS.asset("a", "classification"), 300)
    assert [one.json()["seq"] for one in seen] == list(range(300))


def test_quality_of_service_and_retain_follow_the_message(
    fresh_broker: Any, bench: Any, say: Any, recorder: Any
) -> None:
    scada = recorder(fresh_broker, "acme/#")
    node = bench(fresh_broker).start()
    for effect in (say.fault(0, active=True), say.classification(0), say.health(0)):
        node.link.publish(effect)
    flags = {}
    for leaf in ("a/fault", "a/classification", "health"):
        seen = scada.wait_for(lambda one, leaf=leaf: one.topic.endswith(leaf))
        flags[leaf] = (seen.qos, seen.retain)
    assert flags == {"a/fault": (1, True), "a/classification": (0, False), "health": (0, True)}


def test_status_leaves_after_everything_else_that_waits(fresh_broker: Any, bench: Any, say: Any, recorder: Any) -> None:
    scada = recorder(fresh_broker, "acme/#")
    node = bench(fresh_broker).start()
    scada.clear()
    node.link.publish(say.status("online"))
    for seq in range(5):
        node.link.publish(say.state(seq))
    node.link.publish(say.health(0))
    scada.wait_for(lambda seen: seen.topic == TOPICS.node("health"))
    online = scada.wait_for(lambda seen: b"online" in seen.payload)
    assert online.retain
    assert node.outbox.current(TOPICS.node("status")) is None


def test_the_will_says_offline_when_the_node_is_cut_off(fresh_broker: Any, bench: Any, recorder: Any) -> None:
    scada = recorder(fresh_broker, TOPICS.node("status"))
    node = bench(fresh_broker).start()
    node.connection.abandon()
    will = scada.wait_for(lambda seen: b"offline" in seen.payload)
    assert will.retain
    node.until_up(2)
    assert node.link.reconnects == 1


def test_stopping_sends_what_waits_and_says_stopped_last(
    fresh_broker: Any, bench: Any, say: Any, recorder: Any
) -> None:
    scada = recorder(fresh_broker, "acme/#")
    node = bench(fresh_broker).start()
    for seq in range(30):
        node.link.publish(say.state(seq))
    node.close(60.0)
    scada.wait_for(lambda seen: b"stopped" in seen.payload)
    topics = [seen.topic for seen in scada.messages]
    assert topics == [TOPICS.asset("a", "state")] * 30 + [TOPICS.node("status")]
    fresh_broker.kill()
    assert scada.on(TOPICS.node("status"))[-1].json()["status"] == "stopped"


def test_an_exception_behind_a_callback_leaves_the_link_working(fresh_broker: Any, bench: Any, recorder: Any) -> None:
    node = bench(fresh_broker).start()
    plant = recorder(fresh_broker, "acme/#")
    node.broken = True
    plant.publish(TOPICS.asset("a", "cmd/record"), b"lost")
    plant.publish(TOPICS.asset("a", "samples"), b"after", qos=0)
    node.until(lambda: node.samples == [b"after"])
    node.broken = False
    plant.publish(TOPICS.asset("a", "cmd/cancel"), b"seen")
    assert node.command().payload == b"seen"
    node.link.ack(node.command().ack)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_network_thread_is_noticed_and_replaced(
    fresh_broker: Any, bench: Any, say: Any, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = bench(fresh_broker).start()

    def die(*_: object) -> None:
        raise RuntimeError("put in by the test")

    monkeypatch.setattr(node.connection._client, "_packet_handle", die)
    plant = recorder(fresh_broker, "acme/#")
    plant.publish(TOPICS.node("cmd/ping"), b"deadly", qos=0)
    node.until_up(2)
    assert "network thread" in node.reasons()[0]
    node.until(lambda: node.link.incident is not None)
    assert "the network thread ended by itself and was replaced, times: 1" in node.link.incident
    node.link.publish(say.state(7))
    assert plant.wait_for(lambda seen: seen.topic.endswith("state")).json()["seq"] == 7
    assert json.loads(plant.on(TOPICS.node("status"))[0].payload)["status"] == "offline"
