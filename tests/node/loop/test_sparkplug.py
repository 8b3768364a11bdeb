"""A whole node as an edge node: a fault, an acknowledgement, a kill of the broker and one of the node."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest
from brokers import wait_until
from sparkplug_host import SparkplugHost

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow
SPARKPLUG = '[sparkplug]\ngroup = "Plant1"\nprimary_host = "scada1"\n'


def test_a_fault_of_an_outage_arrives_and_is_acknowledged_over_sparkplug(
    node: Callable[..., Any], bearing: str, calibrated: Path, recorder: Callable[..., Any], fresh_broker: Any
) -> None:
    host = SparkplugHost(recorder, fresh_broker, "Plant1", "n1")
    host.state(online=True)
    loop = node(SPARKPLUG + bearing)
    model = loop.adopt(calibrated)
    born = host.wait("DBIRTH", device="bearing")
    assert (born.values["model/id"], born.values["fault/active"]) == (model, False)
    assert born.values["model/arena_bytes"] > 0

    fresh_broker.kill()
    loop.play("inner_severe")
    wait_until(lambda: b"inner" in loop_store(loop))
    loop.send(signal.SIGKILL)
    loop.ended()
    fresh_broker.start()
    wait_until(host.recorder.subscribed)
    loop.start()
    host.state(online=True)
    wait_until(lambda: any(historical(each) and each.values["fault/class"] == "inner" for each in host.said("DDATA")))
    assert host.said("NBIRTH")[-1].values["bdSeq"] > host.said("NBIRTH")[0].values["bdSeq"]

    active = host.wait_value("fault/active", value=True, device="bearing")
    host.write("command/acknowledge", '{"by": "anna", "comment": "seen"}', "bearing")
    host.wait_value("fault/acknowledged_by", "anna", "bearing")
    host.wait_value("answer/status", "done", "bearing")
    host.write("command/acknowledge", '{"event": 5}', "bearing")
    refused = host.wait_value("answer/status", "rejected", "bearing")
    assert "event" in refused.values["answer/reason"]
    assert active.device == "bearing"
    host.check_sequence()

    births, deaths = len(host.said("DBIRTH")), len(host.said("NDEATH"))
    loop.send(signal.SIGKILL)
    loop.ended()
    host.wait("NDEATH", deaths + 1)
    loop.start()
    host.wait("DBIRTH", births + 1)
    deaths = len(host.said("NDEATH"))
    loop.send(signal.SIGTERM)
    assert loop.ended() == 0
    host.wait("NDEATH", deaths + 1)
    last = host.said()[-1]
    assert last.verb == "NDEATH"
    assert last.values["bdSeq"] == host.said("NBIRTH")[-1].values["bdSeq"]


def loop_store(loop: Any) -> bytes:
    """What the node keeps for hosts, log and all."""
    return b"".join(part.read_bytes() for part in loop.data.glob("sparkplug.sqlite*"))


def historical(said: Any) -> bool:
    return bool(said.payload.metrics) and all(metric.historical for metric in said.payload.metrics)
