"""Cuts a stream of chunks into windows of equal length, never across a gap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgetune_signal.stream.baseline import Baseline
from edgetune_signal.stream.clock import offset_ns
from edgetune_signal.stream.quality import window_quality
from edgetune_signal.stream.ring import Continuity, Ring
from edgetune_signal.stream.types import Window

if TYPE_CHECKING:
    from edgetune_signal.stream.types import Chunk


class Windower:
    """Turn chunks of any size into windows of ``length`` samples, one every ``hop`` samples.

    Parameters
    ----------
    channels
        Number of channels of the stream.
    length
        Samples of a window.
    hop
        Samples from the start of one window to the start of the next; smaller than ``length`` for overlapping windows,
        larger to skip samples.
    clip_level
        Largest magnitude the sensor can deliver, see `window_quality`.

    Raises
    ------
    ValueError
        ``channels``, ``length`` or ``hop`` is below 1.

    Examples
    --------
    >>> import numpy as np
    >>> from edgetune_signal.stream.types import Chunk
    >>> windower = Windower(channels=1, length=4, hop=2)
    >>> chunk = Chunk(np.arange(6, dtype=np.float32)[None], time_ns=0, rate_hz=1000.0, sequence=0)
    >>> [(w.sequence, w.time_ns, w.samples[0].tolist()) for w in windower.push(chunk)]
    [(0, 3000000, [0.0, 1.0, 2.0, 3.0]), (1, 5000000, [2.0, 3.0, 4.0, 5.0])]
    """

    def __init__(self, channels: int, length: int, hop: int, clip_level: float | None = None) -> None:
        if hop < 1:
            raise ValueError(f"the hop must be at least 1 sample, not {hop}")
        self._ring = Ring(channels, length)
        self._continuity = Continuity(channels)
        self._length = length
        self._hop = hop
        self._clip_level = clip_level
        self._end = length  # samples written when the next window is complete
        self._sequence = 0
        self._baseline = Baseline(channels)
        self._after_gap = False

    def push(self, chunk: Chunk) -> list[Window]:
        """Take the next chunk and return the windows it completes, oldest first.

        A chunk with ``gap``, a jump of its sequence number or another rate starts a fresh window: what was collected
        before is forgotten.

        Raises
        ------
        SourceError
            The chunk has another number of channels than the windower; nothing of it is taken.
        """
        if self._continuity.broken_by(chunk):
            self._restart()
            self._after_gap = True
        windows: list[Window] = []
        samples = chunk.samples
        done, total = 0, samples.shape[1]
        while done < total:
            step = min(total - done, self._end - self._ring.written)
            self._ring.write(samples[:, done : done + step])
            done += step
            if self._ring.written == self._end:
                windows.append(self._window(chunk, done))
                self._end += self._hop
        return windows

    def reset(self) -> None:
        """Forget the samples collected so far; windows go on being counted where they were."""
        self._restart()
        self._continuity.reset()

    def _restart(self) -> None:
        self._ring.clear()
        self._baseline.reset()
        self._end = self._length

    def _window(self, chunk: Chunk, done: int) -> Window:
        """Make the window that sample ``done`` of ``chunk`` completes."""
        samples = self._ring.latest()
        fresh = self._length if self._ring.written == self._length else min(self._hop, self._length)
        flaws = window_quality(samples, self._clip_level)
        drifted = "nan" not in flaws and self._baseline.drifted(samples, fresh / chunk.rate_hz)
        quality = (
            *flaws,
            *(("gap",) if self._after_gap else ()),
            *(("dc_drift",) if drifted else ()),
            *chunk.quality,
        )
        self._after_gap = False
        window = Window(samples, chunk.time_ns + offset_ns(done - 1, chunk.rate_hz), self._sequence, quality)
        self._sequence += 1
        return window
