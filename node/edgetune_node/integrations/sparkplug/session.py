"""What an edge node says: births, data and deaths with their sequence numbers, without input or output."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from edgetune_node.integrations.sparkplug.names import BDSEQ, COMMAND, REBIRTH, SparkplugNames
from edgetune_node.integrations.sparkplug.payload import DataType, Metric, decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SEQUENCE: Final = 256
"""Sequence numbers, of messages and of births, count from 0 to one less than this."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to be published; never retained."""

    topic: str
    payload: bytes
    qos: int = 0


class Session:
    """The values of all metrics, what of them the hosts do not know yet, and the sequence number.

    Parameters
    ----------
    names
        Topics of the edge node.
    node, devices
        Every metric of the edge node, and of each device, with its data type.

    Attributes
    ----------
    born
        Whether the hosts know every metric in this connection.
    alive
        Devices that are connected.
    """

    def __init__(
        self, names: SparkplugNames, node: Mapping[str, DataType], devices: Mapping[str, Mapping[str, DataType]]
    ) -> None:
        self._names = names
        self._types: dict[str | None, Mapping[str, DataType]] = {None: node} | dict(devices)
        self._values: dict[str | None, dict[str, Metric]] = {who: {} for who in self._types}
        self._changed: dict[str | None, dict[str, Metric]] = {who: {} for who in self._types}
        self._bdseq = 0
        self._seq = 0
        self.born = False
        self.alive = set(devices)

    def metrics_of(self, device: str | None) -> Mapping[str, DataType]:
        """Return the metrics of a device, None for the edge node."""
        return self._types[device]

    def connected(self, bdseq: int) -> None:
        """Begin a connection whose will carries this ``bdSeq``."""
        self._bdseq = bdseq
        self.born = False

    def take(self, device: str | None, metrics: Iterable[Metric], *, whole: bool) -> None:
        """Note values; those that have changed, or with ``whole`` all of them, are in the next data message."""
        values, changed = self._values[device], self._changed[device]
        for metric in metrics:
            before = values.get(metric.name)
            values[metric.name] = metric
            if whole or (None if before is None else before.value) != metric.value:
                changed[metric.name] = metric

    def births(self, now_ms: int) -> list[Outgoing]:
        """Return the birth of the edge node and then those of its devices, with the present values."""
        self.born = True
        self._seq = 0
        own = [
            Metric(BDSEQ, DataType.INT64, self._bdseq, now_ms),
            Metric(REBIRTH, DataType.BOOLEAN, value=False, time_ms=now_ms),
        ]
        births = [self._message("NBIRTH", None, [*own, *self._present(None, now_ms)], now_ms)]
        return births + [self._birth(device, now_ms) for device in self._types if device in self.alive and device]

    def data(self, now_ms: int) -> list[Outgoing]:
        """Return what has changed since the last birth or data message, of each device in one message."""
        messages = []
        for device, changed in self._changed.items():
            if changed and self.born and (device is None or device in self.alive):
                messages.append(self._message(_verb("DATA", device), device, list(changed.values()), now_ms))
                changed.clear()
        return messages

    def historical(self, device: str, kept: bytes, now_ms: int) -> Outgoing | None:
        """Return what was kept of a device as historical data; None where its metrics are not those of today."""
        known = self._types[device]
        metrics = [replace(each, historical=True) for each in decode(kept).metrics if known.get(each.name) == each.type]
        return self._message("DDATA", device, metrics, now_ms) if metrics else None

    def device_died(self, device: str, now_ms: int) -> list[Outgoing]:
        """Return the last data of a device that is not connected any more, which say why, and its death."""
        last = self.data(now_ms)
        self.alive.discard(device)
        return [*last, self._message("DDEATH", device, [], now_ms)] if self.born else []

    def device_returned(self, device: str, now_ms: int) -> list[Outgoing]:
        """Return the birth of a device that is connected again."""
        self.alive.add(device)
        return [self._birth(device, now_ms)] if self.born else []

    def will(self, bdseq: int, now_ms: int) -> Outgoing:
        """Return the death of the edge node, as its broker shall publish it."""
        return _death(self._names, bdseq, now_ms)

    def death(self, now_ms: int) -> Outgoing:
        """Return the death of the edge node, which publishes it itself."""
        self.born = False
        return self.will(self._bdseq, now_ms)

    def _birth(self, device: str, now_ms: int) -> Outgoing:
        return self._message("DBIRTH", device, self._present(device, now_ms), now_ms)

    def _present(self, who: str | None, now_ms: int) -> list[Metric]:
        """Return every metric with its present value; null where there was none, empty where commands are written."""
        self._changed[who].clear()
        return [
            self._values[who].get(name) or Metric(name, type_, "" if name.startswith(COMMAND) else None, now_ms)
            for name, type_ in self._types[who].items()
        ]

    def _message(self, verb: str, device: str | None, metrics: list[Metric], now_ms: int) -> Outgoing:
        seq, self._seq = self._seq, (self._seq + 1) % SEQUENCE
        return Outgoing(self._names.topic(verb, device), encode(metrics, time_ms=now_ms, seq=seq))


def harmless_death(names: SparkplugNames, now_ms: int) -> Outgoing:
    """Return a death that no host takes for one, since no birth has its ``bdSeq``: to try what a broker permits."""
    return _death(names, SEQUENCE, now_ms)


def _death(names: SparkplugNames, bdseq: int, now_ms: int) -> Outgoing:
    metric = Metric(BDSEQ, DataType.INT64, bdseq, now_ms)
    return Outgoing(names.topic("NDEATH"), encode([metric], time_ms=now_ms, seq=None), qos=1)


def _verb(kind: str, device: str | None) -> str:
    return ("N" if device is None else "D") + kind
