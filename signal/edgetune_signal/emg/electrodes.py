"""Names what is wrong with single electrodes: dead, saturated, hum of the mains, offset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgetune_signal.stream import Samples

ElectrodeFault: TypeAlias = Literal["dead", "saturated", "hum", "offset"]

DEAD: Final = 1e-3
"""Part of the median power of the channels under which one is dead: 30 dB less; muscles at rest differ by 10 dB."""
RAIL: Final = 0.02
"""Part of the samples at the converter's limits of a saturated channel."""
OFFSET: Final = 5.0
"""Times the RMS that a constant offset is larger. With less the models lose nothing that matters."""
MAINS_HZ: Final = (50.0, 60.0)
HUM: Final = 0.5
"""Part of the power in the mains line and its harmonics; of muscles it has 5 to 15 %."""
HALF_WIDTH_HZ: Final = 1.0
SHORTEST_HUM_S: Final = 0.9
"""Seconds below which a line cannot be told from muscles."""


def electrode_faults(
    samples: Samples, rate_hz: float, clip_level: float | None = None
) -> tuple[tuple[ElectrodeFault, ...], ...]:
    """Name what is wrong with each electrode.

    Parameters
    ----------
    samples
        ``(channels, n)``, about a second.
    rate_hz
        Samples per second and channel.
    clip_level
        Largest magnitude that the sensor can deliver; without it nothing is called saturated.

    Returns
    -------
    tuple
        Faults of each channel. A channel with samples that are no numbers is ``dead``.
    """
    wide = samples.astype(np.float64)
    finite = np.isfinite(wide).all(axis=1)
    wide[~finite] = 0.0
    mean = wide.mean(axis=1)
    power = wide.var(axis=1)
    several = int(finite.sum()) > 1
    dead = ~finite | (power <= (DEAD * float(np.median(power[finite])) if several else 0.0))
    saturated = np.zeros(len(wide), np.bool_)
    if clip_level is not None:
        saturated = (np.abs(wide) >= clip_level).mean(axis=1) >= RAIL
    hum = _hum(wide - mean[:, np.newaxis], rate_hz) >= HUM
    offset = np.abs(mean) > OFFSET * np.sqrt(power)
    rows = zip(dead.tolist(), saturated.tolist(), hum.tolist(), offset.tolist(), strict=True)
    return tuple(_named(*row) for row in rows)


def _named(dead: bool, saturated: bool, hum: bool, offset: bool) -> tuple[ElectrodeFault, ...]:  # noqa: FBT001 - a row
    if saturated:
        return ("saturated",)
    if dead:
        return ("dead",)
    return (*(("hum",) if hum else ()), *(("offset",) if offset else ()))


def _hum(centred: NDArray[np.float64], rate_hz: float) -> NDArray[np.float64]:
    """Return the part of each channel's power that lies in lines of the mains, of 50 or 60 Hz, whichever is more."""
    count = centred.shape[1]
    if count < SHORTEST_HUM_S * rate_hz:
        return np.zeros(len(centred))
    power = np.abs(np.fft.rfft(centred * np.hanning(count), axis=1)) ** 2
    power[:, 0] = 0.0
    frequency = np.fft.rfftfreq(count, 1 / rate_hz)
    total = power.sum(axis=1)
    share = np.zeros(len(centred))
    for mains in MAINS_HZ:
        lines = np.arange(mains, rate_hz / 2, mains)
        inside = (np.abs(frequency[:, np.newaxis] - lines) <= HALF_WIDTH_HZ + rate_hz / count).any(axis=1)
        share = np.maximum(share, power[:, inside].sum(axis=1) / np.where(total > 0, total, 1.0))
    return share
