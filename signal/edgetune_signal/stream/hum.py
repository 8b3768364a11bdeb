"""How much of a signal is hum of the mains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

HUM_HEARD = 0.05
"""Share of a signal's power from which on a hum counts as heard.

Where the signals of eight sets have a hum it is 0.2 (60 Hz in one person's of 3DC), elsewhere up to 0.01.
"""
HUM = "hum"
"""Quality flag of a signal in which a hum is heard."""
NEIGHBOUR = 4
"""Distance of the neighbours that a line is compared with, in cycles a window: the Hann window's lobe has two."""
AT_ONCE = 256
"""Windows that are looked at in one go, which bounds the memory this takes."""


def hum_share(x: NDArray[np.float32], mains: float) -> float:
    """Return the share of the power of windows ``(windows, channels, length)`` that a hum at ``mains`` has.

    A line stands out from its neighbours. What these have is the signal's own.
    """
    length = x.shape[2]
    lines = mains + np.array([0.0, -NEIGHBOUR, NEIGHBOUR]) / length
    lines = lines[(lines > 1 / length) & (lines < 0.5)]  # noqa: PLR2004 - Nyquist
    if len(lines) < 2 or not 0 < mains < 0.5:  # noqa: PLR2004 - Nyquist, and nothing to compare with
        return 0.0
    window = np.hanning(length + 2)[1:-1]
    waves = window * np.exp(-2j * np.pi * lines[:, None] * np.arange(length))
    power = np.zeros(len(lines))
    total = 0.0
    for first in range(0, len(x), AT_ONCE):
        wide = x[first : first + AT_ONCE].astype(np.float64)
        wide -= wide.mean(axis=2, keepdims=True)
        power += (np.abs(wide @ waves.T) ** 2).sum(axis=(0, 1))
        total += float((wide**2).sum())
    line = power[0] - power[1:].mean()
    gain = window.sum() ** 2 / (2 * length)  # line of a sine over its sum of squares
    return float(np.clip(line / gain / total, 0.0, 1.0)) if total else 0.0
