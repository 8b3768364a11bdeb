"""What the signal tests share: chunks, recordings, and a clock they own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgetune_signal import Chunk, Recording
from edgetune_signal.stream.clock import Clock

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from edgetune_signal.stream.types import Samples


class ManualClock(Clock):
    """Time passes only when somebody waits, or when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waited: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def utc_ns(self) -> int:
        return 1_700_000_000_000_000_000 + round(self.now * 1e9)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        if not event.is_set():
            self.waited.append(seconds)
            self.now += seconds
        return event.is_set()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def chunks_of() -> Callable[..., list[Chunk]]:
    """Cuts samples into consecutive chunks of the given sizes."""

    def cut(samples: Samples, sizes: list[int], *, rate_hz: float = 1000.0, first: int = 0) -> list[Chunk]:
        chunks, done = [], 0
        for number, size in enumerate(sizes, start=first):
            time_ns = round(done * 1e9 / rate_hz)
            chunks.append(Chunk(samples[:, done : done + size], time_ns, rate_hz, number))
            done += size
        return chunks

    return cut


@pytest.fixture
def recording_of() -> Callable[..., Recording]:
    """Makes a recording of noise."""

    def make(label: str, *, n: int = 1000, channels: int = 1, seed: int = 0, **fields: Any) -> Recording:
        samples = np.random.default_rng(seed).normal(size=(channels, n)).astype(np.float32)
        return Recording(samples, fields.pop("rate_hz", 1000.0), label, **fields)

    return make
