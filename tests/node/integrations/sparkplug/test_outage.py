"""Store and forward: no fault is lost while a broker, the network or this process is away."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from brokers import wait_until
from resetting import resetting

from edgetune_node.contract.sign_messages import Sign
from edgetune_node.events.effects import Durability
from edgetune_node.integrations.sparkplug import connection
from edgetune_node.integrations.sparkplug.catalogue import to_ms
from edgetune_node.mqtt import client_id_conflict

if TYPE_CHECKING:
    from collections.abc import Callable

    from brokers import Broker
    from mqtt_proxy import MqttProxy

WAITS = 'primary_host = "scada1"'
NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def historical(at: Any) -> list[Any]:
    return [
        each
        for each in at.host.said("DDATA")
        if each.payload.metrics and all(metric.historical for metric in each.payload.metrics)
    ]


@pytest.mark.slow
def test_faults_of_an_outage_arrive_later_in_order_with_their_own_times(
    fresh_broker: Broker, plant: Callable[..., Any]
) -> None:
    at = plant(fresh_broker, sparkplug=WAITS).start()
    at.host.state(online=True)
    at.host.wait("DBIRTH", 2)
    fresh_broker.kill()
    wait_until(lambda: at.edge.problems)
    times = [NOW + timedelta(seconds=number) for number in range(20)]
    for number, moment in enumerate(times):
        at.fault(f"e{number}", ts=moment)
    sign = {"class_": "fist", "confidence": 1.0, "start": NOW, "end": NOW, "windows": 3, "model": "m", "ts": NOW}
    at.say(Sign(event="s1", **sign), "arm", Durability.SIGN)
    fresh_broker.start()
    wait_until(at.host.recorder.subscribed)
    at.host.state(online=True)
    wait_until(lambda: len(historical(at)) >= 21)
    kept = [each for each in historical(at) if each.device == "pump"]
    assert [each.values["fault/event"] for each in kept] == [f"e{number}" for number in range(20)]
    assert [{metric.time_ms for metric in each.payload.metrics} for each in kept] == [
        {to_ms(moment)} for moment in times
    ]
    assert all(each.payload.time_ms > to_ms(times[-1]) for each in kept)
    assert [each.values["sign/class"] for each in historical(at) if each.device == "arm"] == ["fist"]
    wait_until(lambda: len(at.edge._store) == 0)
    order = [each.verb for each in at.host.said()]
    assert order.index("DDATA", order.index("NBIRTH", 1)) > max(i for i, verb in enumerate(order) if verb == "DBIRTH")
    at.fault("now")
    now = at.host.wait_value("fault/event", "now", "pump")
    assert not now.metric("fault/event").historical


@pytest.mark.slow
def test_faults_that_nobody_got_arrive_after_a_restart(fresh_broker: Broker, plant: Callable[..., Any]) -> None:
    at = plant(fresh_broker, sparkplug=WAITS)
    fresh_broker.stop()
    at.start()
    for number in range(5):
        at.fault(f"e{number}")
    at.stop()
    fresh_broker.start()
    at.start()
    wait_until(at.host.recorder.subscribed)
    at.host.state(online=True)
    wait_until(lambda: [each.values["fault/event"] for each in historical(at)] == [f"e{n}" for n in range(5)])


@pytest.mark.slow
def test_a_fault_that_was_on_its_way_when_the_network_went_comes_again(
    proxy: MqttProxy, plant: Callable[..., Any]
) -> None:
    at = plant(proxy).start()
    at.host.wait("DBIRTH", 2)
    at.edge._connection.fence = lambda: None  # the broker never confirms
    at.fault("on its way")
    at.host.wait_value("fault/event", "on its way", "pump")
    del at.edge._connection.fence
    proxy.cut()
    at.host.wait("NBIRTH", 2)
    wait_until(lambda: [each.values["fault/event"] for each in historical(at)] == ["on its way"])
    wait_until(lambda: len(at.edge._store) == 0)


@pytest.mark.slow
def test_the_rest_of_a_backlog_comes_after_another_outage(fresh_broker: Broker, plant: Callable[..., Any]) -> None:
    at = plant(fresh_broker, sparkplug=WAITS, mqtt="replay_per_second = 5").start()
    for number in range(60):
        at.fault(f"e{number}")
    for _ in range(2):
        at.host.state(online=True)
        seen = len(historical(at))
        wait_until(lambda seen=seen: len(historical(at)) >= seen + 2)
        at.host.state(online=False)
        wait_until(lambda: any("waits for the primary host" in problem for problem in at.edge.problems))
        assert len(at.edge._store) > 0
    at.host.state(online=True)

    def events() -> list[str]:
        return list(dict.fromkeys(each.values["fault/event"] for each in historical(at)))

    wait_until(lambda: len(events()) >= 60)
    assert events() == [f"e{n}" for n in range(60)]
    wait_until(lambda: len(at.edge._store) == 0)
    at.host.check_sequence()


def test_faults_wait_for_the_host_whatever_the_clock_is_set_to(
    fresh_broker: Broker, plant: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    at = plant(fresh_broker, sparkplug='primary_host = "scada1"').start()
    at.fault("before")
    monkeypatch.setattr(time, "time", lambda: 4e9)
    at.fault("after")
    assert len(at.edge._store) == 2


@pytest.mark.parametrize("greeted", [False, True])
def test_a_port_that_resets_each_connection_is_tried_ever_more_slowly(
    plant: Callable[..., Any], broker: Broker, monkeypatch: pytest.MonkeyPatch, *, greeted: bool
) -> None:
    shortest_s = 0.05
    monkeypatch.setattr(client_id_conflict, "MIN_RECONNECT_S", shortest_s)
    monkeypatch.setattr(connection, "LONGEST_WAIT_S", 2 * shortest_s)
    monkeypatch.setattr(random, "random", lambda: 0.0)
    with resetting(greeted=greeted) as (port, taken_s):
        at = plant(SimpleNamespace(port=port, behind=broker)).start()
        wait_until(lambda: len(taken_s) > 6)
        at.stop()
    assert taken_s[-1] - taken_s[-2] > 16 * shortest_s
