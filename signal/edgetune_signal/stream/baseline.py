"""Notices when the mean of a stream walks away, as it does with a failing bias supply or a loose electrode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edgetune_signal.stream.types import Samples

MEMORY_S = 10.0
"""The baseline is an exponential mean over about this long."""
LEARNED_S = 1.0
"""Nothing is judged before so much signal has come."""
DEVIATIONS = 3.0
"""A window's mean further than this many standard deviations of the recent signal from the recent mean has drifted."""


class Baseline:
    """Mean and standard deviation of the recent signal, channel by channel.

    Parameters
    ----------
    channels
        Number of channels of the stream.

    Notes
    -----
    A vibration that is slow against the window moves the window's mean too, but no further than its own amplitude,
    which is less than `DEVIATIONS` of its standard deviations. A ramp is found when it climbs `DEVIATIONS` standard
    deviations in `MEMORY_S`; a step is flagged until the baseline has followed it.
    """

    def __init__(self, channels: int) -> None:
        self._mean = np.zeros(channels)
        self._power = np.zeros(channels)
        self._seconds = 0.0

    def drifted(self, samples: Samples, seconds: float) -> bool:
        """Judge a window ``(channels, n)`` by what came before it, then learn from it.

        Parameters
        ----------
        samples
            The window; every sample is finite.
        seconds
            How much of it is new.
        """
        mean = samples.mean(axis=1, dtype=np.float64)
        centred = samples - mean[:, None]
        power = np.einsum("ij,ij->i", centred, centred) / samples.shape[1] + mean * mean
        deviation = np.sqrt(np.maximum(self._power - self._mean * self._mean, 0.0))
        away = np.abs(mean - self._mean) > DEVIATIONS * deviation
        judged = self._seconds >= LEARNED_S
        self._seconds = min(self._seconds + seconds, MEMORY_S)
        weight = min(1.0, seconds / self._seconds)
        self._mean += weight * (mean - self._mean)
        self._power += weight * (power - self._power)
        return judged and bool((away & (deviation > 0)).any())

    def reset(self) -> None:
        """Forget everything: what comes is another signal."""
        self._seconds = 0.0
        self._mean[:] = self._power[:] = 0.0
