"""Features for novelty detection: of vibration its spectra, of muscle signals their levels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from edgetune_nas.usage import batches
from edgetune_signal.vibration import hann

if TYPE_CHECKING:
    from numpy.typing import NDArray

BANDS, RHYTHMS, SHAPES, MOST_FEATURES = 24, 13, 2, 120
"""Bands of the spectrum, bands of the envelope's spectrum and figures of the shape, a channel; fewer bands where there
are many channels."""
HIGHEST_RHYTHM: Final = 0.4
"""Highest frequency of the envelope's spectrum, as a share of half the rate; above it is the carrier's own double."""
FLOOR: Final = 1e-4
"""Of the mean level of a window's spectrum: what lies 40 dB under it in a band says what the sensor's noise and
anti-alias filter are like, and nothing of the machine."""
SPECTRA_BYTES: Final = 1 << 17
"""Bytes of windows whose spectra are computed at a time: it takes some twenty times as many."""
SILENCE: Final = 1e-30
QUIET_RHYTHM: Final = 1e-12
QUIET_QUANTILE, QUIET_SHARE = 0.05, 0.5
"""Quiet level of a channel: this quantile of its levels, times this share."""


@dataclass(frozen=True, slots=True, eq=False)
class BandLevels:
    """Of vibration, per channel: levels in bands of the spectrum and of the envelope's, kurtosis and crest factor.

    Attributes
    ----------
    edges, rhythm_edges
        First bin of each band of the spectrum, and of the envelope's, and the end of the last; ``(bands + 1,)``.
    floor
        Part of the mean level that is added to the level of every band of the spectrum; 0 in bundles that do not say.
    """

    NAMES: ClassVar = ("edges", "rhythm_edges")
    edges: NDArray[np.int64]
    rhythm_edges: NDArray[np.int64]
    floor: float = 0.0

    @classmethod
    def fit(cls, x: NDArray[np.float32]) -> BandLevels:
        """Choose bands for windows ``(windows, channels, length)``."""
        bins, channels = x.shape[2] // 2 + 1, x.shape[1]
        share = min(1.0, MOST_FEATURES / (channels * (BANDS + RHYTHMS + SHAPES)))
        bands = max(1, min(int(share * BANDS), bins - 1))
        highest = max(2, int(HIGHEST_RHYTHM * bins))
        return cls(
            np.unique(np.linspace(1, bins, bands + 1).astype(np.int64)),
            np.unique(np.geomspace(1, highest, max(1, int(share * RHYTHMS)) + 1).astype(np.int64)),
            FLOOR,
        )

    def fits(self, length: int) -> bool:
        """Return whether windows of ``length`` samples have such bands."""
        bands = all(rising(each, length // 2 + 1) and each.size > 1 for each in (self.edges, self.rhythm_edges))
        return bands and 0 <= self.floor < 1

    def size(self, channels: int) -> int:
        """Return the number of features of windows with ``channels`` channels."""
        return channels * (self.edges.size + self.rhythm_edges.size - 2 + SHAPES)

    def of(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Describe windows ``(windows, channels, length)`` by figures ``(windows, features)``, each without their mean.

        Per channel: log of the mean power in each band; of the rectified signal over its mean, log of the mean power in
        each band (the rhythm of impacts, whatever their strength); log of kurtosis and of crest factor.
        """
        return np.concatenate([self._of(batch) for batch in batches(x, SPECTRA_BYTES)])

    def _of(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        wide = x.astype(np.float64)
        wide -= wide.mean(axis=2, keepdims=True)
        rectified = np.abs(wide)
        beat = rectified / (rectified.mean(axis=2, keepdims=True) + SILENCE)
        square = wide * wide
        power = square.mean(axis=2) + SILENCE
        kurtosis = (square * square).mean(axis=2) / (power * power)
        crest = rectified.max(axis=2) / np.sqrt(power)
        levels = _powers(wide, self.edges)
        levels += self.floor * np.average(levels, axis=2, weights=np.diff(self.edges), keepdims=True)
        parts = [
            np.log(levels + SILENCE),
            np.log(_powers(beat - beat.mean(axis=2, keepdims=True), self.rhythm_edges) + QUIET_RHYTHM),
            np.log(np.stack([kurtosis, crest], axis=2) + SILENCE),
        ]
        result: NDArray[np.float64] = np.concatenate(parts, axis=2).reshape(len(x), -1)
        return result


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """Of muscles, per channel: log of the mean absolute value; which muscles work, and how hard.

    Attributes
    ----------
    quiet
        Level of each channel under which differences mean nothing, ``float64 (channels,)``; it is added to the level.
    """

    NAMES: ClassVar = ("quiet",)
    quiet: NDArray[np.float64]

    @classmethod
    def fit(cls, x: NDArray[np.float32]) -> Levels:
        """Learn what is quiet from windows ``(windows, channels, length)``."""
        return cls(QUIET_SHARE * np.quantile(_mean_absolute(x), QUIET_QUANTILE, axis=0) + SILENCE)

    def fits(self, length: int) -> bool:
        """Return whether the levels are numbers above zero; windows of any ``length`` have some."""
        numbers = self.quiet.dtype == np.float64 and self.quiet.ndim == 1
        return length > 0 and numbers and bool(np.isfinite(self.quiet).all() and (self.quiet > 0).all())

    def size(self, channels: int) -> int:
        """Return the number of features of windows with ``channels`` channels; -1 if others were learned."""
        return channels if self.quiet.size == channels else -1

    def of(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Describe windows ``(windows, channels, length)`` by the levels of their swing, ``(windows, channels)``."""
        return np.log(_mean_absolute(x) + self.quiet)


def _mean_absolute(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean absolute value of each channel without its mean, ``(windows, channels)``."""
    found = []
    for batch in batches(x):
        wide = batch.astype(np.float64)
        found.append(np.abs(wide - wide.mean(axis=2, keepdims=True)).mean(axis=2))
    return np.concatenate(found)


def _powers(wide: NDArray[np.float64], edges: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean power in each band of signals ``(windows, channels, length)``, ``(windows, channels, bands)``."""
    power = np.abs(np.fft.rfft(wide * _hann(wide.shape[2]))) ** 2
    result: NDArray[np.float64] = np.add.reduceat(power[:, :, : edges[-1]], edges[:-1], axis=2) / np.diff(edges)
    return result


_hann = lru_cache(maxsize=8)(hann)


def rising(values: NDArray[np.generic], last: int, *, strictly: bool = True) -> bool:
    """Return whether an array is a list of rising indices from 0 to ``last``; some may be equal unless ``strictly``."""
    if values.ndim != 1 or not values.size or values.dtype != np.int64:
        return False
    whole = values.astype(np.int64)
    return bool(whole[0] >= 0 and whole[-1] <= last and (np.diff(whole) >= int(strictly)).all())
