"""Imitated changes of a machine, by which shapes of a health model are compared where no fault was ever recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

STRENGTHS: Final = (0.15, 0.3, 0.6, 1.2)
"""Root mean square of what is added, over that of the healthy windows: from hardly there to plainly heard."""
CENTRES: Final = (0.06, 0.16, 0.28, 0.42)
"""Frequencies at which a struck machine rings, and of tones, over the sampling rate."""
IMPACTS: Final = (2, 8)
"""Impacts in a window."""
RING: Final = 12.0
"""Samples in which a ringing falls to 1/e."""


def imitations(x: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return windows ``(strengths * windows, channels, length)`` of a changed machine.

    What is added to all channels of a window is a tone, as of a gear, or impacts that ring, as of a bearing; each at
    every strength. Changes take turns over the windows, so that each window is used once a strength.
    """
    windows, _, length = x.shape
    level = x.std(axis=(0, 2), dtype=np.float64)
    added = np.stack([_change(number, length, rng) for number in range(windows)])
    return np.concatenate(
        [x + (strength * level[:, None] * added[:, None]).astype(np.float32) for strength in STRENGTHS]
    )


def _change(number: int, length: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return one change ``(length,)`` whose mean square is one."""
    time = np.arange(length)
    centre = CENTRES[number % len(CENTRES)] * rng.uniform(0.8, 1.2)
    kind = number // len(CENTRES) % (1 + len(IMPACTS))
    if kind == 0:
        signal = np.sin(2 * np.pi * (centre * time + rng.uniform()))
    else:
        period = length / IMPACTS[kind - 1]
        since = (time - rng.uniform(0, period)) % period
        signal = np.exp(-since / RING) * np.sin(2 * np.pi * centre * since)
    scaled: NDArray[np.float64] = signal / max(float(np.sqrt((signal**2).mean())), 1e-12)
    return scaled
