"""Envelope spectrum of one band of a vibration, and the choice of that band by spectral kurtosis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from edgetune_signal.vibration.velocity import hann

if TYPE_CHECKING:
    from numpy.typing import NDArray

Band: TypeAlias = tuple[float, float]

BAND_PARTS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48)
"""Into how many equal bands the spectrum is cut, one level of the kurtogram after the other."""
HIGHEST = 0.45
"""Of the rate: above lies the slope of an anti-alias filter, whose rare bursts look like impacts."""
FEWEST_BINS = 16


@dataclass(frozen=True, slots=True, eq=False)
class EnvelopeSpectrum:
    """How strongly the envelope of a band swings at each frequency.

    Attributes
    ----------
    amplitude
        ``(bins,)``, from 0 Hz on, in the unit of the samples; a sine that modulates reads its own amplitude.
    step_hz
        Frequency from one bin to the next.
    band_hz
        The band whose envelope it is.
    """

    amplitude: NDArray[np.float64]
    step_hz: float
    band_hz: Band


def kurtosis_band(samples: NDArray[np.floating], rate_hz: float, narrowest_hz: float) -> Band | None:
    r"""Band in which the signal is most impulsive.

    Parameters
    ----------
    samples
        ``(n,)``.
    rate_hz
        Samples per second.
    narrowest_hz
        The least width of a band; it must hold the harmonics that are looked for.

    Returns
    -------
    (float, float) or None
        Edges in hertz; None where no band is wide enough, or nothing in the signal moves.

    Notes
    -----
    A kurtogram with ideal filters: of the complex envelope :math:`z` of each band the kurtosis
    :math:`\overline{|z|^4} / \overline{|z|^2}^2 - 2`, 0 for Gaussian noise; bands halve and split in three from
    level to level (J. Antoni, *Fast computation of the kurtogram for the detection of transient faults*, Mech. Syst.
    Signal Process. 21 (2007) 108). The lowest band of a level, where the shaft is, and what lies
    above `HIGHEST` are left out.
    """
    spectrum = np.fft.rfft(samples - samples.mean())[: len(samples) // 2]
    best: tuple[float, Band] | None = None
    for parts in BAND_PARTS:
        bins = len(spectrum) // parts
        width = bins * rate_hz / len(samples)
        if width < narrowest_hz or bins < FEWEST_BINS:
            break
        power = np.abs(np.fft.ifft(spectrum[: bins * parts].reshape(parts, bins), axis=1)) ** 2
        mean = power.mean(axis=1)
        usable = (mean > 0) & (np.arange(1, parts + 1) * width <= HIGHEST * rate_hz)
        usable[0] = False
        if not usable.any():
            continue
        kurtosis = np.full(parts, -np.inf)
        kurtosis[usable] = (power[usable] ** 2).mean(axis=1) / mean[usable] ** 2 - 2
        top = int(kurtosis.argmax())
        if best is None or kurtosis[top] > best[0]:
            best = float(kurtosis[top]), (top * width, (top + 1) * width)
    return None if best is None else best[1]


def envelope_spectrum(samples: NDArray[np.floating], rate_hz: float, band_hz: Band) -> EnvelopeSpectrum:
    """Amplitude spectrum of a band's envelope, under a Hann window.

    Parameters
    ----------
    samples
        ``(n,)``.
    rate_hz
        Samples per second.
    band_hz
        Edges of the band; the envelope's spectrum ends at its width.

    Raises
    ------
    ValueError
        The band holds too few bins, or leaves the spectrum.

    Notes
    -----
    The complex envelope is the inverse transform of the band's bins alone, moved to 0 Hz, so it needs only twice as
    many samples as the band has bins (R. B. Randall and J. Antoni, Mech. Syst. Signal Process. 25 (2011) 485).
    """
    n = len(samples)
    step = rate_hz / n
    first, last = round(band_hz[0] / step), round(band_hz[1] / step)
    if not 0 < first < last <= n // 2 or last - first < FEWEST_BINS:
        raise ValueError(
            f"the band {band_hz[0]:g} to {band_hz[1]:g} Hz does not lie between 0 and {rate_hz / 2:g} Hz with at "
            f"least {FEWEST_BINS} bins of {step:g} Hz: choose a wider one"
        )
    points = 2 * (last - first)
    spectrum = np.fft.rfft(samples - samples.mean())[first:last]
    envelope = np.abs(np.fft.ifft(spectrum, points)) * (2 * points / n)
    window = hann(points)
    amplitude = np.abs(np.fft.rfft((envelope - envelope.mean()) * window)) * (2 / window.sum())
    return EnvelopeSpectrum(amplitude, step, (first * step, last * step))
