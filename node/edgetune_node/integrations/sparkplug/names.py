"""Names of Sparkplug B: topics of one edge node, what it subscribes to, and who may do what there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

NAMESPACE: Final = "spBv1.0"
REBIRTH: Final = "Node Control/Rebirth"
BDSEQ: Final = "bdSeq"
COMMAND: Final = "command/"
"""What the names of metrics begin with that take commands: ``command/acknowledge``."""


@dataclass(frozen=True, slots=True)
class SparkplugNames:
    """Topics of the edge node ``group``/``node``."""

    group: str
    node: str

    def topic(self, verb: str, device: str | None = None) -> str:
        """Return the topic of a message type, such as ``NBIRTH``, or ``DDATA`` of a device."""
        own = f"{NAMESPACE}/{self.group}/{verb}/{self.node}"
        return own if device is None else f"{own}/{device}"

    def subscriptions(self, devices: Iterable[str], host: str | None) -> list[tuple[str, int]]:
        """Return the filters that the edge node must subscribe to, with QoS."""
        return [
            *([] if host is None else [(state_topic(host), 1)]),
            (self.topic("NCMD"), 1),
            *((self.topic("DCMD", device), 1) for device in devices),
        ]

    def access(self, host: str | None) -> dict[str, list[str]]:
        """Return the lines of an access list for the node, a host that only listens, and one that commands."""
        own = [self.topic(verb) for verb in ("NBIRTH", "NDATA", "NDEATH")]
        own += [self.topic(verb, "+") for verb in ("DBIRTH", "DDATA", "DDEATH")]
        heard = [f"read {each}" for each in own]
        state = f"{NAMESPACE}/STATE/{'+' if host is None else host}"
        orders = [self.topic("NCMD"), self.topic("DCMD", "+")]
        return {
            "node": [
                *(f"write {each}" for each in own),
                *(f"read {each}" for each in (*orders, self.topic("NBIRTH"), self.topic("NDEATH"), state)),
            ],
            "scada": [*heard, f"write {orders[0]}", f"readwrite {state}"],
            "operator": [*heard, *(f"write {each}" for each in orders), f"readwrite {state}"],
        }


def state_topic(host: str) -> str:
    """Return the topic on which a host application says whether it is there."""
    return f"{NAMESPACE}/STATE/{host}"
