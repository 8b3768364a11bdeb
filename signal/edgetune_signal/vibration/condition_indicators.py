"""Condition indicators of a vibration signal over a buffer of its own, longer than a classifier's window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgetune_signal.stream import Continuity, Ring, window_quality

if TYPE_CHECKING:
    from edgetune_signal.stream import Chunk, Samples, StreamSpec


@dataclass(frozen=True, slots=True)
class Indicators:
    """Condition indicators, one value per channel.

    Attributes
    ----------
    rms, peak
        In ``unit``, of the signal without its mean.
    crest_factor, kurtosis
        Without unit; ``nan`` where the channel is constant. The kurtosis is Pearson's: 3 for a Gaussian.
    unit
        Unit of ``rms`` and ``peak``.
    seconds
        Length of the signal they were computed from.
    quality
        As `edgetune_signal.stream.window_quality` names it. With ``nan`` the values of that channel are ``nan``.
    """

    rms: tuple[float, ...]
    peak: tuple[float, ...]
    crest_factor: tuple[float, ...]
    kurtosis: tuple[float, ...]
    unit: str
    seconds: float
    quality: tuple[str, ...]


def indicators(samples: Samples, unit: str, rate_hz: float) -> Indicators:
    r"""Compute the condition indicators of a signal.

    Parameters
    ----------
    samples
        ``(channels, n)`` in ``unit``.
    unit
        Unit of the samples.
    rate_hz
        Samples per second and channel.

    Notes
    -----
    With :math:`x` the samples without their mean, over n samples and in double precision:

    - RMS :math:`\sqrt{\overline{x^2}}`, peak :math:`\max|x|` and crest factor peak / RMS: R. B. Randall,
      *Vibration-based Condition Monitoring*, Wiley 2011.
    - Kurtosis :math:`\overline{x^4} / \overline{x^2}^2` (Pearson, population moments): D. Dyer and R. M. Stewart,
      *Detection of rolling element bearing damage by statistical vibration analysis*, J. Mech. Design 100 (1978) 229.
    """
    wide = samples.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):  # a constant or broken channel gives nan, and a quality flag
        centred = wide - wide.mean(axis=1, keepdims=True)
        square = centred * centred
        power = square.mean(axis=1)
        rms = np.sqrt(power)
        peak = np.abs(centred).max(axis=1)
        crest = peak / rms
        kurtosis = (square * square).mean(axis=1) / (power * power)
    return Indicators(
        rms=tuple(rms.tolist()),
        peak=tuple(peak.tolist()),
        crest_factor=tuple(crest.tolist()),
        kurtosis=tuple(kurtosis.tolist()),
        unit=unit,
        seconds=samples.shape[1] / rate_hz,
        quality=window_quality(samples, None),
    )


class IndicatorBuffer:
    """Keep the last ``seconds`` of a stream and compute its indicators on demand.

    Parameters
    ----------
    spec
        The stream's channels, rate and unit.
    seconds
        Length of the buffer.

    Raises
    ------
    ValueError
        The buffer would hold fewer than two samples.
    """

    def __init__(self, spec: StreamSpec, seconds: float = 1.0) -> None:
        length = round(seconds * spec.rate_hz)
        if length < 2:  # noqa: PLR2004 - one sample has no spread
            raise ValueError(f"{seconds} s at {spec.rate_hz} Hz is fewer than two samples: make the buffer longer")
        self._spec = spec
        self._ring = Ring(spec.channels, length)
        self._continuity = Continuity(spec.channels)

    def push(self, chunk: Chunk) -> None:
        """Take the next chunk; a gap before it empties the buffer.

        Raises
        ------
        SourceError
            The chunk has another number of channels.
        """
        if self._continuity.broken_by(chunk):
            self._ring.clear()
        self._ring.write(chunk.samples)

    def samples(self) -> Samples | None:
        """Return the last ``seconds``, ``(channels, n)``, or None until that much came without a gap."""
        return self._ring.latest() if self._ring.full else None

    def value(self) -> Indicators | None:
        """Return the indicators of the last ``seconds``, or None until that much came without a gap."""
        samples = self.samples()
        return None if samples is None else indicators(samples, self._spec.unit, self._spec.rate_hz)
