"""Births: the first thing an edge node says, with every metric; again when a host asks for it."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

import pytest
from brokers import wait_until

from edgetune_node.contract.messages import Health, Model, Vibration
from edgetune_node.integrations.sparkplug import edge_node
from edgetune_node.integrations.sparkplug.catalogue import COMMANDS, device_metrics, node_metrics
from edgetune_node.integrations.sparkplug.payload import DataType

if TYPE_CHECKING:
    from collections.abc import Callable

    from brokers import Broker

PHASES = {
    "since": DataType.DATETIME,
    "phase": DataType.STRING,
    "classifying": DataType.BOOLEAN,
}
VIBRATION: dict[str, Any] = {
    "rms": [0.5, 0.25],
    "peak": [1.0, 1.0],
    "crest_factor": [2.0, float("nan")],
    "kurtosis": [3.0, None],
    "unit": "g",
    "seconds": 1.0,
    "quality": ["clipped", "gap"],
}


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_birth_of_the_node_comes_first_and_then_one_of_each_device(
    broker: Broker, plant: Callable[..., Any], protocol: str
) -> None:
    at = plant(broker, protocol=protocol).start()
    at.host.wait("DBIRTH", 2)
    assert [(each.verb, each.device) for each in at.host.said()[:3]] == [
        ("NBIRTH", None),
        ("DBIRTH", "pump"),
        ("DBIRTH", "arm"),
    ]
    at.phase("monitoring")
    at.host.wait("DDATA")
    at.host.check_sequence()


def test_births_name_every_metric_with_its_type_value_and_time(broker: Broker, plant: Callable[..., Any]) -> None:
    before_ms = time.time_ns() // 1_000_000
    at = plant(broker).start()
    at.host.wait("DBIRTH", 2)
    node, pump, arm = at.host.said()[:3]
    names = [metric.name for metric in node.payload.metrics]
    assert sorted(names) == sorted([*node_metrics(), "bdSeq", "Node Control/Rebirth"])
    rebirth, bdseq = node.metric("Node Control/Rebirth"), node.metric("bdSeq")
    assert (rebirth.type, rebirth.value) == (DataType.BOOLEAN, False)
    assert (bdseq.type, bdseq.value) == (DataType.INT64, 0)
    for said, section in zip((pump, arm), at.settings.asset, strict=True):
        types = {metric.name: metric.type for metric in said.payload.metrics}
        assert types == device_metrics(section)
        assert len(said.payload.metrics) == len(types)
        assert {f"command/{name}" for name in COMMANDS} <= set(types)
    assert {f"vibration/rms/{number}" for number in (1, 2)} <= set(pump.values)
    assert "vibration/rms/3" not in pump.values
    assert not any("subject" in name for each in (node, pump, arm) for name in each.values)
    for each in (node, pump, arm):
        assert each.payload.time_ms >= before_ms
        assert all(metric.time_ms > 0 and not metric.historical for metric in each.payload.metrics)
        assert all(metric.type in set(DataType) for metric in each.payload.metrics)


def test_a_birth_waits_for_what_the_node_knows_and_has_it(
    broker: Broker, plant: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge_node, "KNOWN_S", 3600.0)  # only the word `online` lets it be born
    at = plant(broker).start(online=False)
    at.fault("e1")
    at.say(Model(id="m1", arena_bytes=720, accuracy=0.97))
    wait_until(lambda: at.edge.problems == [] and at.edge._up is not None)
    assert at.host.said() == []
    at.online()
    born = at.host.wait("DBIRTH").values
    assert born["fault/active"] is True
    assert born["fault/class"] == "inner"
    assert (born["model/arena_bytes"], born["model/accuracy"]) == (720, 0.97)
    assert born["fault/evidence/zone"] is None
    assert born["command/acknowledge"] == ""


@pytest.mark.slow
def test_only_what_has_changed_is_said_and_lists_are_flat(broker: Broker, plant: Callable[..., Any]) -> None:
    at = plant(broker).start()
    at.host.wait("DBIRTH", 2)
    at.say(Vibration(**VIBRATION))
    first = at.host.wait("DDATA")
    assert first.values["vibration/rms/1"] == 0.5
    assert first.values["vibration/rms/2"] == 0.25
    assert first.values["vibration/quality"] == "clipped; gap"
    assert "vibration/crest_factor/2" not in first.values  # null in the birth, and null now
    at.say(Vibration(**VIBRATION | {"rms": [0.5, 0.75]}))
    second = at.host.wait("DDATA", 2)
    assert second.values == {"vibration/rms/2": 0.75}
    at.host.check_sequence()


def test_health_of_the_node_is_its_own_data(broker: Broker, plant: Callable[..., Any]) -> None:
    at = plant(broker).start()
    at.host.wait("NBIRTH")
    figures: dict[str, Any] = {"cpu_percent": 1.5, "temperature_c": None, "queue_depth": 0, "dropped_chunks": 0}
    counts = {"reconnects": 0, "outbox_depth": 0, "outbox_dropped": 0, "disk_free_bytes": 2**40, "rss_bytes": 2**33}
    at.say(Health(uptime_s=1.0, problems=["a", "b"], assets=[], **figures, **counts), None)
    said = at.host.wait_value("health/rss_bytes", 2**33)
    assert (said.verb, said.values["health/problems"]) == ("NDATA", "a; b")
    assert said.metric("health/disk_free_bytes").type == DataType.INT64
    assert "health/temperature_c" not in said.values


def test_a_rebirth_begins_at_zero_again_and_keeps_its_number(broker: Broker, plant: Callable[..., Any]) -> None:
    at = plant(broker).start()
    at.host.wait("DBIRTH", 2)
    at.phase("monitoring")
    at.host.wait("DDATA")
    at.host.rebirth()
    at.host.wait("DBIRTH", 4)
    first, second = at.host.said("NBIRTH")
    assert second.payload.seq == 0
    assert second.values["bdSeq"] == first.values["bdSeq"]
    assert at.host.said("NDEATH") == []
    at.phase("searching")
    at.host.wait_value("state/phase", "searching")
    at.host.check_sequence()


@pytest.mark.slow
def test_a_storm_of_requests_gets_one_birth_at_a_time(
    broker: Broker, plant: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge_node, "REBIRTH_S", 1.0)
    at = plant(broker).start()
    at.host.wait("DBIRTH", 2)
    for _ in range(100):
        at.host.rebirth()
    at.host.write("Node Control/Rebirth", value=False)
    at.host.wait("NBIRTH", 3)  # the first, one at once, and one for all that came after it
    at.phase("monitoring")
    at.host.wait_value("state/phase", "monitoring")
    last = at.host.said("NBIRTH")
    apart_ms = [b.payload.time_ms - a.payload.time_ms for a, b in itertools.pairwise(last[1:])]
    assert len(last) < 20
    assert all(apart >= 900 for apart in apart_ms)
    at.host.check_sequence()


@pytest.mark.slow
def test_sequence_numbers_go_round_after_255(broker: Broker, plant: Callable[..., Any]) -> None:
    at = plant(broker).start()
    at.host.wait("DBIRTH", 2)
    for number in range(300):
        at.phase(("monitoring", "searching")[number % 2])
    at.host.wait("DDATA", 300)
    assert {each.payload.seq for each in at.host.said("DDATA")} == set(range(256))
    at.host.check_sequence()


@pytest.mark.slow
def test_a_device_that_is_cut_off_dies_and_is_born_again(broker: Broker, plant: Callable[..., Any]) -> None:
    at = plant(broker).start()
    at.host.wait("DBIRTH", 2)
    at.phase("failed")
    at.host.wait("DDEATH", device="pump")
    why, death = at.host.said(device="pump")[-2:]
    assert (why.verb, why.values["state/reason"], death.verb) == ("DDATA", "is failed", "DDEATH")
    at.fault("while dead")
    at.say(Vibration(**VIBRATION))
    at.phase("monitoring", asset="arm")
    at.host.wait_value("state/phase", "monitoring", "arm")
    assert at.host.said(device="pump")[-1].verb == "DDEATH"
    at.host.rebirth()
    at.host.wait("DBIRTH", 2, "arm")
    assert len(at.host.said("DBIRTH", "pump")) == 1
    at.phase("monitoring")
    born = at.host.wait("DBIRTH", 2, "pump")
    assert born.values["vibration/rms/1"] == 0.5
    kept = at.host.wait_value("fault/event", "while dead", "pump")
    wait_until(
        lambda: any(
            each.verb == "DDATA" and each.metric("fault/event").historical
            for each in at.host.said(device="pump")
            if "fault/event" in each.values
        )
    )
    assert kept.payload.seq is not None
    at.host.check_sequence()
