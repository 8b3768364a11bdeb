"""Features of surface EMG, one value a channel, as the literature on muscle signals defines them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgetune_signal.stream import window_quality

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgetune_signal.stream import Samples

    Floats = NDArray[np.float64]

ENVELOPE_S = 0.05
"""Length of the moving average behind an envelope: the longest of those that Hodges and Bui compared."""
SHORTEST = 2
"""Samples below which a signal has no spread."""


@dataclass(frozen=True, slots=True)
class EmgFeatures:
    """Features of a stretch of surface EMG, one value per channel.

    Attributes
    ----------
    rms, mean_absolute, envelope
        In ``unit``, of the signal without its mean; ``envelope`` is the largest value of `envelope`.
    waveform_length
        Length of the curve per second, in ``unit`` per second.
    zero_crossings
        Per second.
    median_frequency_hz
        Half of the power lies below; ``nan`` where there is no power.
    unit
        Unit of the samples.
    seconds
        Length of the stretch.
    quality
        As `edgetune_signal.stream.window_quality` names it. With ``nan`` the values of that channel are ``nan``.
    """

    rms: tuple[float, ...]
    mean_absolute: tuple[float, ...]
    envelope: tuple[float, ...]
    waveform_length: tuple[float, ...]
    zero_crossings: tuple[float, ...]
    median_frequency_hz: tuple[float, ...]
    unit: str
    seconds: float
    quality: tuple[str, ...]


def emg_features(samples: Samples, unit: str, rate_hz: float) -> EmgFeatures:
    r"""Compute the features of a stretch of surface EMG.

    Parameters
    ----------
    samples
        ``(channels, n)`` in ``unit``, at least two samples.
    unit
        Unit of the samples.
    rate_hz
        Samples per second and channel.

    Raises
    ------
    ValueError
        There are fewer than two samples.

    Notes
    -----
    With :math:`x_i` the n samples of a channel without their mean, in double precision, over :math:`T = n / f_s`
    seconds:

    - RMS :math:`\sqrt{\overline{x^2}}` and mean absolute value :math:`\overline{|x|}`: A. Phinyomark,
      P. Phukpattaranont and C. Limsakul, *Feature reduction and selection for EMG signal classification*, Expert
      Systems with Applications 39 (2012) 7420. Of a Gaussian the second is :math:`\sqrt{2/\pi}` times the first.
    - Waveform length :math:`\sum |x_{i+1} - x_i|` and zero crossings, the changes of sign: B. Hudgins, P. Parker and
      R. N. Scott, *A new strategy for multifunction myoelectric control*, IEEE Trans. Biomed. Eng. 40 (1993) 82. Both
      are divided by T, so that stretches of different lengths compare; their threshold for crossings, which would need
      the sensor's noise, is 0.
    - Median frequency, where half of the periodogram's power lies below, interpolated within its bin:
      F. B. Stulen and C. J. De Luca, *Frequency parameters of the myoelectric signal as a measure of muscle conduction
      velocity*, IEEE Trans. Biomed. Eng. 28 (1981) 515.
    """
    count = samples.shape[1]
    if count < SHORTEST:
        raise ValueError(f"features of EMG need at least {SHORTEST} samples, not {count}")
    seconds = count / rate_hz
    wide = samples.astype(np.float64)
    with np.errstate(invalid="ignore"):  # a broken channel gives nan, and a quality flag
        centred = wide - wide.mean(axis=1, keepdims=True)
        rms = np.sqrt((centred * centred).mean(axis=1))
        steps = np.abs(np.diff(centred, axis=1))
        crossings = ((centred[:, 1:] < 0) != (centred[:, :-1] < 0)).sum(axis=1).astype(np.float64)
        crossings[np.isnan(rms)] = np.nan
        values = {
            "rms": rms,
            "mean_absolute": np.abs(centred).mean(axis=1),
            "envelope": envelope(centred, rate_hz).max(axis=1),
            "waveform_length": steps.sum(axis=1) / seconds,
            "zero_crossings": crossings / seconds,
            "median_frequency_hz": median_frequency(centred, rate_hz),
        }
    return EmgFeatures(
        **{name: tuple(value.tolist()) for name, value in values.items()},
        unit=unit,
        seconds=seconds,
        quality=window_quality(samples, None),
    )


def envelope(samples: Samples | Floats, rate_hz: float) -> Floats:
    """Rectify and average over `ENVELOPE_S` around each sample; fewer samples at the edges.

    Parameters
    ----------
    samples
        ``(channels, n)``, without offset.
    rate_hz
        Samples per second and channel.

    Returns
    -------
    NDArray
        ``float64 (channels, n)``, in the unit of the samples.

    Notes
    -----
    The linear envelope of surface EMG (R. Merletti, *Standards for reporting EMG data*, J. Electromyogr. Kinesiol. 9
    (1999) III), with a moving average as its low-pass, which delays nothing.
    """
    count = samples.shape[1]
    length = max(1, round(ENVELOPE_S * rate_hz))
    total = np.zeros((samples.shape[0], count + 1))
    np.cumsum(np.abs(samples), axis=1, out=total[:, 1:])
    middle = np.arange(count)
    low = np.maximum(0, middle - length // 2)
    high = np.minimum(count, middle - length // 2 + length)
    mean: Floats = (total[:, high] - total[:, low]) / (high - low)
    return mean


def median_frequency(samples: Floats, rate_hz: float) -> Floats:
    """Frequency below which half of each channel's power lies, ``(channels,)`` in Hz; ``nan`` without power."""
    count = samples.shape[1]
    power = np.abs(np.fft.rfft(samples, axis=1)) ** 2
    power[:, 0] = 0
    if count % 2 == 0:
        power[:, -1] /= 2
    below = np.cumsum(power, axis=1)
    half = below[:, -1:] / 2
    found: Floats = np.full(len(samples), np.nan)
    alive = np.flatnonzero(half[:, 0] > 0)
    at = (below[alive] < half[alive]).sum(axis=1)
    inside = (half[alive, 0] - (below[alive, at] - power[alive, at])) / power[alive, at]
    found[alive] = np.clip(at - 0.5 + inside, 0, count / 2) * rate_hz / count
    return found
