"""The distance from health: levels of a window, whitened by the spread of healthy ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from edgetune_nas.health.folds import APART
from edgetune_nas.model import Conv, Dense, GlobalPool, Log, Network, fit_frontend, frontend_features, frontend_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgetune_nas.health.shapes import HealthShape
    from edgetune_nas.model import Floats, Layer

LEAST_SPREAD: Final = 5e-3
"""Nepers (0.04 dB) that are added to the spread of a level: that of a dead channel is rounding, which differs from one
program to another. The benchmark's figures are the same without it."""
SHRINKAGE: Final = 0.3
"""Share of the unit matrix in the correlations of levels.

More trusts differences between levels less, as those that were seen seldom. On developers' recordings of CWRU, UESTC,
HIT, a gearbox and motors the same recordings are alarmed and found from 0.05 to 0.7.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Whitening:
    """Centre ``(features,)`` of health, and rows ``(features, features)`` under which its spread is one."""

    centre: NDArray[np.float64]
    rows: NDArray[np.float64]

    def times(self, factor: float) -> Whitening:
        """Return the whitening whose distances are ``factor`` times as large."""
        return Whitening(self.centre, factor * self.rows)

    @classmethod
    def fit(cls, known: NDArray[np.float64], rank: int | None) -> Whitening:
        """Fit to features ``(windows, features)`` of healthy windows.

        Notes
        -----
        With a ``rank``, the correlations are those of probabilistic principal components (Tipping and Bishop, J. R.
        Stat. Soc. B 61 (1999) 611): so many directions with a variance of their own, and one for the others. Else they
        are drawn towards the unit matrix by `SHRINKAGE`.
        """
        centre, spread = known.mean(axis=0), known.std(axis=0) + LEAST_SPREAD
        z = (known - centre) / spread
        correlation = z.T @ z / len(z)
        size = len(correlation)
        if rank is None or rank >= size:
            matrix = (1 - SHRINKAGE) * correlation + SHRINKAGE * np.eye(size)
        else:
            values, vectors = np.linalg.eigh(correlation)
            rest = max(float(values[: size - rank].mean()), 1e-3)
            shared = np.concatenate([np.full(size - rank, rest), np.maximum(values[size - rank :], rest)])
            matrix = (vectors * shared) @ vectors.T
        root = np.linalg.inv(np.linalg.cholesky(matrix))
        return cls(centre, root / spread / np.sqrt(size))

    def distances(self, found: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute the distance ``(windows,)`` of features: root mean square in standard deviations of health."""
        result: NDArray[np.float64] = np.linalg.norm((found - self.centre) @ self.rows.T, axis=1)
        return result


def fitted_levels(shape: HealthShape, x: Floats) -> tuple[tuple[Layer, ...], NDArray[np.float64]]:
    """Fit the offset of the logarithm to healthy windows; return the frontend and the features of ``x``."""
    at = next(index for index, layer in enumerate(shape.frontend) if isinstance(layer, Log))
    fixed, pooled = shape.frontend[: at + 1], shape.frontend[at + 1 :]
    if sum(isinstance(layer, Conv) for layer in fixed) == 1:
        fixed, levels = fit_frontend(fixed, x)
    else:  # gains of the first bank do not belong to the bands of the second
        before = frontend_features(fixed[:-1], x)
        fixed = (*fixed[:-1], replace(Log(1.0), offset=float(2e-3 * before.mean()) or 1.0))
        levels = frontend_features(fixed, x)
    return (*fixed, *pooled), _pooled(pooled, levels)


def features(frontend: tuple[Layer, ...], x: Floats) -> NDArray[np.float64]:
    """Compute the features ``(windows, features)`` of windows."""
    at = next(index for index, layer in enumerate(frontend) if isinstance(layer, Log))
    return _pooled(frontend[at + 1 :], frontend_features(frontend[: at + 1], x))


def crossed(
    found: NDArray[np.float64], block: NDArray[np.int64], rank: int | None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the distance of each window from the windows of other blocks, and which windows these are."""
    indices, distances = [], []
    for number in np.unique(block[block != APART]):
        judged = np.flatnonzero(block == number)
        others = np.flatnonzero((block != number) & (block != APART))
        indices.append(judged)
        distances.append(Whitening.fit(found[others], rank).distances(found[judged]))
    return np.concatenate(distances), np.concatenate(indices)


def health_network(
    input_shape: tuple[int, int], shape: HealthShape, frontend: tuple[Layer, ...], whitening: Whitening
) -> Network:
    """Return the network whose output is the distance."""
    layers = (*frontend, *shape.layers(input_shape)[len(frontend) :])
    dense = {
        "weight": whitening.rows.astype(np.float32),
        "bias": (-whitening.rows @ whitening.centre).astype(np.float32),
    }
    weights = tuple(
        dense if isinstance(layer, Dense) else frontend_weights((layer,))[0] if isinstance(layer, Conv) else {}
        for layer in layers
    )
    return Network(input_shape, layers, weights)


def _pooled(layers: tuple[Layer, ...], levels: Floats) -> NDArray[np.float64]:
    for layer in layers:
        if not isinstance(layer, GlobalPool) or layer.kind != "both":
            raise ValueError(f"{layer} does not stand behind the logarithm of a health model")
        levels = np.concatenate([levels.mean(axis=2), levels.max(axis=2)], axis=1)
    return levels.reshape(len(levels), -1).astype(np.float64)
