"""What a connection reports: that it is up or down, that a message was sent, and a message that came in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from edgetune_node.mqtt.broker_limits import Limits


@dataclass(frozen=True, slots=True)
class Up:
    """Connected and subscribed; ``number`` counts connections.

    ``refused`` names the subscriptions that the broker refused, and why; None where it took all.
    """

    number: int
    limits: Limits
    refused: str | None


@dataclass(frozen=True, slots=True)
class Down:
    """Not connected, or not any more; ``blameless`` where no message can be the reason."""

    reason: str
    blameless: bool = False


@dataclass(frozen=True, slots=True)
class Sent:
    """The broker has acknowledged a message, or refused it (why), or one of QoS 0 has left."""

    mid: int
    refused: str | None


Signal: TypeAlias = Up | Down | Sent


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message from the broker; ``ack`` goes to `Connection.ack`, None where nothing is to be acknowledged."""

    topic: str
    payload: bytes
    retained: bool
    response_topic: str | None
    correlation: bytes | None
    ack: int | None
    signature: str | None = None
