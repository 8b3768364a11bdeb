"""Decides which sample blocks belong to a stream, in order and once each, wherever they come from."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edgetune_signal.errors import BlockError, SourceError
from edgetune_signal.sources.blocks import decode_block

if TYPE_CHECKING:
    from edgetune_signal.sources.blocks import Block
    from edgetune_signal.stream import StreamSpec

RATE_TOLERANCE = 1e-6
MOST_LOST = 1 << 20
"""A sequence that jumps farther is another count, not so many lost blocks."""
OVERTAKEN = 32
"""Blocks by which one may be late; a sender that started again counts from 0, which is never taken for late."""


def lost_between(before: int, now: int) -> int:
    """How many were lost between two numbers that a sender gave; 0 where they are not of one count."""
    missing = now - before - 1
    return missing if 0 < missing <= MOST_LOST else 0


class BlockOrder:
    """Let the blocks of one stream through.

    A sequence that jumps means lost blocks. One that goes back a little, with an earlier time (or none), was
    overtaken on the way and comes too late; any other is a sender that started again.

    Parameters
    ----------
    spec
        What every block must be.

    Attributes
    ----------
    refused
        Blocks that were malformed, repeated, late or did not fit ``spec``.
    lost
        Blocks that never came, by the sequence.
    last_error
        Why the last one was refused, or None.
    """

    def __init__(self, spec: StreamSpec) -> None:
        self.refused = 0
        self.lost = 0
        self.last_error: str | None = None
        self._spec = spec
        self._last: tuple[int, int] | None = None  # the sender's sequence and time

    def admit(self, payload: bytes) -> tuple[Block, bool] | None:
        """Return the block and whether samples are missing before it; None where it is refused. Never raises."""
        try:
            block = decode_block(payload)
            self._check(block)
        except (BlockError, SourceError) as error:  # one bad block must not end the stream
            self.refused += 1
            self.last_error = str(error)
            return None
        gap = self._last is not None and block.sequence != self._last[0] + 1
        if self._last is not None:
            self.lost += lost_between(self._last[0], block.sequence)
        self._last = (block.sequence, block.time_ns)
        return block, gap

    def _check(self, block: Block) -> None:
        spec = self._spec
        where = f"block {block.sequence}"
        if self._last == (block.sequence, block.time_ns):
            raise SourceError(f"{where} came twice")
        if self._last is not None and self._was_overtaken(block, *self._last):
            raise SourceError(f"{where} came after block {self._last[0]}, too late")
        if not math.isclose(block.rate_hz, spec.rate_hz, rel_tol=RATE_TOLERANCE):
            raise SourceError(f"{where} has {block.rate_hz:g} Hz where the stream has {spec.rate_hz:g}")
        if block.channels != spec.channels:
            raise SourceError(f"{where} has {block.channels} channels where the stream has {spec.channels}")
        if block.unit != spec.unit:
            raise SourceError(f"{where} has unit {block.unit!r} where the stream has {spec.unit!r}")

    @staticmethod
    def _was_overtaken(block: Block, sequence: int, time_ns: int) -> bool:
        return max(1, sequence - OVERTAKEN) <= block.sequence < sequence and block.time_ns <= time_ns
