"""What a user would pick instead of a network search: MiniRocket with ridge regression, and a forest on features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edgetune_nas.card import Task
    from edgetune_signal.datasets.load import Dataset

KERNELS = 10_000
TREES = 300
BANDS = 24
SEGMENTS = 8
NATS = 1e-6


def minirocket(data: Dataset, seed: int) -> tuple[Callable[[NDArray[np.float32]], NDArray[np.int64]], str]:
    """Fit MiniRocket (Dempster et al., KDD 2021) with cross-validated ridge regression, from aeon."""
    from aeon.classification.convolution_based import MiniRocketClassifier

    model = MiniRocketClassifier(n_kernels=KERNELS, random_state=seed, n_jobs=1)
    model.fit(data.x.astype(np.float32), data.label)
    size = int(np.size(model.pipeline_[-1].coef_))
    return lambda x: np.asarray(model.predict(x.astype(np.float32)), np.int64), f"{size} coefficients"


def forest(data: Dataset, task: Task, seed: int) -> tuple[Callable[[NDArray[np.float32]], NDArray[np.int64]], str]:
    """Fit a random forest on the features that textbooks list for the signal."""
    from sklearn.ensemble import RandomForestClassifier

    features = vibration_features if task == "fault" else muscle_features
    model = RandomForestClassifier(TREES, random_state=seed, n_jobs=1, class_weight="balanced")
    model.fit(features(data.x), data.label)
    nodes = sum(tree.tree_.node_count for tree in model.estimators_)
    return lambda x: np.asarray(model.predict(features(x)), np.int64), f"{nodes} nodes"


def vibration_features(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Level, shape and logarithmic band energies of each channel: ``(windows, features)``."""
    centred = x.astype(np.float64) - x.mean(axis=2, keepdims=True)
    level = np.sqrt((centred**2).mean(axis=2)) + NATS
    mean = np.abs(centred).mean(axis=2) + NATS
    peak = np.abs(centred).max(axis=2)
    unit = centred / level[:, :, None]
    power = np.abs(np.fft.rfft(centred * np.hanning(x.shape[2]), axis=2)) ** 2
    bands = [band.mean(axis=2) for band in np.array_split(power, min(BANDS, power.shape[2]), axis=2)]
    shape = [np.log(level), peak / level, peak / mean, level / mean, (unit**3).mean(axis=2), (unit**4).mean(axis=2)]
    return np.concatenate([*shape, *(np.log(band + NATS) for band in bands)], axis=1)


def muscle_features(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Hudgins' set (IEEE Trans. Biomed. Eng. 40 (1993) 82) in eight segments of each channel: ``(windows, features)``.

    Mean absolute value, waveform length, zero crossings, slope sign changes; and the root mean square.
    """
    found = []
    for part in np.array_split(x.astype(np.float64), SEGMENTS, axis=2):
        step = np.diff(part, axis=2)
        found += [
            np.abs(part).mean(axis=2),
            np.sqrt((part**2).mean(axis=2)),
            np.abs(step).mean(axis=2),
            (part[:, :, 1:] * part[:, :, :-1] < 0).mean(axis=2),
            (step[:, :, 1:] * step[:, :, :-1] < 0).mean(axis=2),
        ]
    return np.concatenate(found, axis=1)
