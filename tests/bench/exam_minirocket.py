"""MiniRocket (Dempster et al., KDD 2021) with cross-validated ridge regression, in numpy.

Written from the paper: 84 kernels, dilations, padding of every other feature, random channels of each kernel, biases
from quantiles of what random training windows give. aeon's needs an older numpy than this project pins.
"""

from __future__ import annotations

import os
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

FEATURES = int(os.environ.get("EXAM_MINIROCKET", "9996"))
TAPS = 9
TRIPLES = tuple(combinations(range(TAPS), 3))
MOST_DILATIONS = 32
BATCH_SAMPLES = 1 << 18
PENALTIES = np.logspace(-3, 3, 10)
GOLDEN = (5**0.5 + 1) / 2


class Transform:
    """Shares of positive values of fixed kernels: ``(windows, channels, length)`` to ``(windows, features)``."""

    def __init__(self, x: NDArray[np.float32], rng: np.random.Generator) -> None:
        channels, length = x.shape[1:]
        each = max(1, FEATURES // len(TRIPLES))
        exponents = np.linspace(0, np.log2((length - 1) / (TAPS - 1)), min(each, MOST_DILATIONS))
        self._dilations, counts = np.unique(np.floor(2**exponents).astype(int), return_counts=True)
        self._counts = np.floor(counts * each / counts.sum()).astype(int)
        self._counts[: each - self._counts.sum()] += 1
        most = np.log2(min(channels, TAPS) + 1)
        self._channels = [
            [rng.permutation(channels)[: max(1, int(2 ** (most * rng.random())))] for _ in TRIPLES]
            for _ in self._dilations
        ]
        self._biases: list[list[NDArray[np.float32]]] = []
        used = 0
        for at, count in enumerate(self._counts):
            found = []
            for kernel in range(len(TRIPLES)):
                one = self._convolved(x[rng.integers(len(x), size=1)], at, kernel)[0]
                quantiles = (np.arange(used + 1, used + count + 1) * GOLDEN) % 1
                found.append(np.quantile(one, quantiles).astype(np.float32))
                used += int(count)
            self._biases.append(found)

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        step = max(1, BATCH_SAMPLES // (x.shape[1] * x.shape[2]))
        return np.concatenate([self._batch(x[first : first + step]) for first in range(0, len(x), step)])

    def _batch(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        found = []
        for at, dilation in enumerate(self._dilations):
            reach = (TAPS // 2) * int(dilation)
            for kernel in range(len(TRIPLES)):
                whole = self._convolved(x, at, kernel)
                inner = whole[:, reach : whole.shape[1] - reach]
                for number, bias in enumerate(self._biases[at][kernel]):
                    padded = (kernel + number) % 2 == 0 or not inner.shape[1]
                    part = whole if padded else inner
                    found.append(np.count_nonzero(part > bias, axis=1) / np.float32(part.shape[1]))
        return np.stack(found, axis=1).astype(np.float32)

    def _convolved(self, x: NDArray[np.float32], at: int, kernel: int) -> NDArray[np.float32]:
        dilation = int(self._dilations[at])
        reach = (TAPS // 2) * dilation
        signal = x[:, self._channels[at][kernel]].sum(axis=1)
        length = signal.shape[1]
        padded = np.pad(signal, ((0, 0), (reach, reach)))
        parts = [padded[:, tap * dilation : tap * dilation + length] for tap in range(TAPS)]
        first, second, third = TRIPLES[kernel]
        total = 3 * (parts[first] + parts[second] + parts[third])
        for part in parts:
            total -= part
        return total


def fit(
    x: NDArray[np.float32], label: NDArray[np.integer], seed: int
) -> tuple[Callable[[NDArray[np.float32]], NDArray[np.integer]], int]:
    """Fit on windows; returns the prediction and the number of coefficients."""
    x = np.ascontiguousarray(x, np.float32)
    transform = Transform(x, np.random.default_rng(seed))
    found = transform(x).astype(np.float64)
    shift, scale = found.mean(0), found.std(0) + 1e-8
    z = (found - shift) / scale
    classes = np.unique(label)
    targets = np.where(label[:, None] == classes, 1.0, -1.0)
    middle = targets.mean(0)
    weights = _ridge(z, targets - middle)
    return lambda new: classes[((transform(new) - shift) / scale @ weights + middle).argmax(1)], weights.size


def _ridge(z: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights with the penalty of least leave-one-out error, by the eigenvalues of the smaller Gram matrix."""
    wide = z.shape[0] <= z.shape[1]
    values, vectors = np.linalg.eigh(z @ z.T if wide else z.T @ z)
    values = np.maximum(values, 0)
    left = vectors if wide else z @ vectors / np.sqrt(values + 1e-12)
    inside = left.T @ targets
    best, chosen = np.inf, PENALTIES[0]
    for penalty in PENALTIES:
        share = values / (values + penalty)
        leverage = (left**2 * share).sum(1) + 1 / len(z)
        residual = (targets - left @ (share[:, None] * inside)) / np.maximum(1e-9, 1 - leverage)[:, None]
        if (error := float((residual**2).mean())) < best:
            best, chosen = error, penalty
    if wide:
        return z.T @ (vectors @ ((vectors.T @ targets) / (values + chosen)[:, None]))
    return vectors @ ((vectors.T @ (z.T @ targets)) / (values + chosen)[:, None])
