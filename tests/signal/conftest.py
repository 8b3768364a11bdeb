"""What the signal tests share: chunks, recordings, and a clock they own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from manual_clock import ManualClock

from edgetune_signal import Chunk, Recording

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgetune_signal.stream.types import Samples


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
