"""Two edge nodes of one name, and a broker that does not permit what it should."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from brokers import wait_until

from edgetune_node.integrations.sparkplug import echo
from edgetune_node.integrations.sparkplug.connection import Up
from edgetune_node.integrations.sparkplug.edge_node import _From
from edgetune_node.integrations.sparkplug.payload import DataType, Metric, encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from brokers import Broker

USERS = {"node": "secret", "host": "secret"}
LOGIN = 'username = "node"\npassword = "secret"'
HOST = {"username": "host", "password": "secret"}


@pytest.mark.slow
def test_two_nodes_of_one_name_take_turns_and_say_so(fresh_broker: Broker, plant: Callable[..., Any]) -> None:
    one = plant(fresh_broker, node="twin").start()
    two = plant(fresh_broker, node="twin").start()
    wait_until(
        lambda: (
            any("does another node use group Plant1 and id twin" in told for told in one.edge.problems)
            and any("does another node use group Plant1 and id twin" in told for told in two.edge.problems)
        )
    )
    two.stop()
    births = len(one.host.said("NBIRTH"))
    one.host.rebirth()  # it may be the one that is connected; if not, it is born as it connects
    one.host.wait("NBIRTH", births + 1)


@pytest.mark.slow
def test_a_broker_that_hangs_up_on_what_the_edge_node_publishes_is_told(
    aedes: Callable[..., Any], plant: Callable[..., Any]
) -> None:
    at = plant(aedes(denied="/DBIRTH/"), protocol="3.1.1").start()
    at.fault("e1")
    wait_until(lambda: any("Or does the broker not permit what it publishes" in told for told in at.edge.problems))


def test_another_program_that_is_born_under_this_name_is_told(broker: Broker, plant: Callable[..., Any]) -> None:
    at = plant(broker).start()
    at.host.wait("DBIRTH", 2)
    for _ in range(3):
        at.host.rebirth()
    at.host.wait("NBIRTH", 2)
    assert at.edge.problems == []
    birth = encode([Metric("bdSeq", DataType.INT64, 0, 1)], time_ms=1, seq=0)
    at.host.recorder.publish(f"spBv1.0/Plant1/NBIRTH/{at.node_id}", birth, qos=0)
    wait_until(lambda: any(f"another edge node is called Plant1/{at.node_id}" in told for told in at.edge.problems))


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_broker_that_swallows_the_births_is_told(
    make_broker: Callable[..., Broker], plant: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    monkeypatch.setattr(echo, "ECHO_S", 0.2)
    acl = "user node\ntopic read #\nuser host\ntopic readwrite #\n"
    strict = make_broker(users=USERS, acl=acl).start()
    at = plant(strict, mqtt=LOGIN, protocol=protocol, **HOST).start()
    wait_until(lambda: any("does not pass on spBv1.0/Plant1/NBIRTH" in told for told in at.edge.problems))


def test_subscriptions_that_the_broker_refuses_are_told(broker: Broker, plant: Callable[..., Any]) -> None:
    at = plant(broker).start()
    at.host.wait("NBIRTH")
    refused = Up(0, ("spBv1.0/Plant1/NCMD/x",), echo=True)  # mosquitto grants what it will not deliver
    at.edge._work.put(_From(at.edge._number, refused))
    wait_until(lambda: any("refuses the subscriptions spBv1.0/Plant1/NCMD/x" in told for told in at.edge.problems))


@pytest.mark.slow
def test_a_broker_that_hangs_up_on_the_own_births_is_not_asked_for_them_again(
    plant: Callable[..., Any], aedes: Callable[..., Any]
) -> None:
    at = plant(aedes(denied_filter="NBIRTH/shy$"), node="shy", protocol="3.1.1").start()
    at.host.wait("DBIRTH", 2)
    at.phase("monitoring")
    at.host.wait_value("state/phase", "monitoring")
    assert len(at.host.said("NBIRTH")) == 1
    assert at.host.said("NBIRTH")[0].values["bdSeq"] == 1
    assert at.edge.problems == []


def test_a_wrong_password_is_told_and_asked_again(
    make_broker: Callable[..., Broker], plant: Callable[..., Any]
) -> None:
    strict = make_broker(users=USERS).start()
    at = plant(strict, mqtt='username = "node"\npassword = "wrong"', **HOST).start()
    wait_until(lambda: any("refused the connection" in told for told in at.edge.problems))


def test_an_echo_that_stays_away_is_noticed_once_it_is_due() -> None:
    heard = echo.BirthEcho()
    numbers = itertools.count()
    heard.sent(b"birth", 0.0)
    heard.check(echo.ECHO_S - 0.1)
    assert not heard.unheard
    heard.check(echo.ECHO_S)
    assert heard.unheard
    heard.heard(b"birth", 11.0, retained=False)
    assert not heard.unheard
    heard.heard(b"retained long ago", next(numbers), retained=True)
    assert not heard.other(12.0)
    heard.heard(b"of another", 20.0, retained=False)
    assert heard.other(21.0)
    assert not heard.other(20.0 + echo.TOLD_S)
    heard.sent(b"birth", 30.0)
    heard.lost()
    heard.check(1000.0)
    assert not heard.unheard
