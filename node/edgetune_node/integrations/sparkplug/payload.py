"""The payload of Sparkplug B: metrics with names, types, times and values, as protobuf.

The schema is built at run time, so that neither a compiler nor generated code is needed. It has the fields that this
edge node writes or reads; protobuf skips all others.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field, FileDescriptorProto
from google.protobuf.message import DecodeError

from edgetune_node.errors import PayloadError

if TYPE_CHECKING:
    from collections.abc import Iterable

Value: TypeAlias = bool | int | float | str | None

_PACKAGE: Final = "org.eclipse.tahu.protobuf"
_UNSIGNED: Final = 1 << 64


class DataType(IntEnum):
    """Data types of Sparkplug B that this edge node publishes; every host knows them."""

    INT64 = 4
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATETIME = 13


SIGNED: Final = {1: 32, 2: 32, 3: 32, 4: 64}
"""Bits in which a host writes a signed integer, by data type: Int8, Int16 and Int32 are in ``int_value``."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its name, data type, value (null where there is none) and time in ms since 1970, UTC."""

    name: str
    type: int
    value: Value
    time_ms: int
    historical: bool = False


@dataclass(frozen=True, slots=True)
class Payload:
    """A payload that was read; ``seq`` is None where it has none."""

    time_ms: int
    seq: int | None
    metrics: tuple[Metric, ...]


def encode(metrics: Iterable[Metric], *, time_ms: int, seq: int | None) -> bytes:
    """Return a payload as bytes; that of an NDEATH has no ``seq``."""
    payload = _PAYLOAD(timestamp=time_ms)
    if seq is not None:
        payload.seq = seq
    for metric in metrics:
        _write(payload.metrics.add(), metric)
    data: bytes = payload.SerializeToString()
    return data


def decode(data: bytes) -> Payload:
    """Read a payload.

    Raises
    ------
    PayloadError
        Where the bytes are no payload of Sparkplug B.
    """
    payload = _PAYLOAD()
    try:
        payload.ParseFromString(data)
    except DecodeError as error:
        raise PayloadError(f"is no payload of Sparkplug B: {error}") from None
    try:
        metrics = tuple(_read(each) for each in payload.metrics)
    except UnicodeDecodeError:
        raise PayloadError("is no payload of Sparkplug B: it has a text that is not UTF-8") from None
    return Payload(payload.timestamp, payload.seq if payload.HasField("seq") else None, metrics)


def _write(written: Any, metric: Metric) -> None:
    written.name, written.datatype, written.timestamp = metric.name, metric.type, metric.time_ms
    if metric.historical:
        written.is_historical = True
    value = metric.value
    match metric.type:
        case _ if value is None:
            written.is_null = True
        case DataType.BOOLEAN:
            written.boolean_value = bool(value)
        case DataType.STRING:
            written.string_value = str(value)
        case DataType.DOUBLE:
            written.double_value = float(value)
        case _:
            written.long_value = int(value) % _UNSIGNED


def _read(written: Any) -> Metric:
    which = written.WhichOneof("value")
    value = None if which is None or written.is_null else _text(getattr(written, which))
    bits = SIGNED.get(written.datatype)
    if bits is not None and isinstance(value, int) and value >> (bits - 1) == 1:
        value -= 1 << bits
    return Metric(str(_text(written.name)), written.datatype, value, written.timestamp, written.is_historical)


def _text(value: Any) -> Any:
    """Return a value; protobuf hands over a text that is not UTF-8 as bytes, which raise `UnicodeDecodeError`."""
    return value.decode() if isinstance(value, bytes) else value


def _payload_class() -> Any:
    file = FileDescriptorProto(name="edgetune/sparkplug_b.proto", package=_PACKAGE, syntax="proto2")
    payload = file.message_type.add(name="Payload")
    metric = payload.nested_type.add(name="Metric")
    metric.oneof_decl.add(name="value")
    optional = Field.LABEL_OPTIONAL
    for name, number, kind in (
        ("name", 1, Field.TYPE_STRING),
        ("timestamp", 3, Field.TYPE_UINT64),
        ("datatype", 4, Field.TYPE_UINT32),
        ("is_historical", 5, Field.TYPE_BOOL),
        ("is_null", 7, Field.TYPE_BOOL),
    ):
        metric.field.add(name=name, number=number, type=kind, label=optional)
    for name, number, kind in (
        ("int_value", 10, Field.TYPE_UINT32),
        ("long_value", 11, Field.TYPE_UINT64),
        ("float_value", 12, Field.TYPE_FLOAT),
        ("double_value", 13, Field.TYPE_DOUBLE),
        ("boolean_value", 14, Field.TYPE_BOOL),
        ("string_value", 15, Field.TYPE_STRING),
    ):
        metric.field.add(name=name, number=number, type=kind, label=optional, oneof_index=0)
    payload.field.add(name="timestamp", number=1, type=Field.TYPE_UINT64, label=optional)
    payload.field.add(
        name="metrics",
        number=2,
        type=Field.TYPE_MESSAGE,
        type_name=f".{_PACKAGE}.Payload.Metric",
        label=Field.LABEL_REPEATED,
    )
    payload.field.add(name="seq", number=3, type=Field.TYPE_UINT64, label=optional)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Payload"))


_PAYLOAD: Final[Any] = _payload_class()
