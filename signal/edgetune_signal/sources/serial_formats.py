"""What a microcontroller sends over a serial line, taken apart: framed sample blocks, or lines of text."""

from __future__ import annotations

import math
import re
import zlib
from typing import TYPE_CHECKING, Protocol

import numpy as np

from edgetune_signal.sources.block_order import BlockOrder, lost_between
from edgetune_signal.sources.blocks import BLOCK_VERSION, HEADER_BYTES, MAGIC, block_bytes
from edgetune_signal.sources.live import Piece

if TYPE_CHECKING:
    from edgetune_signal.stream import StreamSpec

CRC_BYTES = 4
MAX_FRAME_BYTES = 16_384
"""A longer frame is none: as much is lost where a damaged one claims to be long."""
MAX_LINE_BYTES = 1024
WRAPS = (2**8, 2**16, 2**32)
"""A counter goes back to 0 after so many lines."""

_START = MAGIC + bytes([BLOCK_VERSION])
_SEPARATORS = re.compile(rb"[,;\s]+")


class Parser(Protocol):
    """Takes bytes as they come and gives the samples in them.

    Attributes
    ----------
    damaged
        Frames or lines that could not be used, from the first good one on.
    lost
        Frames or lines that never came.
    refusal
        Why the last whole one was not used, or None.
    """

    @property
    def damaged(self) -> int: ...  # noqa: D102
    @property
    def lost(self) -> int: ...  # noqa: D102
    @property
    def refusal(self) -> str | None: ...  # noqa: D102

    def push(self, data: bytes) -> list[Piece]:
        """Return what ``data`` completes."""
        ...


class BlockParser:
    """Find frames: a sample block, followed by the CRC-32 of its bytes (as zlib computes it), little-endian.

    Parameters
    ----------
    spec
        What every block must be.
    """

    def __init__(self, spec: StreamSpec) -> None:
        self._admission = BlockOrder(spec)
        self._held = bytearray()
        self._in_step = False
        self.damaged = 0

    @property
    def lost(self) -> int:
        """Frames that never came, the damaged ones among them."""
        return self._admission.lost

    @property
    def refusal(self) -> str | None:
        """Why the last whole one was not used, or None."""
        return self._admission.last_error

    def push(self, data: bytes) -> list[Piece]:
        """Return what ``data`` completes; what was damaged is searched again for the frames behind it."""
        self._held += data
        pieces = []
        while (frame := self._next()) is not None:
            admitted = self._admission.admit(frame)
            if admitted is not None:
                block, gap = admitted
                pieces.append(Piece(block.physical(), gap=gap, time_ns=block.time_ns or None))
        return pieces

    def _next(self) -> bytes | None:
        while True:
            start = self._held.find(_START)
            if start != 0:
                self._skip(start if start > 0 else max(0, len(self._held) - len(_START) + 1))
                if start < 0:
                    return None
            if len(self._held) < HEADER_BYTES:
                return None
            size = block_bytes(self._held)
            if size is None or size > MAX_FRAME_BYTES:
                self._skip(1)
                continue
            if len(self._held) < size + CRC_BYTES:
                return None
            frame = bytes(self._held[:size])
            if zlib.crc32(frame) != int.from_bytes(self._held[size : size + CRC_BYTES], "little"):
                self._skip(1)
                continue
            del self._held[: size + CRC_BYTES]
            self._in_step = True
            return frame

    def _skip(self, n: int) -> None:
        if n and self._in_step:  # what lies before the first frame is the end of one, not damage
            self.damaged += 1
            self._in_step = False
        del self._held[:n]


class LineParser:
    """Read lines of numbers, one for each channel, separated by commas, semicolons or white space.

    Parameters
    ----------
    spec
        What they are.
    scale
        Physical value = number times scale.
    counter
        Whether the first number of a line counts the lines, from 0; it may go back to 0 after 256, 65536 or 2**32.
    """

    def __init__(self, spec: StreamSpec, *, scale: float, counter: bool) -> None:
        self._channels = spec.channels
        self._scale = scale
        self._counter = counter
        self._count: int | None = None
        self._held = b""
        self._joined = False  # a first line end was seen: what comes before may be half a line
        self._gap = False
        self.damaged = self.lost = 0
        self.refusal: str | None = None

    def push(self, data: bytes) -> list[Piece]:
        """Return what ``data`` completes."""
        *lines, self._held = (self._held + data).split(b"\n")
        if len(self._held) > MAX_LINE_BYTES:
            self._refuse(f"no line end in {MAX_LINE_BYTES} bytes")
            self._held = b""
        if lines and not self._joined:
            lines, self._joined = lines[1:], True
        runs: list[tuple[bool, list[list[float]]]] = []
        for line in filter(None, map(bytes.strip, lines)):
            try:
                row = self._row(line)
            except ValueError as error:
                self._refuse(f"the line {line[:40]!r} is none: {error}")
                continue
            if self._gap or not runs:
                runs.append((self._gap, []))
                self._gap = False
            runs[-1][1].append(row)
        return [Piece((np.array(rows).T * self._scale).astype(np.float32), gap) for gap, rows in runs]

    def _row(self, line: bytes) -> list[float]:
        words = _SEPARATORS.split(line)
        if len(words) != self._channels + self._counter:
            raise ValueError(f"it has {len(words)} numbers, not {self._channels + self._counter}")
        row = [float(word) for word in words[self._counter :]]
        if not all(map(math.isfinite, row)):
            raise ValueError("a number is not finite")
        if self._counter:
            self._follow(int(words[0]))
        return row

    def _follow(self, count: int) -> None:
        if self._count is not None and count != self._count + 1:
            self._gap = self._gap or not (count == 0 and self._count + 1 in WRAPS)
            self.lost += lost_between(self._count, count)
        self._count = count

    def _refuse(self, reason: str) -> None:
        self.refusal = reason
        self.damaged += 1
        self._gap = True
