"""The will and the subscriptions, as a proxy before the broker sees them, and deaths that are meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from brokers import Broker, wait_until
from mqtt_proxy import CONNECT, DISCONNECT, PUBLISH, SUBSCRIBE

from edgetune_node.integrations.sparkplug import connection
from edgetune_node.integrations.sparkplug.payload import DataType, decode

if TYPE_CHECKING:
    from collections.abc import Callable

    from mqtt_proxy import MqttProxy


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_the_will_is_the_death_with_the_number_of_the_birth(
    proxy: MqttProxy, plant: Callable[..., Any], protocol: str
) -> None:
    at = plant(proxy, protocol=protocol).start()
    birth = at.host.wait("NBIRTH")
    own = at.node_id
    for number in range(3):
        connect = proxy.connects()[-1]
        assert (connect.level, connect.clean, connect.session_expiry_s) == (5 if protocol == "5" else 4, True, 0)
        assert connect.will_topic == f"spBv1.0/Plant1/NDEATH/{own}"
        assert (connect.will_qos, connect.will_retain) == (1, False)
        will = decode(connect.will_payload)
        [bdseq] = will.metrics
        assert (bdseq.name, bdseq.type, bdseq.value, will.seq) == ("bdSeq", DataType.INT64, number, None)
        assert birth.values["bdSeq"] == number
        if number < 2:
            proxy.cut()
            birth = at.host.wait("NBIRTH", number + 2)


def test_it_subscribes_before_it_says_anything(proxy: MqttProxy, plant: Callable[..., Any]) -> None:
    at = plant(proxy, sparkplug='primary_host = "scada1"').start()
    at.host.state(online=True)
    at.host.wait("DBIRTH", 2)
    own = at.node_id
    assert proxy.filters() == [
        ("spBv1.0/STATE/scada1", 1),
        (f"spBv1.0/Plant1/NCMD/{own}", 1),
        (f"spBv1.0/Plant1/DCMD/{own}/pump", 1),
        (f"spBv1.0/Plant1/DCMD/{own}/arm", 1),
        (f"spBv1.0/Plant1/NBIRTH/{own}", 0),
    ]
    kinds = [kind for _, kind in proxy.order()]
    assert kinds[0] == CONNECT
    assert kinds.index(SUBSCRIBE) < kinds.index(PUBLISH)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_an_end_that_is_meant_is_a_death_and_then_a_disconnect(
    proxy: MqttProxy, plant: Callable[..., Any], protocol: str
) -> None:
    at = plant(proxy, protocol=protocol).start()
    at.host.wait("DBIRTH", 2)
    number = next(each.values["bdSeq"] for each in at.host.said("NBIRTH"))
    at.stop()
    death = at.host.wait("NDEATH")
    assert death.values == {"bdSeq": number}
    assert death.payload.seq is None
    wait_until(lambda: proxy.packets(DISCONNECT))
    assert proxy.order()[-1][1] == DISCONNECT
    [(_, _, body)] = proxy.packets(DISCONNECT)
    assert body[:1] == (b"\x04" if protocol == "5" else b"")  # with MQTT 5 the broker publishes the will besides
    at.host.check_sequence()


@pytest.mark.slow
def test_a_cut_connection_is_a_death_that_the_broker_publishes(proxy: MqttProxy, plant: Callable[..., Any]) -> None:
    at = plant(proxy).start()
    at.host.wait("DBIRTH", 2)
    proxy.cut()
    assert at.host.wait("NDEATH").values == {"bdSeq": 0}
    at.host.wait("DBIRTH", 4)
    order = [each.verb for each in at.host.said() if each.device is None]
    assert order == ["NBIRTH", "NDEATH", "NBIRTH"]
    at.host.check_sequence()


@pytest.mark.slow
def test_numbers_go_on_after_a_restart_and_round_after_255(broker: Broker, plant: Callable[..., Any]) -> None:
    at = plant(broker).start()
    assert at.host.wait("NBIRTH").values["bdSeq"] == 0
    at.stop()
    at.start()
    assert at.host.wait("NBIRTH", 2).values["bdSeq"] == 1
    for number in range(2, 256):
        assert at.edge._store.next_birth() == number
    at.stop()
    at.start()
    assert at.host.wait("NBIRTH", 3).values["bdSeq"] == 0


@pytest.mark.slow
def test_no_number_is_used_up_while_no_broker_is_there(fresh_broker: Broker, plant: Callable[..., Any]) -> None:
    at = plant(fresh_broker)
    fresh_broker.stop()
    at.start()
    wait_until(lambda: any("no connection" in problem for problem in at.edge.problems))
    fresh_broker.start()
    wait_until(lambda: at.edge.problems == [])
    wait_until(at.host.recorder.subscribed)
    at.host.rebirth()
    assert at.host.wait("NBIRTH").values["bdSeq"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_it_ends_at_a_broker_that_is_frozen(fresh_broker: Broker, plant: Callable[..., Any], protocol: str) -> None:
    at = plant(fresh_broker, protocol=protocol).start()
    at.host.wait("DBIRTH", 2)
    thread = at.edge._thread
    fresh_broker.freeze()
    at.edge.stop(1.0)
    at.edge.join(60)
    assert not thread.is_alive()
    fresh_broker.thaw()
    at.host.wait("NDEATH")
    at._running = None


@pytest.mark.slow
def test_it_comes_back_from_a_broker_that_was_frozen(
    fresh_broker: Broker, plant: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "MOST_WAITING", 0)
    at = plant(fresh_broker).start()
    at.host.wait("DBIRTH", 2)
    fresh_broker.freeze()
    for number in range(50):
        at.fault(f"e{number}")
    fresh_broker.thaw()
    at.host.wait_value("fault/event", "e49", "pump")
    wait_until(lambda: len(at.edge._store) == 0)
    at.host.check_sequence()
