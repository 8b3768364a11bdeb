"""How far a window lies from everything that a network was trained on, so that the unknown is called unknown."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from zipfile import BadZipFile

import numpy as np

from edgetune_nas.errors import BundleError

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOVELTY: Final = "novelty.npz"
BANDS, MOST_FEATURES = 24, 96
"""Bands a channel; fewer where there are many channels."""
SHRINKAGE: Final = 0.1
QUANTILE, MARGIN = 0.99, 1.5
"""The limit is this quantile of the validation windows' distances, times a margin for other loads and speeds."""
SILENCE: Final = 1e-30


@dataclass(frozen=True, slots=True, eq=False)
class Novelty:
    """Distance to the nearest class, in standard deviations within classes.

    Attributes
    ----------
    edges
        First bin of each band of the spectrum, and the end of the last; ``(bands + 1,)``.
    centres
        Mean log levels of each class, ``(classes, channels * bands)``.
    whitening
        ``(channels * bands, channels * bands)``; makes the spread within classes one in every direction.
    limit
        Windows farther away are unknown.
    """

    edges: NDArray[np.int64]
    centres: NDArray[np.float64]
    whitening: NDArray[np.float64]
    limit: float

    def distances(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Mahalanobis distance of windows ``(windows, channels, length)`` to the nearest class, ``(windows,)``."""
        white = levels(x, self.edges) @ self.whitening
        centres = self.centres @ self.whitening
        apart = np.array([np.linalg.norm(white - centre, axis=1) for centre in centres])
        nearest: NDArray[np.float64] = apart.min(axis=0)
        return nearest

    def unknown(self, x: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Tell which windows are unlike everything known, ``(windows,)``."""
        return self.distances(x) > self.limit

    def to_bytes(self) -> bytes:
        """Give the file of a bundle."""
        file = io.BytesIO()
        np.savez(file, edges=self.edges, centres=self.centres, whitening=self.whitening, limit=np.float64(self.limit))
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, channels: int, length: int) -> Novelty:
        """Read the file of a bundle whose windows are so shaped; `BundleError` where it is none of them."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                edges, centres, whitening = file["edges"], file["centres"], file["whitening"]
                limit = float(file["limit"])
        except (BadZipFile, OSError, ValueError, KeyError, TypeError, EOFError) as error:
            raise BundleError(f"{NOVELTY} cannot be read ({error}); restore the bundle or search again") from error
        features = channels * (len(edges) - 1) if edges.ndim == 1 else 0
        fits = (
            features > 0
            and edges.dtype.kind == "i"
            and edges[0] >= 0
            and edges[-1] <= length // 2 + 1
            and bool((np.diff(edges) > 0).all())
            and centres.shape[1:] == (features,)
            and len(centres) > 0
            and whitening.shape == (features, features)
            and all(each.dtype == np.float64 and np.isfinite(each).all() for each in (centres, whitening))
            and 0 < limit < float("inf")
        )
        if not fits:
            raise BundleError(f"{NOVELTY} does not fit windows of {channels} channels and {length} samples")
        return cls(edges, centres, whitening, limit)


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
    Mahalanobis distance to the nearest class mean under one covariance for all classes (Lee et al., 2018, "A simple
    unified framework for detecting out-of-distribution samples"), here of log band levels and not of a network's
    features, and shrunk towards a multiple of the identity (Ledoit and Wolf, 2004) with a fixed weight.
    """
    bins, channels = x.shape[2] // 2 + 1, x.shape[1]
    bands = max(1, min(BANDS, MOST_FEATURES // channels, bins - 1))
    edges = np.unique(np.linspace(1, bins, bands + 1).astype(np.int64))
    known = levels(x, edges)
    classes, index = np.unique(label, return_inverse=True)
    centres = np.array([known[index == at].mean(axis=0) for at in range(len(classes))])
    spread = known - centres[index]
    covariance = spread.T @ spread / len(spread)
    size = len(covariance)
    mean = max(float(np.trace(covariance)) / size, np.finfo(np.float64).eps)
    covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * mean * np.eye(size)
    whitening = np.linalg.inv(np.linalg.cholesky(covariance)).T
    within = Novelty(edges, centres, whitening, 1.0).distances(validation)
    return Novelty(edges, centres, whitening, MARGIN * float(np.quantile(within, QUANTILE)))


def levels(x: NDArray[np.float32], edges: NDArray[np.int64]) -> NDArray[np.float64]:
    """Log of the mean power in each band and channel of windows ``(windows, channels, length)``, without their mean."""
    wide = x.astype(np.float64)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(x.shape[2]) / x.shape[2])
    power = np.abs(np.fft.rfft((wide - wide.mean(axis=2, keepdims=True)) * hann)) ** 2
    bands = np.add.reduceat(power[:, :, : edges[-1]], edges[:-1], axis=2) / np.diff(edges)
    result: NDArray[np.float64] = np.log(bands + SILENCE).reshape(len(x), -1)
    return result
