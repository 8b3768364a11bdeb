"""A preallocated ring of the latest samples, and the rule by which a chunk follows the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgetune_signal.errors import SourceError

if TYPE_CHECKING:
    from edgetune_signal.stream.types import Chunk, Samples


class Ring:
    """Hold the last ``length`` samples of every channel.

    Parameters
    ----------
    channels, length
        Shape of what is held; both at least 1.
    """

    def __init__(self, channels: int, length: int) -> None:
        if channels < 1 or length < 1:
            raise ValueError(f"a ring needs at least one channel and one sample, not {channels} and {length}")
        self._data = np.zeros((channels, length), dtype=np.float32)
        self._length = length
        self.written = 0

    @property
    def full(self) -> bool:
        """Whether ``length`` samples have been written since the last `clear`."""
        return self.written >= self._length

    def write(self, samples: Samples) -> None:
        """Append ``samples (channels, n)``; what falls out of the ring is never copied."""
        total = samples.shape[1]
        kept = samples[:, -self._length :] if total > self._length else samples
        position = (self.written + total - kept.shape[1]) % self._length
        head = min(kept.shape[1], self._length - position)
        self._data[:, position : position + head] = kept[:, :head]
        self._data[:, : kept.shape[1] - head] = kept[:, head:]
        self.written += total

    def latest(self) -> Samples:
        """Return a copy of the last ``length`` samples, oldest first; call it only when `full`."""
        position = self.written % self._length
        out = np.empty_like(self._data)
        out[:, : self._length - position] = self._data[:, position:]
        out[:, self._length - position :] = self._data[:, :position]
        return out

    def clear(self) -> None:
        """Forget every sample."""
        self.written = 0


class Continuity:
    """Return whether a chunk continues the one before without missing samples.

    Parameters
    ----------
    channels
        Number of channels every chunk must have.
    """

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._expected: int | None = None
        self._rate_hz = 0.0

    def broken_by(self, chunk: Chunk) -> bool:
        """Return True when samples are missing before ``chunk`` (or its rate is another) and take note of it.

        Raises
        ------
        SourceError
            The chunk's samples are not ``(channels, n)``.
        """
        shape = chunk.samples.shape
        if len(shape) != 2 or shape[0] != self._channels:  # noqa: PLR2004 - (channels, n)
            raise SourceError(
                f"chunk {chunk.sequence} has samples of shape {shape} where ({self._channels}, n) is expected: "
                f"set the stream's channels to what the source delivers"
            )
        known = self._expected is not None
        broken = known and (chunk.gap or chunk.sequence != self._expected or chunk.rate_hz != self._rate_hz)
        self._expected = chunk.sequence + 1
        self._rate_hz = chunk.rate_hz
        return broken

    def reset(self) -> None:
        """Take the next chunk as the first."""
        self._expected = None
