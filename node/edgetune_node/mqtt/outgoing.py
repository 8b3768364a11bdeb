"""One message on its way to the broker, and what it was made of: on disk, ordered in memory, or telemetry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from edgetune_node.mqtt.history import mark_historical
from edgetune_node.mqtt.outbox import Entry

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message in memory only, to be sent after the entry with key ``after``; made in connection ``number``."""

    entry: Entry
    after: int
    number: int


@dataclass(frozen=True, slots=True)
class Telemetry:
    """A message that is not worth a disk; of a retained topic only the newest counts.

    ``arrived`` is called when the broker has acknowledged it, and must not wait.
    """

    topic: str
    payload: bytes
    qos: int
    retain: bool
    correlation: bytes | None
    arrived: Callable[[], None] | None = None


Item: TypeAlias = Entry | Waiting | Telemetry


@dataclass(frozen=True, slots=True)
class Sending:
    """One message as it goes out, and what it was made of (None: a restated payload)."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    correlation: bytes | None
    item: Item | None

    @classmethod
    def of(cls, item: Item, *, historical: bool) -> Sending:
        """Make ready what waited; what is historical is marked so, and not retained."""
        if isinstance(item, Telemetry):
            return cls(item.topic, item.payload, item.qos, item.retain, item.correlation, item)
        entry = item.entry if isinstance(item, Waiting) else item
        payload = mark_historical(entry.payload) if historical else entry.payload
        retain = entry.retain and not historical
        return cls(entry.topic, payload, entry.qos, retain, entry.correlation, item)

    def is_state_of(self, topic: str) -> bool:
        """Whether it is retained telemetry of a topic, of which only the newest counts."""
        return self.retain and self.topic == topic and isinstance(self.item, Telemetry)

    def acknowledged(self) -> None:
        """Call whoever waits until the broker has it."""
        if isinstance(self.item, Telemetry) and self.item.arrived is not None:
            self.item.arrived()

    @property
    def size(self) -> int:
        """Upper bound of the MQTT packet's bytes."""
        return len(self.payload) + len(self.topic.encode()) + len(self.correlation or b"") + 32
