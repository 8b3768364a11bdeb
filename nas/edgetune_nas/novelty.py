"""How far a window lies from everything that a network was trained on, so that the unknown is called unknown."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from edgetune_nas.errors import BundleError
from edgetune_nas.portions import portions
from edgetune_signal.errors import RecordingError
from edgetune_signal.npz import open_npz

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOVELTY: Final = "novelty.npz"
BANDS, RHYTHMS, SHAPES, MOST_FEATURES = 24, 13, 2, 120
"""Bands of the spectrum, bands of the envelope's spectrum and figures of the shape, a channel; fewer bands where there
are many channels."""
HIGHEST_RHYTHM: Final = 0.4
"""The envelope is looked at up to this part of half the rate: above it is the carrier's own double."""
SHRINKAGE: Final = 0.1
OWN_SPREAD: Final = 3
"""A class needs this many windows a feature for its own spread to count as much as that of all classes together."""
QUANTILE, MARGIN = 0.9, 1.75
"""The limit is this quantile of the validation windows' distances, times a margin for other loads and speeds."""
LEAST_LIMIT: Final = 1e-9
"""No limit is lower: distances are told in multiples of it, and these must stay finite numbers."""
SILENCE: Final = 1e-30
QUIET_RHYTHM: Final = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Novelty:
    """Distance to a class, in standard deviations within that class.

    Attributes
    ----------
    edges, rhythm_edges
        First bin of each band of the spectrum, and of the envelope's, and the end of the last; ``(bands + 1,)``.
    labels
        Index of each class among the model's, ``int64 (classes,)``, rising.
    centres
        Mean features of each class, ``float32 (classes, features)``.
    whitenings
        ``float32 (classes, features, features)``; makes the spread of a class one in every direction.
    limit
        Windows farther away are unknown.
    """

    edges: NDArray[np.int64]
    rhythm_edges: NDArray[np.int64]
    labels: NDArray[np.int64]
    centres: NDArray[np.float32]
    whitenings: NDArray[np.float32]
    limit: float

    def distances(self, x: NDArray[np.float32], said: NDArray[np.integer] | None = None) -> NDArray[np.float64]:
        """Mahalanobis distance of windows to the class that each is said to be, or to the nearest, ``(windows,)``.

        Parameters
        ----------
        x
            ``(windows, channels, length)``.
        said
            ``(windows,)``, indices of classes; of one that had no training windows the nearest class counts.
        """
        found = features(x, self.edges, self.rhythm_edges)
        if said is None:
            return self._nearest(found)
        places = np.minimum(np.searchsorted(self.labels, said), len(self.labels) - 1)
        trained = self.labels[places] == said
        result = np.empty(len(x))
        for place in set(places[trained].tolist()):
            mine = trained & (places == place)
            result[mine] = self._apart(found[mine], place)
        if not trained.all():
            result[~trained] = self._nearest(found[~trained])
        return result

    def _nearest(self, found: NDArray[np.float64]) -> NDArray[np.float64]:
        apart = np.array([self._apart(found, place) for place in range(len(self.labels))])
        nearest: NDArray[np.float64] = apart.min(axis=0)
        return nearest

    def _apart(self, found: NDArray[np.float64], place: int) -> NDArray[np.float64]:
        distance: NDArray[np.float64] = np.linalg.norm((found - self.centres[place]) @ self.whitenings[place], axis=1)
        return distance

    def unknown(self, x: NDArray[np.float32], said: NDArray[np.integer] | None = None) -> NDArray[np.bool_]:
        """Tell which windows are unlike the class that each is said to be, or unlike all, ``(windows,)``."""
        return self.distances(x, said) > self.limit

    def to_bytes(self) -> bytes:
        """Give the file of a bundle."""
        file = io.BytesIO()
        np.savez(
            file,
            edges=self.edges,
            rhythm_edges=self.rhythm_edges,
            labels=self.labels,
            centres=self.centres,
            whitenings=self.whitenings,
            limit=np.float64(self.limit),
        )
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, channels: int, length: int, classes: int) -> Novelty:
        """Read the file of a bundle of so many classes and windows so shaped; `BundleError` where it is none."""
        names = ("edges", "rhythm_edges", "labels", "centres", "whitenings")
        try:
            with open_npz(Path(NOVELTY), data) as file:
                file.require(*names, "limit")
                edges, rhythm_edges, labels, centres, whitenings = (
                    file.array(name, max_bytes=len(data)) for name in names
                )
                limit = file.number("limit")
        except RecordingError as error:
            raise BundleError(f"{error}; restore the bundle or search again") from error
        size = channels * (edges.size + rhythm_edges.size - 2 + SHAPES)
        fits = (
            all(_rising(each, length // 2 + 1) and each.size > 1 for each in (edges, rhythm_edges))
            and _rising(labels, classes - 1)
            and centres.shape[1:] == (size,)
            and len(centres) == len(labels)
            and whitenings.shape == (len(centres), size, size)
            and all(each.dtype == np.float32 and np.isfinite(each).all() for each in (centres, whitenings))
            and LEAST_LIMIT < limit < float("inf")
        )
        if not fits:
            raise BundleError(
                f"{NOVELTY} does not fit {classes} classes of windows of {channels} channels and {length} samples"
            )
        return cls(edges, rhythm_edges, labels, centres, whitenings, limit)


def fit_novelty(x: NDArray[np.float32], label: NDArray[np.integer], validation: NDArray[np.float32]) -> Novelty:
    """Learn where known windows lie.

    Parameters
    ----------
    x, label
        Training windows ``(windows, channels, length)`` and their classes ``(windows,)``.
    validation
        Other windows of the same classes, at least one, which set the limit.

    Notes
    -----
    Mahalanobis distance to the nearest class mean (Lee et al., 2018, "A simple unified framework for detecting
    out-of-distribution samples"), here of figures of the signal and not of a network's features. Each class has a
    covariance of its own, drawn towards that of all classes the fewer windows it has (Friedman, 1989, "Regularized
    discriminant analysis"), and towards a multiple of the identity with a fixed weight.
    """
    bins, channels = x.shape[2] // 2 + 1, x.shape[1]
    share = min(1.0, MOST_FEATURES / (channels * (BANDS + RHYTHMS + SHAPES)))
    bands = max(1, min(int(share * BANDS), bins - 1))
    edges = np.unique(np.linspace(1, bins, bands + 1).astype(np.int64))
    highest = max(2, int(HIGHEST_RHYTHM * bins))
    rhythm_edges = np.unique(np.geomspace(1, highest, max(1, int(share * RHYTHMS)) + 1).astype(np.int64))
    known = features(x, edges, rhythm_edges)
    classes, index = np.unique(label, return_inverse=True)
    centres = np.array([known[index == at].mean(axis=0) for at in range(len(classes))])
    spread = known - centres[index]
    together = spread.T @ spread / len(spread)
    whitenings = []
    for at in range(len(classes)):
        own = spread[index == at]
        weight = len(own) / (len(own) + OWN_SPREAD * known.shape[1])
        whitenings.append(_whitening(weight * (own.T @ own) / len(own) + (1 - weight) * together))
    fitted = (
        edges,
        rhythm_edges,
        classes.astype(np.int64),
        centres.astype(np.float32),
        np.array(whitenings, np.float32),
    )
    within = Novelty(*fitted, limit=1.0).distances(validation)
    return Novelty(*fitted, limit=MARGIN * float(np.quantile(within, QUANTILE)))


def features(x: NDArray[np.float32], edges: NDArray[np.int64], rhythm_edges: NDArray[np.int64]) -> NDArray[np.float64]:
    """Describe windows ``(windows, channels, length)`` by figures ``(windows, features)``, each without their mean.

    Per channel: log of the mean power in each band; of the rectified signal over its mean, log of the mean power in
    each band (the rhythm of impacts, whatever their strength); log of kurtosis and of crest factor.
    """
    return np.concatenate([_features(portion, edges, rhythm_edges) for portion in portions(x)])


def _features(x: NDArray[np.float32], edges: NDArray[np.int64], rhythm_edges: NDArray[np.int64]) -> NDArray[np.float64]:
    wide = x.astype(np.float64)
    wide -= wide.mean(axis=2, keepdims=True)
    rectified = np.abs(wide)
    beat = rectified / (rectified.mean(axis=2, keepdims=True) + SILENCE)
    square = wide * wide
    power = square.mean(axis=2) + SILENCE
    kurtosis = (square * square).mean(axis=2) / (power * power)
    crest = rectified.max(axis=2) / np.sqrt(power)
    parts = [
        np.log(_levels(wide, edges) + SILENCE),
        np.log(_levels(beat - beat.mean(axis=2, keepdims=True), rhythm_edges) + QUIET_RHYTHM),
        np.log(np.stack([kurtosis, crest], axis=2) + SILENCE),
    ]
    result: NDArray[np.float64] = np.concatenate(parts, axis=2).reshape(len(x), -1)
    return result


def _levels(wide: NDArray[np.float64], edges: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean power in each band of signals ``(windows, channels, length)``, ``(windows, channels, bands)``."""
    power = np.abs(np.fft.rfft(wide * _hann(wide.shape[2]))) ** 2
    result: NDArray[np.float64] = np.add.reduceat(power[:, :, : edges[-1]], edges[:-1], axis=2) / np.diff(edges)
    return result


@lru_cache(maxsize=8)
def _hann(length: int) -> NDArray[np.float64]:
    result: NDArray[np.float64] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    return result


def _whitening(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    size = len(covariance)
    mean = max(float(np.trace(covariance)) / size, np.finfo(np.float64).eps)
    return np.linalg.inv(np.linalg.cholesky((1 - SHRINKAGE) * covariance + SHRINKAGE * mean * np.eye(size))).T


def _rising(values: NDArray[np.generic], last: int) -> bool:
    """Whether an array is a list of rising indices from 0 to ``last``."""
    if values.ndim != 1 or not values.size or values.dtype != np.int64:
        return False
    whole = values.astype(np.int64)
    return bool(whole[0] >= 0 and whole[-1] <= last and (np.diff(whole) > 0).all())
