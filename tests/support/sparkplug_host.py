"""A Sparkplug host of the tests' own: it listens to everything, says that it is there, and writes commands."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from brokers import Recorder, wait_until

from edgetune_node.integrations.sparkplug.payload import DataType, Metric, Payload, decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from brokers import Received

HOST = "scada1"


@dataclass(frozen=True, slots=True)
class Said:
    """One message of an edge node."""

    verb: str
    device: str | None
    payload: Payload
    raw: Received

    @property
    def values(self) -> dict[str, Any]:
        return {metric.name: metric.value for metric in self.payload.metrics}

    def metric(self, name: str) -> Metric:
        [found] = [metric for metric in self.payload.metrics if metric.name == name]
        return found


class SparkplugHost:
    def __init__(self, recorder: Callable[..., Recorder], broker: Any, group: str, node: str, **options: Any) -> None:
        self.group, self.node = group, node
        self.recorder = recorder(broker, "spBv1.0/#", **options)

    def said(self, verb: str | None = None, device: str | None = None) -> list[Said]:
        """What the edge node has said so far, in order; of a verb and a device where they are given."""
        found = []
        for message in self.recorder.on(f"spBv1.0/{self.group}/#"):
            _, _, of, _, *rest = message.topic.split("/")
            if of in {"NCMD", "DCMD"} or (verb is not None and of != verb) or (device and [device] != rest):
                continue
            found.append(Said(of, rest[0] if rest else None, decode(message.payload), message))
        return found

    def wait(self, verb: str, count: int = 1, device: str | None = None) -> Said:
        """Wait for so many messages of a verb; return the last of them."""
        wait_until(lambda: len(self.said(verb, device)) >= count, what=f"{count} {verb} of {self.node}")
        return self.said(verb, device)[count - 1]

    def wait_value(self, name: str, value: Any, device: str | None = None) -> Said:
        """Wait for a message in which a metric has this value, among all so far and to come."""
        found: list[Said] = []

        def there() -> bool:
            found[:] = [each for each in self.said(device=device) if each.values.get(name, ...) == value]
            return bool(found)

        wait_until(there, what=f"{name} is {value!r}")
        return found[0]

    def state(self, *, online: bool, time_ms: int | None = None, host: str = HOST) -> int:
        """Publish whether this host is there."""
        stamp = time.time_ns() // 1_000_000 if time_ms is None else time_ms
        body = json.dumps({"online": online, "timestamp": stamp})
        self.recorder.publish(f"spBv1.0/STATE/{host}", body, retain=True)
        return stamp

    def write(self, name: str, value: Any, device: str | None = None, **options: Any) -> None:
        """Write a metric of the edge node, or of a device."""
        kind = DataType.BOOLEAN if isinstance(value, bool) else DataType.STRING
        body = encode([Metric(name, kind, value, 1)], time_ms=1, seq=None)
        self.send(body, device, **options)

    def send(self, body: bytes, device: str | None = None, **options: Any) -> None:
        own = f"spBv1.0/{self.group}/{'NCMD' if device is None else 'DCMD'}/{self.node}"
        self.recorder.publish(own if device is None else f"{own}/{device}", body, qos=0, **options)

    def rebirth(self) -> None:
        self.write("Node Control/Rebirth", value=True)

    def check_sequence(self) -> None:
        """Births begin at 0, each message has the next number, and nothing is retained or has another QoS than 0."""
        expected = None
        for each in self.said():
            assert not each.raw.retain
            if each.verb == "NDEATH":
                assert each.payload.seq is None
                continue
            assert each.raw.qos == 0
            expected = 0 if each.verb == "NBIRTH" else expected
            assert expected is not None, f"{each.verb} before NBIRTH"
            assert each.payload.seq == expected, (each.verb, each.device)
            expected = (expected + 1) % 256
