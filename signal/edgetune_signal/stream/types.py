"""The values that travel from a sensor to a classifier: stream specification, chunk, window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


Samples: TypeAlias = "NDArray[np.float32]"
"""``(channels, n)``."""


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """What a source promises to deliver.

    Attributes
    ----------
    channels
        Number of simultaneous channels.
    rate_hz
        Samples per second and channel.
    unit
        Physical unit of a sample: ``g``, ``m/s2``, ``V``, ``counts``.
    """

    channels: int
    rate_hz: float
    unit: str


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Consecutive samples as a source read them.

    Attributes
    ----------
    samples
        ``float32 (channels, n)`` in the stream's unit.
    time_ns
        UTC time of the first sample, nanoseconds since the epoch.
    rate_hz
        Samples per second and channel.
    sequence
        Counts the chunks of one source from 0; a jump means chunks were lost on the way.
    gap
        True when samples are missing between the chunk before and this one.
    quality
        What the source knows to be wrong with the stream: ``rate_off``, samples come at another rate than ``rate_hz``.
    measured_hz
        The rate at which samples really come; None where the source cannot tell (yet), or plays something.
    """

    samples: Samples
    time_ns: int
    rate_hz: float
    sequence: int
    gap: bool = False
    quality: tuple[str, ...] = ()
    measured_hz: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """One input of a classifier; never spans a gap.

    Attributes
    ----------
    samples
        ``float32 (channels, length)`` in the stream's unit; owned by the window.
    time_ns
        UTC time of the last sample, nanoseconds since the epoch.
    sequence
        Counts the windows of one stream from 0 without holes.
    quality
        Names of what is wrong, empty when nothing is: ``nan``, ``flat``, ``clipped`` (`window_quality`); ``gap``,
        samples are missing right before this window; ``dc_drift`` (`Baseline`); what the chunk of its last sample said.
    """

    samples: Samples
    time_ns: int
    sequence: int
    quality: tuple[str, ...] = ()
