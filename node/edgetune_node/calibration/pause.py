"""Gathers what a person's muscles do between two takes: it is rest, and rest is not always alike."""

from __future__ import annotations

from itertools import accumulate, groupby
from typing import TYPE_CHECKING, Final

import numpy as np

from edgetune_signal import Recording, held_out_start
from edgetune_signal.stream import RATE_OFF

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgetune_signal import Chunk, StreamSpec

SETTLE_S: Final = 1.0
"""Seconds after a take that a person has to let go."""
LONGEST_S: Final = 30.0
SHORTEST_S: Final = 1.0
BLOCK_S: Final = 0.25
"""Stretches whose level decides whether it is still rest."""


def level(samples: NDArray[np.float32]) -> float:
    """Return the mean absolute value of ``(channels, length)`` samples around each channel's mean."""
    return float(np.abs(samples - samples.mean(axis=1, keepdims=True)).mean())


class Pause:
    """Samples from `SETTLE_S` after a take on, as long as they are consecutive; `LONGEST_S` at most.

    Parameters
    ----------
    spec
        The stream that is recorded.
    limit
        Level over which muscles are not at rest any more.
    """

    def __init__(self, spec: StreamSpec, limit: float) -> None:
        self._spec = spec
        self._limit = limit
        self._skip = round(SETTLE_S * spec.rate_hz)
        self._samples = np.empty((spec.channels, round(LONGEST_S * spec.rate_hz)), np.float32)
        self._filled = 0
        self._sequence: int | None = None
        self._time_ns = 0
        self._over = False

    def push(self, chunk: Chunk) -> None:
        """Process a chunk; one that does not fit or follow ends the pause."""
        follows = self._sequence is None or (chunk.sequence == self._sequence + 1 and not chunk.gap)
        fits = chunk.samples.shape[0] == self._spec.channels and chunk.rate_hz == self._spec.rate_hz
        self._over |= not (follows and fits) or RATE_OFF in chunk.quality or not np.isfinite(chunk.samples).all()
        if self._over:
            return
        self._sequence = chunk.sequence
        skipped = min(self._skip, chunk.samples.shape[1])
        self._skip -= skipped
        fresh = chunk.samples[:, skipped : skipped + self._samples.shape[1] - self._filled]
        if fresh.shape[1] and not self._filled:
            self._time_ns = chunk.time_ns + round(skipped / self._spec.rate_hz * 1e9)
        self._samples[:, self._filled : self._filled + fresh.shape[1]] = fresh
        self._filled += fresh.shape[1]

    def recording(self, label: str, *, subject: str = "", condition: str = "", sensor: str = "") -> Recording | None:
        """Return what of it is rest; None where that is less than `SHORTEST_S`.

        A person may let go late, and make the next sign before its take begins. So it is the longest quiet stretch,
        without a block at either end.
        """
        block = round(BLOCK_S * self._spec.rate_hz)
        quiet = [
            level(self._samples[:, at : at + block]) <= self._limit for at in range(0, self._filled - block + 1, block)
        ]
        runs = [(len(list(run)), is_quiet) for is_quiet, run in groupby(quiet)]
        ends = accumulate(length for length, _ in runs)
        longest, end = max(
            ((length, end) for (length, is_quiet), end in zip(runs, ends, strict=True) if is_quiet), default=(0, 0)
        )
        length = (longest - 2) * block
        if length < SHORTEST_S * self._spec.rate_hz:
            return None
        begin = (end - longest + 1) * block
        samples = self._samples[:, begin : begin + length].copy()
        if (samples.min(axis=1) == samples.max(axis=1)).any():  # a sensor that says nothing
            return None
        time_ns = self._time_ns + round(begin / self._spec.rate_hz * 1e9)
        return Recording(
            samples=samples,
            rate_hz=self._spec.rate_hz,
            label=label,
            unit=self._spec.unit,
            time_ns=time_ns,
            sensor=sensor,
            subject=subject,
            condition=condition,
            group=f"{label}-{time_ns}-pause",
            held_out_from=held_out_start(length, 0, 1),
        )
