"""A link as a node holds it, and the messages it may be given."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from edgetune_node.config.mqtt import MqttSection
from edgetune_node.contract.fault import Fault
from edgetune_node.contract.messages import Classification, Health, Response, State, Status
from edgetune_node.contract.sign_messages import Sign
from edgetune_node.contract.topics import Topics
from edgetune_node.events.effects import Durability, Publish
from edgetune_node.events.events import CommandArrived, LinkChanged
from edgetune_node.mqtt.link import Link
from edgetune_node.mqtt.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edgetune_node.contract.message import Message
    from edgetune_node.events.events import Event

TOPICS = Topics("acme/plant", "n1")
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
RARE, SIGN, TELEMETRY = Durability.RARE, Durability.SIGN, Durability.TELEMETRY


def message(kind: type[Message], seq: int = 0, **fields: Any) -> Message:
    return kind.model_validate(
        {"schema": f"{kind.topic.partition('/')[0]}/1", "ts": NOW, "boot": "b", "seq": seq} | fields
    )


class Say:
    """What a node says, as effects."""

    RARE, SIGN, TELEMETRY = Durability.RARE, Durability.SIGN, Durability.TELEMETRY

    @staticmethod
    def state(seq: int) -> Publish:
        content = message(State, seq, phase="monitoring", reason=f"r{seq}", since=NOW)
        return Publish(TOPICS.asset("a", "state"), content, RARE)

    @staticmethod
    def fault(seq: int, *, active: bool = True, durability: Durability = RARE) -> Publish:
        content = message(
            Fault, seq, active=active, event="e", severity="alarm", first_seen=NOW, last_seen=NOW, votes=8, of=10,
            confidence=0.9, model="m", **{"class": "inner" if active else "normal"},
        )  # fmt: skip
        return Publish(TOPICS.asset("a", "fault"), content, durability)

    @staticmethod
    def sign(seq: int) -> Publish:
        content = message(
            Sign, seq, event="s", confidence=1, start=NOW, end=NOW, windows=3, model="m", **{"class": "fist"}
        )
        return Publish(TOPICS.asset("a", "sign"), content, SIGN)

    @staticmethod
    def classification(seq: int) -> Publish:
        content = message(
            Classification,
            seq,
            window=seq,
            confidence=1,
            probabilities={},
            model="m",
            quality=[],
            **{"class": "normal"},
        )
        return Publish(TOPICS.asset("a", "classification"), content, TELEMETRY)

    @staticmethod
    def health(seq: int) -> Publish:
        content = message(
            Health, seq, uptime_s=1, rss_bytes=1, cpu_percent=1, temperature_c=None, queue_depth=0, dropped_chunks=0,
            reconnects=0, outbox_depth=0, outbox_dropped=0, disk_free_bytes=1, assets=[],
        )  # fmt: skip
        return Publish(TOPICS.node("health"), content, TELEMETRY)

    @staticmethod
    def status(value: str, seq: int = 0) -> Publish:
        return Publish(TOPICS.node("status"), message(Status, seq, status=value), RARE)

    @staticmethod
    def reply(topic: str, correlation: bytes | None = None) -> Publish:
        return Publish(
            topic, message(Response, id="1", command="record", status="accepted", schema="resp/1"), RARE, correlation
        )


class Bench:
    """A link as a node holds it, with everything it posted."""

    def __init__(self, broker: Any, folder: Path, until: Callable[..., None], **settings: Any) -> None:
        self.until = until
        self.events: list[Event] = []
        self.samples: list[bytes] = []
        self.broken = False
        self.outbox = Outbox(folder / "outbox.sqlite", max_bytes=10**6, max_age_s=1e6, clock=time.time_ns)
        self.link = Link(
            MqttSection.model_validate({"host": broker.host, "port": broker.port, "keepalive_s": 60} | settings),
            TOPICS,
            self.outbox,
            post=self._post,
            boot="b",
            assets=("a",),
            sample_feeds={"a": self.samples.append},
            will=Say.status("offline").message.json_bytes(),
            jitter=lambda: 0.0,
        )
        self.stopped = False

    def _post(self, event: Event) -> None:
        if self.broken:
            raise RuntimeError("put in by the test")
        self.events.append(event)

    def start(self) -> Bench:
        self.link.start()
        self.until_up()
        return self

    @property
    def connection(self) -> Any:
        return self.link._sender.connection

    def until_up(self, times: int = 1) -> None:
        self.until(lambda: self.changes().count(True) >= times, what=f"{times} connections in {self.events}")

    def changes(self) -> list[bool]:
        return [event.connected for event in self.events if isinstance(event, LinkChanged)]

    def reasons(self) -> list[str]:
        return [event.reason for event in self.events if isinstance(event, LinkChanged) and not event.connected]

    def commands(self) -> list[CommandArrived]:
        return [event for event in self.events if isinstance(event, CommandArrived)]

    def command(self, index: int = 0) -> CommandArrived:
        self.until(lambda: len(self.commands()) > index, what="a command")
        return self.commands()[index]

    def delivered(self) -> None:
        self.until(lambda: self.link.depth == 0, what="everything delivered")

    def close(self, timeout_s: float = 5.0) -> None:
        if not self.stopped:
            self.stopped = True
            self.link.stop(Say.status("stopped"), timeout_s)
            self.outbox.close()


@pytest.fixture
def bench(tmp_path: Path, until: Callable[..., None]) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(broker: Any, *, folder: Path | None = None, **settings: Any) -> Bench:
        made.append(Bench(broker, folder or tmp_path / f"node-{len(made)}", until, **settings))
        return made[-1]

    yield make
    for one in made:
        one.close(1.0)


@pytest.fixture(params=["5", "3.1.1"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def say() -> type[Say]:
    return Say
