"""Temperature of a network's softmax: calibrates its probabilities."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgetune_nas.model.layers import Network, Softmax

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgetune_nas.model.frontend import Floats, Labels


def with_temperature(network: Network, temperature: float) -> Network:
    """Return ``network`` with the softmax's temperature set."""
    layers = tuple(
        replace(layer, temperature=temperature) if isinstance(layer, Softmax) else layer for layer in network.layers
    )
    return replace(network, layers=layers)


def true_probability(scores: Floats, y: Labels, temperature: float) -> NDArray[np.float64]:
    """Return the probability ``(windows,)`` of the true class under ``softmax(scores / temperature)``."""
    z = scores.astype(np.float64) / temperature
    z = np.exp(z - z.max(axis=1, keepdims=True))
    result: NDArray[np.float64] = z[np.arange(len(y)), y] / z.sum(axis=1)
    return result


def best_temperature(scores: Floats, y: Labels) -> float:
    """Find the temperature of least cross-entropy in 0.05 to 20 (Guo et al., ICML 2017, section 4.2).

    The loss is convex in the inverse temperature, so golden section finds the minimum. Where everything is right the
    lowest temperature would always win; half a window counted wrong (label smoothing) keeps probabilities honest.
    """
    smoothing = 0.5 / (len(y) + 1)

    def loss(log_inverse: float) -> float:
        z = scores.astype(np.float64) * np.exp(log_inverse)
        z -= z.max(axis=1, keepdims=True)
        log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        return float(-(1 - smoothing) * log_p[np.arange(len(y)), y].mean() - smoothing * log_p.mean())

    low, high = np.log(1 / 20), np.log(20.0)
    ratio = (np.sqrt(5.0) - 1) / 2
    for _ in range(30):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return float(np.exp(-(low + high) / 2))
