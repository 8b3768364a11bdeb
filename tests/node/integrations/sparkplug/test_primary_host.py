"""The primary host: without it nothing is said, and nothing is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from brokers import wait_until

from edgetune_node.integrations.sparkplug.host_state import PrimaryHost

if TYPE_CHECKING:
    from collections.abc import Callable

    from brokers import Broker

WAITS = 'primary_host = "scada1"'


def test_nothing_is_said_until_the_host_is_there(fresh_broker: Broker, plant: Callable[..., Any]) -> None:
    at = plant(fresh_broker, sparkplug=WAITS).start()
    wait_until(lambda: any("waits for the primary host scada1" in problem for problem in at.edge.problems))
    at.host.state(online=True, host="another")
    at.fault("before")
    wait_until(lambda: any("1 events are kept" in problem for problem in at.edge.problems))
    assert at.host.said() == []
    at.host.state(online=True)
    at.host.wait("DBIRTH", 2)
    kept = at.host.wait_value("fault/event", "before", "pump")
    assert kept.verb == "DBIRTH"  # as its present value, and besides:
    wait_until(lambda: [each.metric("fault/event").historical for each in at.host.said("DDATA", "pump")] == [True])
    wait_until(lambda: at.edge.problems == [])
    at.host.check_sequence()


def test_a_host_that_was_there_before_is_known_by_what_the_broker_keeps(
    fresh_broker: Broker, plant: Callable[..., Any]
) -> None:
    at = plant(fresh_broker, sparkplug=WAITS)
    at.host.state(online=True)
    at.start()
    at.host.wait("DBIRTH", 2)


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_it_dies_when_the_host_goes_and_is_born_again_when_it_comes(
    fresh_broker: Broker, plant: Callable[..., Any], protocol: str
) -> None:
    at = plant(fresh_broker, sparkplug=WAITS, protocol=protocol)
    came_ms = at.host.state(online=True)
    at.start()
    at.host.wait("DBIRTH", 2)
    at.host.state(online=False, time_ms=came_ms - 1)  # the death of a connection before
    at.phase("monitoring")
    at.host.wait_value("state/phase", "monitoring")
    assert at.host.said("NDEATH") == []
    at.host.state(online=False, time_ms=came_ms)
    death = at.host.wait("NDEATH")
    assert death.values == {"bdSeq": 0}
    wait_until(lambda: any("waits for the primary host" in problem for problem in at.edge.problems))
    for number in range(3):
        at.fault(f"unheard {number}")
    at.host.state(online=True)
    born = at.host.wait("NBIRTH", 2)
    assert born.values["bdSeq"] == 1
    wait_until(lambda: sum("fault/event" in each.values for each in at.host.said("DDATA")) == 3)
    kept = [each for each in at.host.said("DDATA") if "fault/event" in each.values]
    assert [each.values["fault/event"] for each in kept] == ["unheard 0", "unheard 1", "unheard 2"]
    assert all(metric.historical for each in kept for metric in each.payload.metrics)
    at.host.check_sequence()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"ONLINE",
        b"[]",
        b"{",
        b'{"online": "true", "timestamp": 9}',
        b'{"online": true}',
        b'{"online": true, "timestamp": "9"}',
        b'{"online": true, "timestamp": true}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_what_is_no_state_changes_nothing(payload: bytes) -> None:
    host = PrimaryHost()
    host.heard(payload)
    assert not host.online
    host.heard(b'{"online": true, "timestamp": 5}')
    host.heard(payload)
    assert host.online


def test_only_a_state_that_is_not_older_counts() -> None:
    host = PrimaryHost()
    host.heard(b'{"online": true, "timestamp": 5}')
    host.heard(b'{"online": false, "timestamp": 4}')
    assert host.online
    host.heard(b'{"online": false, "timestamp": 5}')
    assert not host.online
    host.heard(b'{"online": true, "timestamp": 5}')
    host.lost()
    assert not host.online
    host.heard(b'{"online": true, "timestamp": 5}')
    assert host.online
