"""A source that reads a device: what UDP, serial lines, IIO, Lab Streaming Layer and BrainFlow have in common."""

from __future__ import annotations

import os
import select
import threading
import weakref
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np

from edgetune_signal.errors import SourceEnded, SourceError
from edgetune_signal.stream import Chunk, SourceClock, Timeline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgetune_signal.stream import Samples, StreamSpec

BLOCK_S = 0.02
"""Shorter pieces are gathered until they make this much signal."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Consecutive samples as a device gave them.

    Attributes
    ----------
    samples
        ``float32 (channels, n)`` in the stream's unit, n of at least 1.
    gap
        True when samples are missing between the piece before and this one.
    time_ns
        UTC of the first sample by the device's own clock; None where it has none.
    """

    samples: Samples
    gap: bool = False
    time_ns: int | None = None


def cut_at_gaps(samples: Samples, gaps: Sequence[int]) -> list[Piece]:
    """Cut ``samples (channels, n)``, n of at least 1, at the indices before which others are missing."""
    edges = [0, *(gap for gap in gaps if gap), samples.shape[1]]
    return [Piece(samples[:, start:end], gap=start in gaps) for start, end in pairwise(edges)]


class Device(Protocol):
    """What a `LiveSource` reads; one thread calls everything but `wake`.

    It may have an attribute ``last_error: str | None``: what it last refused without failing; and a count ``lost``:
    blocks, frames or lines that never came.
    """

    def open(self) -> None:
        """Connect and start streaming; ``OSError`` or `SourceError` where that fails."""
        ...

    def receive(self, timeout_s: float) -> Sequence[Piece]:
        """Return what has come, waiting for it up to ``timeout_s``; nothing where nothing came in time or was woken.

        ``OSError`` or `SourceError` where the device is lost.
        """
        ...

    def wake(self) -> None:
        """Let a waiting `receive` return, from any thread."""
        ...

    def close(self) -> None:
        """Stop and disconnect; also after a failed `open`."""
        ...


class LiveSource:
    """Read a `Device` as a `Source`.

    The device is opened by the first `read`, and after an error again by the next one: a device that is away at start
    is an error like any later one, and how long to wait between attempts is up to whoever reads.

    Parameters
    ----------
    device
        What is read.
    spec
        What it delivers.
    name
        What to call it in errors: ``udp port 5555``.
    clock
        Where the time comes from.

    Notes
    -----
    Time stamps are the device's own where a piece has them, else a `Timeline`'s. Both kinds are measured against the
    monotonic clock, which gives the quality ``rate_off``.
    """

    def __init__(self, device: Device, spec: StreamSpec, name: str, *, clock: SourceClock | None = None) -> None:
        self.spec = spec
        self._device = device
        self._name = name
        self._clock = clock or SourceClock()
        self._timeline = Timeline(spec.rate_hz, self._clock)
        self._block = max(1, round(BLOCK_S * spec.rate_hz))
        self._lock = threading.Lock()  # held while the device is read, so that `close` never pulls it away
        self._closed = threading.Event()
        self._opened = False
        self._pieces: deque[tuple[Piece, int]] = deque()  # with the time of its first sample
        self._sequence = 0
        self._broken = False

    @property
    def last_error(self) -> str | None:
        """What the device last refused without failing, or None."""
        return getattr(self._device, "last_error", None)

    @property
    def lost(self) -> int:
        """Blocks, frames or lines that never came; 0 where they bear no numbers."""
        return getattr(self._device, "lost", 0)

    def read(self, timeout_s: float) -> Chunk | None:
        """Return the next chunk (at least 20 ms, or what lies before a gap), or None when none came in time.

        Raises
        ------
        SourceEnded
            The source was closed.
        SourceError
            The device cannot be opened, or is lost.
        """
        deadline = self._clock.monotonic() + timeout_s
        while True:
            left = deadline - self._clock.monotonic()
            with self._lock:
                if self._closed.is_set():
                    raise SourceEnded("the source was closed")
                fresh = self._receive(max(0.0, left))
            for piece in fresh:
                self._take(piece)
            chunk = self._gather()
            if chunk is not None:
                return chunk
            if left <= 0 and not fresh:
                return None

    def select(self, name: str) -> None:
        """Refuse: a device plays what it measures."""
        raise SourceError(f"{self._name} cannot switch to {name!r}: it is a device, nothing can be selected")

    def close(self) -> None:
        """End the stream, wake a waiting reader and let go of the device."""
        self._closed.set()
        self._device.wake()
        with self._lock:
            if self._opened:
                self._device.close()
                self._opened = False

    def _receive(self, timeout_s: float) -> Sequence[Piece]:
        try:
            if not self._opened:
                self._opened = True
                self._device.open()
            return self._device.receive(0.0 if self._enough() else timeout_s)
        except (OSError, SourceError) as error:
            self._device.close()
            self._opened, self._broken = False, True
            if isinstance(error, SourceError):
                raise
            raise SourceError(f"{self._name}: {error.strerror or error}") from error

    def _take(self, piece: Piece) -> None:
        gap = piece.gap or self._broken
        self._broken = False
        if gap:
            self._timeline.skip()
        time_ns, lost = self._timeline.stamp(piece.samples.shape[1], piece.time_ns)
        if piece.time_ns is not None:
            time_ns, lost = piece.time_ns, False
        self._pieces.append((Piece(piece.samples, gap or lost), time_ns))

    def _enough(self) -> bool:
        return sum(piece.samples.shape[1] for piece, _ in self._pieces) >= self._block or any(
            piece.gap for piece, _ in list(self._pieces)[1:]
        )

    def _gather(self) -> Chunk | None:
        if not self._enough():
            return None
        first, time_ns = self._pieces.popleft()
        samples, count = [first.samples], first.samples.shape[1]
        while self._pieces and not self._pieces[0][0].gap and count < self._block:
            samples.append(self._pieces.popleft()[0].samples)
            count += samples[-1].shape[1]
        whole = samples[0] if len(samples) == 1 else np.concatenate(samples, axis=1)
        chunk = Chunk(
            whole,
            time_ns,
            self.spec.rate_hz,
            self._sequence,
            gap=first.gap and self._sequence > 0,
            quality=self._timeline.rate.quality,
            measured_hz=self._timeline.rate.measured_hz,
        )
        self._sequence += 1
        return chunk


class Waiter:
    """Wait until a file descriptor can be read, or until somebody says `wake`."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        weakref.finalize(self, _close, self._reader, self._writer)

    def readable(self, descriptor: int, timeout_s: float) -> bool:
        """Wait up to ``timeout_s``; False when nothing came, or somebody said `wake`."""
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        poll.register(descriptor, select.POLLIN | select.POLLPRI)
        ready = [number for number, _ in poll.poll(timeout_s * 1000)]
        return descriptor in ready and self._reader not in ready

    def wake(self) -> None:
        """Let the present and every later `readable` return at once."""
        with suppress(BlockingIOError):  # the pipe is full of earlier calls
            os.write(self._writer, b"!")


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
