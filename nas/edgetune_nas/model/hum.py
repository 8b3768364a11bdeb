"""The filter that takes mains hum off, as a layer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from edgetune_nas.model.layers import Conv

if TYPE_CHECKING:
    from edgetune_nas.model.layers import Layer


def hum_layers(mains: float, channels: int) -> list[Layer]:
    """Return the convolution that takes a hum off each channel; none where ``mains`` is 0."""
    if not mains:
        return []
    taps = hum_taps(mains)
    return [Conv(channels, len(taps), groups=channels, norm=False, relu=False, frozen=True, taps=channels * taps)]


def hum_taps(mains: float) -> tuple[float, ...]:
    """Return the taps of a filter without response at ``mains`` cycles a sample, nor to an offset.

    Where a period is a whole number of samples this is a comb, x[n] - x[n - period], which takes off the harmonics
    too; elsewhere a notch of four taps. White noise keeps its level.
    """
    period = round(1 / mains)
    if math.isclose(1 / mains, period, rel_tol=1e-6):
        taps = np.zeros(period + 1)
        taps[0], taps[-1] = -1.0, 1.0
    else:
        taps = np.convolve([1.0, -2 * math.cos(2 * math.pi * mains), 1.0], [1.0, -1.0])
    return tuple((taps / np.linalg.norm(taps)).tolist())
