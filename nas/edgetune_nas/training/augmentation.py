"""Augmentation: windows as another load, speed, mounting or repetition would have changed them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

LEVEL, LOWEST, LOUDNESS = 0.4, 1.0, 0.5
"""Standard deviations in nepers (8.7 dB) of single bands, of the lowest (hum, unbalance), and of all together."""
ELECTRODE = 0.3
"""Standard deviation in nepers (8.7 dB) of single electrodes, from one repetition of a gesture to the next."""
KNOTS = 24
"""Bands whose levels move by themselves; levels in between are interpolated."""
SPEED = 0.01
"""Largest relative change of the time scale. Resonances ring in it too, and they do not follow the shaft."""


def augment_vibration(x: NDArray[np.float32], rng: Generator) -> NDArray[np.float32]:
    """Change time scale, loudness and spectrum of each window ``(windows, channels, length)`` at random.

    One change a window, the same for all of its channels. The window is taken as one period.
    """
    windows, channels, length = x.shape
    bins = length // 2 + 1
    place = np.linspace(0, KNOTS - 1, bins)
    knot = np.minimum(place.astype(np.int64), KNOTS - 2)
    share = place - knot
    result = np.empty_like(x)
    for index in range(windows):
        level = rng.normal(0, [LOWEST, *[LEVEL] * (KNOTS - 1)])
        gain = np.exp(rng.normal(0, LOUDNESS) + (1 - share) * level[knot] + share * level[knot + 1])
        at = np.arange(length) * rng.uniform(1 - SPEED, 1 + SPEED)
        for channel in range(channels):
            slower = np.interp(at, np.arange(length), x[index, channel], period=length)
            result[index, channel] = np.fft.irfft(np.fft.rfft(slower) * gain, length)
    return result


def augment_emg(x: NDArray[np.float32], rng: Generator) -> NDArray[np.float32]:
    """Change the level of each electrode and the loudness of each window ``(windows, channels, length)`` at random."""
    nepers = rng.normal(0, ELECTRODE, x.shape[:2]) + rng.normal(0, LOUDNESS, (len(x), 1))
    result: NDArray[np.float32] = x * np.exp(nepers)[:, :, None].astype(np.float32)
    return result
