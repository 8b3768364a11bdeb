"""Plain methods of the examination: what a user would write in an afternoon, on the same windows as the search."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import bench_classical
import exam_minirocket
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edgetune_nas.card import Task
    from edgetune_signal.datasets.load import Dataset

    Array = NDArray[np.float64]
    Predict = Callable[[NDArray[np.float32]], NDArray[np.integer]]

MINIROCKET = "MiniRocket + ridge"
BANDS, FEW_BANDS, LONG_WINDOW = 48, 8, 256
POWER_FLOOR: dict[Task, float] = {"fault": 4e-6, "sign": 1e-2}
"""Share of the mean power that is added before the logarithm: silence shall not be a feature."""
TINY = 1e-6


@dataclass(frozen=True)
class Method:
    """A plain method: fits and returns its prediction and its size in coefficients or nodes.

    ``yardstick`` is whether the search is measured by it; the others are shown beside.
    """

    name: str
    fit: Callable[[Dataset, Task, int], tuple[Predict, int]]
    tasks: tuple[Task, ...] = ("fault", "sign")
    yardstick: bool = True
    needs: str | None = None

    @property
    def available(self) -> bool:
        """Whether what it needs is installed."""
        return self.needs is None or find_spec(self.needs) is not None


def ledoit_wolf(residual: Array) -> Array:
    """Shrunk covariance of centred residuals (Ledoit and Wolf, J. Multivariate Anal. 88 (2004) 365)."""
    n, d = residual.shape
    sample = residual.T @ residual / n
    level = np.trace(sample) / d
    spread = (sample**2).sum() / d - level**2
    noise = (((residual**2).sum(1) ** 2).mean() - (sample**2).sum()) / (n * d)
    share = 1.0 if spread <= 0 else float(np.clip(noise / spread, 0, 1))
    return (1 - share) * sample + (share + TINY) * level * np.eye(d)


def discriminant(
    features: Callable[[NDArray[np.float32]], Array],
    data: Dataset,
    *,
    centre: NDArray[np.integer] | None = None,
    shrink: bool = True,
) -> tuple[Predict, int]:
    """Fit a linear discriminant with equal priors; of several ``centre`` of a class the nearest counts."""
    found = features(data.x)
    shift, scale = found.mean(0), found.std(0) + 1e-9
    rows, at = np.unique(data.label if centre is None else centre, return_inverse=True)
    z = (found - shift) / scale
    mean = np.stack([z[at == row].mean(0) for row in range(len(rows))])
    within = z - mean[at]
    plain = within.T @ within / len(within) + TINY * np.eye(z.shape[1])
    weights = np.linalg.solve(ledoit_wolf(within) if shrink else plain, mean.T)
    bias = -0.5 * (weights * mean.T).sum(0)
    of = np.array([data.label[at == row][0] for row in range(len(rows))])
    return lambda x: of[((features(x) - shift) / scale @ weights + bias).argmax(1)], weights.size + bias.size


def band_levels(data: Dataset, task: Task) -> Callable[[NDArray[np.float32]], Array]:
    """Logarithms of the energies of equal bands of each channel, the constant part left out."""
    bands = BANDS if data.length >= LONG_WINDOW else FEW_BANDS

    def energies(x: NDArray[np.float32]) -> Array:
        centred = x.astype(np.float64) - x.mean(axis=2, keepdims=True)
        power = np.abs(np.fft.rfft(centred * np.hanning(x.shape[2]), axis=2))[:, :, 1:] ** 2
        return np.concatenate([band.mean(axis=2) for band in np.array_split(power, bands, axis=2)], axis=1)

    floor = POWER_FLOOR[task] * energies(data.x).mean()
    return lambda x: np.log(energies(x) + floor)


def _bands(data: Dataset, task: Task, _: int, *, by_recording: bool) -> tuple[Predict, int]:
    pairs = np.unique(np.stack([data.label, data.group]), axis=1, return_inverse=True)[1].reshape(-1)
    if not by_recording or pairs.max() + 1 == len(data):  # recordings of one window have no spread
        return discriminant(band_levels(data, task), data)
    return discriminant(band_levels(data, task), data, centre=pairs)


def log_covariance(x: NDArray[np.float32]) -> Array:
    """Upper half of the matrix logarithm of the channels' covariance, and of that of their first differences."""
    found = []
    for signal in (x, np.diff(x, axis=2)):
        centred = signal.astype(np.float64) - signal.mean(axis=2, keepdims=True)
        covariance = centred @ centred.transpose(0, 2, 1) / centred.shape[2]
        level = np.trace(covariance, axis1=1, axis2=2)[:, None, None] / x.shape[1]
        values, vectors = np.linalg.eigh(covariance + (0.01 * level + TINY) * np.eye(x.shape[1]))
        logarithm = (vectors * np.log(values)[:, None, :]) @ vectors.transpose(0, 2, 1)
        row, column = np.triu_indices(x.shape[1])
        found.append(logarithm[:, row, column] * np.where(row == column, 1.0, 2**0.5))
    return np.concatenate(found, axis=1)


def htd(x: NDArray[np.float32]) -> Array:
    """Hudgins' features as LibEMG has them: mean absolute value, zero crossings, slope changes, waveform length."""
    x = x.astype(np.float64)
    step = np.diff(x, axis=2)
    crossings = (x[:, :, 1:] * x[:, :, :-1] < 0).sum(axis=2)
    turns = (step[:, :, 1:] * step[:, :, :-1] < 0).sum(axis=2)
    return np.concatenate([np.abs(x).mean(axis=2), crossings, turns, np.abs(step).sum(axis=2)], axis=1)


def ls4(x: NDArray[np.float32]) -> Array:
    """LibEMG's low-sampling set: L-scale, maximum fractal length, mean square root, Willison amplitude."""
    x = x.astype(np.float64)
    n = x.shape[2]
    ordered = np.sort(x, axis=2)
    scale = 2 * (ordered * np.arange(n)).sum(axis=2) / (n * (n - 1)) - ordered.mean(axis=2)
    step = np.diff(x, axis=2)
    length = np.log10(np.sqrt((step**2).sum(axis=2)) + TINY)
    return np.concatenate([scale, length, np.sqrt(np.abs(x)).mean(axis=2), (np.abs(step) > 0.002).sum(axis=2)], axis=1)


def _forest(data: Dataset, task: Task, seed: int) -> tuple[Predict, int]:
    predict, size = bench_classical.forest(data, task, seed)
    return predict, int(size.split()[0])


def _plain(
    features: Callable[[NDArray[np.float32]], Array], data: Dataset, _task: Task, _seed: int, **options: Any
) -> tuple[Predict, int]:
    return discriminant(features, data, **options)


def _minirocket(data: Dataset, _task: Task, seed: int) -> tuple[Predict, int]:
    return exam_minirocket.fit(data.x, data.label, seed)


METHODS = (
    Method("bands + LDA", partial(_bands, by_recording=False)),
    Method("bands + LDA, a centre a recording", partial(_bands, by_recording=True)),
    Method("features + forest", _forest, needs="sklearn"),
    Method("log-covariance + LDA", partial(_plain, log_covariance), ("sign",)),
    Method(MINIROCKET, _minirocket, yardstick=False),
    Method("HTD + LDA", partial(_plain, htd, shrink=False), ("sign",), yardstick=False),
    Method("LS4 + LDA", partial(_plain, ls4, shrink=False), ("sign",), yardstick=False),
)
BY_NAME = {method.name: method for method in METHODS}
