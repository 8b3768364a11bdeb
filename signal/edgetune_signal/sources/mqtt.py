"""The source that is fed with sample blocks by whoever holds the MQTT connection."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from edgetune_signal.errors import SourceEnded, SourceError
from edgetune_signal.options import OptionReader
from edgetune_signal.sources.block_order import BlockOrder
from edgetune_signal.stream import Chunk, SourceClock, Timeline

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgetune_signal.stream import StreamSpec

QUEUED_S = 5.0
"""Seconds of signal that may wait to be read, as bytes of float32; a gateway has many sources, and each its queue."""
LEAST_QUEUED_BYTES = 1 << 18
MAX_QUEUED_BLOCKS = 1024


class MqttSource:
    """A source whose blocks somebody else receives.

    Parameters
    ----------
    spec
        What every block must be; another one is refused and counted, and the stream goes on.
    clock
        Where the time comes from.

    Attributes
    ----------
    dropped
        Blocks dropped, oldest first, because nobody read them in time.
    """

    def __init__(
        self, spec: StreamSpec, options: Mapping[str, object] | None = None, *, clock: SourceClock | None = None
    ) -> None:
        OptionReader("mqtt", options or {}).finish()
        self.spec = spec
        self.dropped = 0
        self._clock = clock or SourceClock()
        self._payloads: deque[bytes] = deque()
        self._queued_bytes = 0
        self._most_bytes = max(LEAST_QUEUED_BYTES, round(4 * spec.channels * spec.rate_hz * QUEUED_S))
        self._lock = threading.Lock()
        self._arrived = threading.Event()
        self._closed = False
        self._admission = BlockOrder(spec)
        self._timeline = Timeline(spec.rate_hz, self._clock)
        self._sequence = 0

    @property
    def refused(self) -> int:
        """Blocks that were malformed, repeated, late or did not fit ``spec``."""
        return self._admission.refused

    @property
    def last_error(self) -> str | None:
        """Why the last one was refused, or None."""
        return self._admission.last_error

    @property
    def lost(self) -> int:
        """Blocks that never came, or were dropped."""
        return self._admission.lost

    def feed(self, payload: bytes | bytearray) -> None:
        """Take a block as it came from the broker; only queues it, from any thread, and never raises."""
        with self._lock:
            self._payloads.append(bytes(payload))
            self._queued_bytes += len(payload)
            while len(self._payloads) > MAX_QUEUED_BLOCKS or (
                self._queued_bytes > self._most_bytes and len(self._payloads) > 1
            ):
                self._queued_bytes -= len(self._payloads.popleft())
                self.dropped += 1
            self._arrived.set()

    def read(self, timeout_s: float) -> Chunk | None:
        """Return the next block that fits the stream, or None when none came within ``timeout_s``.

        Raises
        ------
        SourceEnded
            The source was closed.
        """
        deadline = self._clock.monotonic() + timeout_s
        while True:
            payload = self._next_payload()
            if payload is not None:
                chunk = self._accept(payload)
                if chunk is not None:
                    return chunk
                continue
            left = deadline - self._clock.monotonic()
            if left <= 0 or not self._clock.wait(self._arrived, left):
                return None

    def select(self, name: str) -> None:
        """Refuse: what is played is up to the sender."""
        raise SourceError(f"an mqtt source cannot switch to {name!r}: nothing can be selected, the sender decides")

    def close(self) -> None:
        """End the stream and wake a waiting reader."""
        with self._lock:
            self._closed = True
            self._arrived.set()

    def _next_payload(self) -> bytes | None:
        with self._lock:
            if self._closed:
                raise SourceEnded("the source was closed")
            if not self._payloads:
                self._arrived.clear()
                return None
            payload = self._payloads.popleft()
            self._queued_bytes -= len(payload)
            return payload

    def _accept(self, payload: bytes) -> Chunk | None:
        admitted = self._admission.admit(payload)
        if admitted is None:
            return None
        block, gap = admitted
        if gap:
            self._timeline.skip()
        arrival_ns, _ = self._timeline.stamp(block.samples.shape[1], block.time_ns or None)
        chunk = Chunk(
            block.physical(),
            block.time_ns or arrival_ns,
            self.spec.rate_hz,
            self._sequence,
            gap=gap,
            quality=self._timeline.rate.quality,
            measured_hz=self._timeline.rate.measured_hz,
        )
        self._sequence += 1
        return chunk


def open_mqtt(spec: StreamSpec, options: Mapping[str, object]) -> MqttSource:
    """Open a source that is fed with sample blocks; it has no options.

    Raises
    ------
    SourceOptionsError
        An option was given.
    """
    return MqttSource(spec, options)
