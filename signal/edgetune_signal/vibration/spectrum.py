"""Amplitude spectrum of a vibration, and spectra thinned to points that lie apart logarithmically."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgetune_signal.vibration.envelope import envelope_spectrum, kurtosis_band
from edgetune_signal.vibration.velocity import hann

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgetune_signal.vibration.envelope import Band

    Float64 = NDArray[np.float64]

SEGMENT_S = 1.0
POINTS = 96
"""Points of a spectrum at most; two of them and the rest of a message stay under 4 KiB."""
LOWEST_HZ = 2.0
"""Below lie drift and the offset."""
DIGITS = 4


@dataclass(frozen=True, slots=True)
class ThinSpectrum:
    """A spectrum's highest line in each of at most `POINTS` bands whose edges lie apart logarithmically.

    Attributes
    ----------
    frequency_hz
        Where each of these lines is, rising.
    amplitude
        Its amplitude, in the unit of the samples.
    """

    frequency_hz: tuple[float, ...]
    amplitude: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Spectra:
    """What the frequencies of one channel show; ``envelope`` and its band are None where no band is wide enough."""

    spectrum: ThinSpectrum
    envelope: ThinSpectrum | None
    band_hz: Band | None


def amplitude_spectrum(samples: Float64, rate_hz: float) -> tuple[Float64, Float64]:
    """Frequencies in hertz and amplitudes: the RMS over Hann segments of a second, half overlapping.

    The peak of a sine reads its own amplitude (P. D. Welch, IEEE Trans. Audio Electroacoust. 15 (1967) 70).
    """
    n = min(len(samples), max(2, round(SEGMENT_S * rate_hz)))
    window = hann(n)
    power = np.zeros(n // 2 + 1)
    starts = range(0, len(samples) - n + 1, max(1, n // 2))
    for start in starts:
        segment = samples[start : start + n]
        power += np.abs(np.fft.rfft((segment - segment.mean()) * window)) ** 2
    amplitude = np.sqrt(power / len(starts)) * (2 / max(float(window.sum()), 1.0))
    return np.arange(len(power), dtype=np.float64) * (rate_hz / n), amplitude


def thin(frequency: Float64, amplitude: Float64, points: int = POINTS) -> ThinSpectrum:
    """Return the highest line of each of ``points`` bands from `LOWEST_HZ` on; a band without a line has no point."""
    above = np.flatnonzero(frequency >= LOWEST_HZ)
    if above.size == 0:
        above = np.arange(len(frequency))[1:]
    if above.size == 0:
        return ThinSpectrum((), ())
    frequency, amplitude = frequency[above], amplitude[above]
    place = np.log(frequency / frequency[0])
    band = np.minimum((place / max(float(place[-1]), 1e-12) * points).astype(int), points - 1)
    order = np.lexsort((-amplitude, band))
    _, first = np.unique(band[order], return_index=True)
    highest = order[first]
    return ThinSpectrum(_digits(frequency[highest]), _digits(amplitude[highest]))


def spectra(samples: Float64, rate_hz: float, *, band_hz: Band | None = None, highest_hz: float) -> Spectra:
    """Compute the spectrum and the envelope spectrum of one channel.

    Parameters
    ----------
    samples
        ``(n,)``.
    rate_hz
        Samples per second.
    band_hz
        Band of the envelope; chosen by spectral kurtosis where it is None.
    highest_hz
        The envelope spectrum is wanted up to here.
    """
    spectrum = thin(*amplitude_spectrum(samples, rate_hz))
    band = band_hz or kurtosis_band(samples, rate_hz, highest_hz)
    if band is None:
        return Spectra(spectrum, None, None)
    try:
        found = envelope_spectrum(samples, rate_hz, band)
    except ValueError:  # a configured band that this rate or length does not have
        return Spectra(spectrum, None, None)
    frequency = found.step_hz * np.arange(len(found.amplitude), dtype=np.float64)
    shown = frequency <= highest_hz
    return Spectra(spectrum, thin(frequency[shown], found.amplitude[shown]), found.band_hz)


def _digits(values: Float64) -> tuple[float, ...]:
    return tuple(float(f"{value:.{DIGITS}g}") for value in values.tolist())
