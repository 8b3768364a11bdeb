"""Methods of the health benchmark: each learns healthy windows and returns by how much others are over its limit."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from edgetune_nas.bundle.read import load_bundle
from edgetune_nas.card import Budget
from edgetune_nas.novelty.detector import fit_novelty
from edgetune_nas.search.run import search

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edgetune_nas.card import ModelCard
    from edgetune_signal.datasets.dataset import Dataset

Ratios: TypeAlias = "Callable[[NDArray[np.float32]], NDArray[np.float64]]"
"""Takes windows ``(windows, channels, length)``; more than 1 is unlike health."""
LOG_BANDS = 24
QUANTILE = 0.995
TWICE, ZONE_UP = 2.0, 1.6
"""Multiples of the healthy RMS: a common rule, and the smallest step between two zone limits of ISO 20816-3."""


def edgetune(learn: Dataset) -> tuple[Ratios, ModelCard, float]:
    """Make a health model, written and loaded as a bundle; with its card and the processor seconds that took."""
    with tempfile.TemporaryDirectory(prefix="edgetune-bench-") as folder:
        began = time.process_time()
        done = search(learn, task="fault", budget=Budget(), out=Path(folder))
        took = time.process_time() - began
        novelty = load_bundle(done.bundle).novelty
    if novelty is None:
        raise AssertionError("a health model has a distance")
    return lambda x: novelty.distances(x) / novelty.limit, done.card, took


def rms_rule(learn: Dataset, times: float) -> Ratios:
    """Compare the RMS of a window, its worst channel, with a multiple of the healthy median."""
    usual = np.median(_rms(learn.x), axis=0)
    return lambda x: (_rms(x) / (times * usual)).max(axis=1)


def log_bands(learn: Dataset) -> Ratios:
    """Mahalanobis distance of log band levels, its limit a high quantile of the windows that were learned."""
    known = _bands(learn.x)
    centre = known.mean(axis=0)
    covariance = np.cov(known.T) + 1e-6 * np.eye(known.shape[1])
    root = np.linalg.inv(np.linalg.cholesky(covariance))

    def distances(x: NDArray[np.float32]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = np.linalg.norm((_bands(x) - centre) @ root.T, axis=1)
        return found

    limit = float(np.quantile(distances(learn.x), QUANTILE))
    return lambda x: distances(x) / limit


def side_file(learn: Dataset) -> Ratios:
    """Return the detector that bundles of class models have, fitted to health alone."""
    at = int(0.8 * len(learn))
    novelty = fit_novelty(learn.x[:at], learn.label[:at], learn.x[at:])
    return lambda x: novelty.distances(x) / novelty.limit


def others(learn: Dataset) -> dict[str, Ratios]:
    """Return every method that the health model is compared with."""
    return {
        "2 x RMS": rms_rule(learn, TWICE),
        "RMS, a zone up": rms_rule(learn, ZONE_UP),
        "log bands, 99.5 %": log_bands(learn),
        "side file": side_file(learn),
    }


def _rms(x: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = x.astype(np.float64)
    spread: NDArray[np.float64] = wide.std(axis=2)
    return spread


def _bands(x: NDArray[np.float32]) -> NDArray[np.float64]:
    power = np.abs(np.fft.rfft(x - x.mean(axis=2, keepdims=True), axis=2)) ** 2
    edges = np.linspace(1, power.shape[2], LOG_BANDS + 1).astype(int)
    levels = np.add.reduceat(power, edges[:-1], axis=2)
    found: NDArray[np.float64] = np.log(levels + 1e-12 * levels.mean()).reshape(len(x), -1)
    return found
