"""The wire format of protobuf, read by a schema that lists all that may occur; anything else is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_FIELDS: Final = 4096
"""Fields that one message may have, so that a small file cannot become a huge list."""

MAX_VARINT_BYTES: Final = 10
_VARINT, _LENGTH = 0, 2
_MORE: Final = 0x80

Kind = Literal["integer", "text", "bytes", "integers"]


class WireError(ValueError):
    """Bytes are not a message of the schema; the message says what is wrong, and where in it."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a message: its name, how it is written, and whether it may occur more than once.

    ``integer`` is a variable-length integer, ``integers`` many of them packed, ``text`` ASCII, and ``bytes`` anything
    with a length, messages too.
    """

    name: str
    kind: Kind
    repeated: bool = False


def read_fields(data: memoryview, what: str, schema: Mapping[int, Field]) -> dict[str, list[Any]]:
    """Values of every field by its name, in order of occurrence; an empty list where it does not occur.

    Parameters
    ----------
    data
        The message's bytes; ``bytes`` fields are views of it, nothing is copied.
    what
        Name of the message, for errors.
    schema
        Fields by their numbers.

    Raises
    ------
    WireError
        When the message is cut off, has a field that the schema does not list or lists otherwise, has one twice that
        may occur once, or has more than `MAX_FIELDS`.
    """
    values: dict[str, list[Any]] = {field.name: [] for field in schema.values()}
    place = 0
    for _ in range(MAX_FIELDS):
        if place == len(data):
            return values
        key, place = _varint(data, place, what)
        field = schema.get(key >> 3)
        if field is None:
            raise WireError(f"{what} has field {key >> 3}, which edgetune does not write")
        if key & 7 != (_VARINT if field.kind == "integer" else _LENGTH):
            raise WireError(f"{what}.{field.name} has wire type {key & 7}")
        if values[field.name] and not field.repeated:
            raise WireError(f"{what}.{field.name} occurs twice")
        number, place = _varint(data, place, f"{what}.{field.name}")
        if field.kind == "integer":
            values[field.name].append(_signed(number))
            continue
        if number > len(data) - place:
            raise WireError(f"{what}.{field.name} is cut off: {number} bytes where {len(data) - place} are left")
        values[field.name].append(_content(field, data[place : place + number], f"{what}.{field.name}"))
        place += number
    raise WireError(f"{what} has more than {MAX_FIELDS} fields")


def _content(field: Field, data: memoryview, what: str) -> Any:
    match field.kind:
        case "text":
            if not bytes(data).isascii():
                raise WireError(f"{what} is not ASCII")
            return str(data, "ascii")
        case "integers":
            return _packed(data, what)
        case _:
            return data


def _packed(data: memoryview, what: str) -> list[int]:
    values: list[int] = []
    place = 0
    while place < len(data):
        if len(values) == MAX_FIELDS:
            raise WireError(f"{what} has more than {MAX_FIELDS} values")
        number, place = _varint(data, place, what)
        values.append(_signed(number))
    return values


def _varint(data: memoryview, place: int, what: str) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(data[place : place + MAX_VARINT_BYTES]):
        value |= (byte & ~_MORE) << 7 * index
        if not byte & _MORE:
            if value >> 64:
                break
            return value, place + index + 1
    raise WireError(f"{what} has an integer that does not end or exceeds 64 bits")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
