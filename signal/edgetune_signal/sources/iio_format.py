"""Decodes the records that Linux' industrial I/O puts into ``/dev/iio:deviceN``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgetune_signal.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_FORMAT = re.compile(r"(le|be):([su])(\d+)/(\d+)(?:X(\d+))?(?:>>(\d+))?")
STORAGE_BITS = (8, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class ScanFormat:
    """How one scan element is stored: ``be:s20/32>>12`` is the upper 20 bits of 32, big-endian, signed.

    Attributes
    ----------
    big_endian, signed
        Order of its bytes, and whether it is a two's complement.
    bits
        Bits that carry the value.
    storage_bits
        Bits that it takes in a record: 8, 16, 32 or 64.
    shift
        Bits to the right of the value.
    """

    big_endian: bool
    signed: bool
    bits: int
    storage_bits: int
    shift: int

    @classmethod
    def parse(cls, text: str) -> ScanFormat:
        """Read the content of a file such as ``scan_elements/in_accel_x_type``.

        Raises
        ------
        SourceError
            It is none that the kernel documents (``Documentation/ABI/testing/sysfs-bus-iio``), or holds several values.
        """
        match = _FORMAT.fullmatch(text.strip())
        if match is None:
            raise SourceError(f"the format {text.strip()!r} is not one such as le:s16/16>>0")
        order, sign, bits, storage, repeat, shift = match.groups()
        found = cls(order == "be", sign == "s", int(bits), int(storage), int(shift or 0))
        if repeat is not None and int(repeat) != 1:
            raise SourceError(f"the format {text.strip()!r} holds {repeat} values, not one")
        if found.storage_bits not in STORAGE_BITS or not 1 <= found.bits <= found.storage_bits - found.shift:
            raise SourceError(f"the format {text.strip()!r} does not fit 8, 16, 32 or 64 bits of storage")
        return found


class ScanDecoder:
    """Take records apart.

    Parameters
    ----------
    formats
        Those of the enabled elements in the order of their index.

    Attributes
    ----------
    record_bytes
        Size of a record: each element lies at a multiple of its own size, and records at one of the largest.
    """

    def __init__(self, formats: Sequence[ScanFormat]) -> None:
        self._formats = tuple(formats)
        offsets, end = [], 0
        for scan in self._formats:
            size = scan.storage_bits // 8
            offsets.append(-(-end // size) * size)
            end = offsets[-1] + size
        largest = max(scan.storage_bits // 8 for scan in self._formats)
        self._offsets = tuple(offsets)
        self.record_bytes = -(-end // largest) * largest

    def decode(self, records: bytes) -> list[NDArray[Any]]:
        """Return each element's values, ``int64 (n,)`` or ``uint64 (n,)``, from whole records."""
        rows = np.frombuffer(records, np.uint8).reshape(len(records) // self.record_bytes, self.record_bytes)
        return [_element(scan, rows, offset) for scan, offset in zip(self._formats, self._offsets, strict=True)]


def _element(scan: ScanFormat, rows: NDArray[np.uint8], offset: int) -> NDArray[Any]:
    size = scan.storage_bits // 8
    stored = np.dtype(f"{'>' if scan.big_endian else '<'}u{size}")
    column: NDArray[Any] = rows[:, offset : offset + size].copy().view(stored)[:, 0]
    values = (column.astype(np.uint64) >> np.uint64(scan.shift)) & np.uint64(2**scan.bits - 1)
    if not scan.signed:
        return values
    sign = np.uint64(1 << (scan.bits - 1))
    return ((values ^ sign) - sign).view(np.int64)  # the subtraction wraps to the two's complement of 64 bits
