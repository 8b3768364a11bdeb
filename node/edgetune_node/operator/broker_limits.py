"""What a broker can do, by its CONNACK, and how a last will is asked of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class BrokerLimits:
    """The most that a broker takes: whether it keeps retained messages, and which QoS."""

    retain: bool = True
    qos: int = 2


@dataclass(frozen=True, slots=True)
class LastWill:
    """What the broker publishes when a client vanishes."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = True

    def lesser(self) -> list[LastWill]:
        """Return this will and those that a broker takes which lacks retained messages, or QoS 1, or both."""
        tries = [replace(self, retain=retain, qos=qos) for qos in {self.qos: None, 0: None} for retain in (True, False)]
        return [each for each in tries if self.retain or not each.retain]


def read_limits(properties: Any) -> BrokerLimits:
    """Read the properties of a CONNACK; what is not said there is unlimited."""
    return BrokerLimits(
        retain=bool(getattr(properties, "RetainAvailable", 1)),
        qos=int(getattr(properties, "MaximumQoS", 2)),
    )
