"""An edge node without the node behind it: the test publishes what a node would, on a real broker."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from configuring import load
from manual_clock import ManualClock
from mqtt_proxy import MqttProxy
from sparkplug_host import SparkplugHost

from edgetune_node.contract import Topics
from edgetune_node.contract.fault import Fault
from edgetune_node.contract.messages import State, Status
from edgetune_node.contract.parts import Evidence
from edgetune_node.events.effects import Durability
from edgetune_node.events.publisher import Publisher
from edgetune_node.integrations.sparkplug.edge_node import SparkplugEdgeNode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from brokers import Broker

    from edgetune_node.contract.message import Message
    from edgetune_node.events.events import CommandArrived

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
CONFIG = """
[node]
id = "{node}"
[mqtt]
port = {port}
protocol = "{protocol}"
{mqtt}
[sparkplug]
group = "Plant1"
{sparkplug}
[[asset]]
id = "pump"
channels = 2
rate_hz = 12000
[[asset]]
id = "arm"
task = "sign"
channels = 8
rate_hz = 200
"""
_NODES = itertools.count()


class Plant:
    """A `SparkplugEdgeNode`, what it would command, and a host that listens."""

    def __init__(self, folder: Path, recorder: Callable[..., Any], broker: Any, **options: str) -> None:
        protocol = options.pop("protocol", "5")
        self.node_id = options.pop("node", f"edge{next(_NODES)}")
        host_options = {name: options.pop(name) for name in ("username", "password") if name in options}
        parts = {"mqtt": "", "sparkplug": "", **options}
        folder.mkdir(exist_ok=True)
        text = CONFIG.format(node=self.node_id, port=broker.port, protocol=protocol, **parts)
        self.settings = load(folder, text)
        self.folder = folder
        self.topics = Topics("edgetune", self.node_id)
        self.publisher = Publisher(self.topics, "b00t", ManualClock())
        self.commands: list[CommandArrived] = []
        self.host = SparkplugHost(
            recorder, getattr(broker, "behind", broker), "Plant1", self.node_id, protocol=protocol, **host_options
        )
        self._running: SparkplugEdgeNode | None = None

    def start(self, *, online: bool = True) -> Plant:
        path = self.folder / "sparkplug.sqlite"
        self._running = SparkplugEdgeNode(self.settings, self.topics, path, post=self.commands.append)
        self._running.start()
        if online:
            self.online()
        return self

    def online(self) -> None:
        """Publish the status that a node publishes when it connects."""
        self.say(Status(status="online"), None)

    @property
    def edge(self) -> SparkplugEdgeNode:
        assert self._running is not None
        return self._running

    def say(self, message: Message, asset: str | None = "pump", durability: Durability = Durability.TELEMETRY) -> None:
        self.edge.published(self.publisher.publish(message, asset, durability))

    def fault(self, event: str, **fields: Any) -> None:
        """Publish a fault as the node does: rare, and on disk."""
        given = {"active": True, "class_": "inner", "severity": "alarm", "severity_level": 3, "ts": NOW, **fields}
        rest = {"first_seen": NOW, "last_seen": NOW, "votes": 9, "of": 10, "confidence": 0.9, "model": "m1"}
        self.say(Fault(event=event, evidence=Evidence(), **rest, **given), "pump", Durability.RARE)

    def phase(self, phase: Any, asset: str = "pump") -> None:
        self.say(State(phase=phase, reason=f"is {phase}", since=NOW), asset, Durability.RARE)

    def stop(self) -> None:
        if self._running is not None:
            self._running.stop(5)
            self._running.join(10)
            self._running = None


@pytest.fixture
def plant(tmp_path: Path, recorder: Callable[..., Any]) -> Iterator[Callable[..., Plant]]:
    made: list[Plant] = []

    def make(broker: Broker, **options: str) -> Plant:
        made.append(Plant(tmp_path / f"plant{len(made)}", recorder, broker, **options))
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def proxy(fresh_broker: Broker) -> Iterator[MqttProxy]:
    made = MqttProxy(fresh_broker)
    yield made
    made.close()
