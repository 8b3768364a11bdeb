"""The primary host: without it nothing is said, and nothing is lost."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from brokers import wait_until
from manual_clock import START_NS, ManualClock

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
        b'{"online": false, "timestamp": %d}' % 2**63,
    ],
)
def test_what_is_no_state_changes_nothing(payload: bytes) -> None:
    host = PrimaryHost(ManualClock())
    host.heard(payload)
    assert not host.online
    host.heard(b'{"online": true, "timestamp": 5}')
    host.heard(payload)
    assert host.online


def test_only_a_state_that_is_not_older_counts() -> None:
    host = PrimaryHost(ManualClock())
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


NOW_MS = START_NS // 10**6
YEAR_MS = 365 * 86_400_000


def state(time_ms: int, *, online: bool) -> bytes:
    return json.dumps({"online": online, "timestamp": time_ms}).encode()


@pytest.mark.parametrize("wrong_ms", [NOW_MS + 120_000, NOW_MS + 10 * YEAR_MS, 2**63 - 1])
def test_a_state_from_the_future_locks_out_none_that_follow(wrong_ms: int) -> None:
    clock = ManualClock()
    host = PrimaryHost(clock)
    host.heard(state(wrong_ms, online=False))
    assert host.ahead_s == (wrong_ms - NOW_MS) // 1000
    clock.now += 5
    host.heard(state(NOW_MS + 5000, online=True))
    assert host.online
    assert host.ahead_s is None
    host.heard(state(NOW_MS + 4000, online=False))
    assert host.online


def test_a_host_whose_clock_is_a_little_ahead_still_tells_what_is_older() -> None:
    host = PrimaryHost(ManualClock())
    host.heard(state(NOW_MS + 50_000, online=True))
    host.heard(state(NOW_MS + 49_000, online=False))
    assert host.online
    assert host.ahead_s is None


def test_a_node_whose_own_clock_was_not_set_judges_no_other() -> None:
    host = PrimaryHost(ManualClock(synced=False))
    host.heard(state(NOW_MS + YEAR_MS, online=True))
    assert host.ahead_s is None
    host.heard(state(NOW_MS, online=False))
    assert host.online


def test_a_host_that_came_from_the_future_is_heard_again_and_its_clock_named(
    fresh_broker: Broker, plant: Callable[..., Any]
) -> None:
    at = plant(fresh_broker, sparkplug=WAITS)
    at.host.state(online=False, time_ms=2 * time.time_ns() // 10**6)
    at.start()
    wait_until(lambda: any("in the future; set its clock" in problem for problem in at.edge.problems))
    at.host.state(online=True, time_ms=time.time_ns() // 10**6)
    at.host.wait("DBIRTH", 2)
    wait_until(lambda: at.edge.problems == [])
