"""Velocity of a vibration from its acceleration, and the zone of ISO 20816-3 in which it lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from edgetune_signal.stream import STANDARD_GRAVITY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgetune_signal.stream import Samples

Zone: TypeAlias = Literal["A", "B", "C", "D"]
Support: TypeAlias = Literal["rigid", "flexible"]

VELOCITY_BAND_HZ = (10.0, 1000.0)
VELOCITY_MIN_RATE_HZ = 2560.0
"""An anti-alias filter leaves nothing trustworthy above 1/2.56 of the rate."""
VELOCITY_MIN_SECONDS = 1.0
"""Ten periods of the lowest frequency."""
TO_M_PER_S2 = {"m/s2": 1.0, "g": STANDARD_GRAVITY}
"""Units of acceleration, in metres per second squared."""

ZONE_LIMITS_MM_S: dict[tuple[int, Support], tuple[float, float, float]] = {
    (1, "rigid"): (2.3, 4.5, 7.1),
    (1, "flexible"): (3.5, 7.1, 11.0),
    (2, "rigid"): (1.4, 2.8, 4.5),
    (2, "flexible"): (2.3, 4.5, 7.1),
}
"""Limits A/B, B/C and C/D of ISO 20816-3 in mm/s RMS, by group (1: above 300 kW; 2: 15 to 300 kW) and support."""


def velocity_problem(unit: str, rate_hz: float, seconds: float) -> str | None:
    """Return why a signal gives no velocity: ``velocity_unit``, ``velocity_rate`` or ``velocity_length``; else None."""
    if unit not in TO_M_PER_S2:
        return "velocity_unit"
    if rate_hz < VELOCITY_MIN_RATE_HZ:
        return "velocity_rate"
    if seconds < VELOCITY_MIN_SECONDS:
        return "velocity_length"
    return None


def velocity_rms(samples: Samples, unit: str, rate_hz: float) -> NDArray[np.float64]:
    r"""Velocity RMS from 10 to 1000 Hz, mm/s.

    Parameters
    ----------
    samples
        Acceleration, ``(channels, n)`` in ``unit``.
    unit
        ``g`` or ``m/s2``.
    rate_hz
        Samples per second and channel, 2560 at least.

    Returns
    -------
    ndarray
        ``(channels,)``.

    Raises
    ------
    ValueError
        The signal gives none: see `velocity_problem`.

    Notes
    -----
    ISO 20816-1 asks for the RMS of the velocity in this band. With the spectrum :math:`X_k` of the samples without
    their mean under a Hann window :math:`w`, integration divides by :math:`2\pi f_k` and Parseval's theorem gives
    :math:`v^2 = 2 \sum_k |X_k|^2 / (2\pi f_k)^2 / (n \sum w^2)` over the bins in the band. What lies below 10 Hz
    (gravity, drift) is left out with its bins, so nothing needs to be filtered around the integration. A sine from
    12 Hz on is met within 1 % in one second.
    """
    problem = velocity_problem(unit, rate_hz, samples.shape[1] / rate_hz)
    if problem is not None:
        raise ValueError(f"no velocity from {samples.shape[1]} samples at {rate_hz:g} Hz in {unit!r}: {problem}")
    wide = samples.astype(np.float64) * TO_M_PER_S2[unit]
    n = wide.shape[1]
    window = hann(n)
    spectrum = np.fft.rfft((wide - wide.mean(axis=1, keepdims=True)) * window)
    first, last = (round(edge * n / rate_hz) for edge in VELOCITY_BAND_HZ)
    omega = 2 * np.pi * np.arange(first, last + 1) * rate_hz / n
    power = np.abs(spectrum[:, first : last + 1]) ** 2 / (omega * omega)
    result: NDArray[np.float64] = 1e3 * np.sqrt(2 * power.sum(axis=1) / (n * (window * window).sum()))
    return result


def zone(velocity_mm_s: float, limits_mm_s: Sequence[float]) -> Zone:
    """Zone of a velocity RMS, given the limits A/B, B/C and C/D; a value on a limit belongs to the better zone."""
    names: tuple[Zone, ...] = ("A", "B", "C", "D")
    return names[sum(velocity_mm_s > limit for limit in limits_mm_s)]


def hann(n: int) -> NDArray[np.float64]:
    """Periodic Hann window of ``n`` samples."""
    result: NDArray[np.float64] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    return result
