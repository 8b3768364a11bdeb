"""Networks solved for rather than trained: a fixed front and a shrinkage linear discriminant, numpy only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edgetune_nas.layers import Conv, Dense, Flatten, Layer, Log, LpPool, Network, Softmax
from edgetune_nas.portions import PORTION_BYTES, portions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgetune_signal.datasets import Dataset

    Floats = NDArray[np.float32]
    Labels = NDArray[np.int64]
    Weights = dict[str, NDArray[np.float32]]

LOG_FLOOR, BANK_LOG_FLOOR = 3e-2, 2e-3
"""The log's offset as a share of the mean pooled value: quieter frames (bands) than this say nothing more."""
LIBRARY_WINDOWS = 4
"""New windows of a class that weigh as much as all the library has of it."""


@dataclass(frozen=True, slots=True)
class Drift:
    """How far logarithmic levels are expected to move in another condition: standard deviations in nepers (8.7 dB).

    ``each`` level by itself, and all of them in ``common`` (loudness).
    """

    each: float
    common: float


BANK_DRIFT = Drift(each=0.2, common=1.0)
"""Measured where one bearing rig changed its load; loudness then says next to nothing."""
NEW_DRIFT = Drift(each=0.1, common=0.0)
"""What is left where the condition that counts has windows of its own, and for muscles."""


def split_front(layers: tuple[Layer, ...]) -> tuple[tuple[Layer, ...], tuple[Layer, ...]]:
    """Leading layers that training does not change (frozen bank, pooling, log), and the rest."""
    for index, layer in enumerate(layers):
        if not (isinstance(layer, LpPool | Log) or (isinstance(layer, Conv) and layer.frozen)):
            return layers[:index], layers[index:]
    return layers, ()


def filter_bank(layer: Conv) -> Floats:
    """Weights ``(filters, 1, kernel)`` of a frozen bank: Hann-windowed cosines of unit energy, times their gains.

    Centres are spread evenly from ``layer.low`` of the spectrum to half the sampling rate, so the bank scales with the
    rate by itself.
    """
    bands = layer.filters // layer.groups
    time = np.arange(layer.kernel) - (layer.kernel - 1) / 2
    centres = (layer.low + (1 - layer.low) * (np.arange(bands) + 0.5) / bands) / 2
    taps = np.hanning(layer.kernel + 2)[1:-1] * np.cos(2 * np.pi * centres[:, None] * time)
    taps /= np.linalg.norm(taps, axis=1, keepdims=True)
    taps = np.tile(taps[:, None], (layer.groups, 1, 1))
    if layer.gains:
        taps *= np.array(layer.gains)[:, None, None]
    return taps.astype(np.float32)


def front_features(front: tuple[Layer, ...], x: Floats) -> Floats:
    """Output ``(windows, channels', length')`` of the fixed layers ``front`` for windows ``x``, in bounded memory."""
    if not front or not len(x):
        return x
    copies = max((layer.kernel / layer.stride for layer in front if isinstance(layer, Conv | LpPool)), default=1.0)
    return np.concatenate([_apply(front, portion) for portion in portions(x, int(PORTION_BYTES / max(1.0, copies)))])


def fit_front(front: tuple[Layer, ...], x: Floats) -> tuple[tuple[Layer, ...], Floats]:
    """``front`` with its bank's gains and its log's offset set to the level of ``x``, and the features of ``x``.

    A band's gain is the inverse root of its level: quiet bands then have a share of int8's steps as well.
    """
    if not front or not isinstance(log := front[-1], Log):
        return front, front_features(front, x)
    pooled = front_features(front[:-1], x)
    first = front[0]
    floor = LOG_FLOOR
    if isinstance(first, Conv):
        floor = BANK_LOG_FLOOR
        level = pooled.mean(axis=(0, 2), dtype=np.float64)
        mean = float(level.mean()) or 1.0
        gains = np.sqrt(mean / np.maximum(level, 1e-4 * mean))
        first = replace(first, gains=tuple(gains.tolist()))
        pooled *= gains.astype(np.float32)[:, None]
    offset = float(floor * pooled.mean()) or 1.0
    fitted = (*(() if first is log else (first,)), *front[1:-1], replace(log, offset=offset))
    return fitted, np.log(pooled + np.float32(offset))


def front_weights(front: tuple[Layer, ...]) -> tuple[Weights, ...]:
    """Weights of the fixed layers, as `Network` wants them."""
    return tuple({"weight": filter_bank(layer)} if isinstance(layer, Conv) else {} for layer in front)


def fit(layers: tuple[Layer, ...], x: Floats, y: Labels, *, classes: int, origin: Labels | None = None) -> Network:
    """Solve for the discriminant of ``layers`` (front, maybe flatten, dense, softmax).

    Levels of a filter bank may drift until the next condition, so they are trusted no further than `BANK_DRIFT`. A
    library shows how they drift, and the new windows where to: with one, `NEW_DRIFT` is left.

    Parameters
    ----------
    x
        ``float32 (windows, channels, length)``.
    y
        ``int64 (windows,)`` in ``range(classes)``; classes without windows are never guessed.
    origin
        ``int64 (windows,)``: 0 for windows of the condition that counts, other numbers for a library's conditions.
    """
    front, head = split_front(layers)
    front, features = fit_front(front, x)
    drift = expected_drift(front, origin)
    weight, bias = discriminant(features.reshape(len(x), -1), y, classes=classes, drift=drift, origin=origin)
    dense: Weights = {"weight": weight, "bias": bias}
    weights = (*front_weights(front), *(dense if isinstance(layer, Dense) else {} for layer in head))
    return Network((x.shape[1], x.shape[2]), (*front, *head), weights)


def guessed_by_the_rest(
    layers: tuple[Layer, ...], x: Floats, y: Labels, fold: Labels, *, classes: int, origin: Labels | None = None
) -> Floats:
    """Logits ``(windows, classes)`` of a cross-validation: each ``fold`` from the discriminant of all others.

    Windows of fold -1 belong to every discriminant; their own logits are 0. The front is fitted once, on all windows.
    """
    front, _ = split_front(layers)
    fitted, features = fit_front(front, x)
    features = features.reshape(len(x), -1)
    drift = expected_drift(fitted, origin)
    result = np.zeros((len(x), classes), np.float32)
    for number in np.unique(fold[fold >= 0]):
        out = fold == number
        rest = None if origin is None else origin[~out]
        weight, bias = discriminant(features[~out], y[~out], classes=classes, drift=drift, origin=rest)
        result[out] = features[out] @ weight.T + bias
    return result


def discriminant(
    features: Floats,
    y: Labels,
    *,
    classes: int,
    drift: Drift | None = None,
    origin: Labels | None = None,
) -> tuple[Floats, Floats]:
    """Linear discriminant with equal priors, standardisation folded in: ``weight (classes, d)``, ``bias (classes,)``.

    The pooled covariance within classes is shrunk towards a multiple of the identity by the amount of Ledoit and Wolf,
    J. Multivariate Analysis 88 (2004) 365; that of ``drift`` is added. Windows whose ``origin`` is not 0 are of
    other conditions and a prior: they move a class's mean as `LIBRARY_WINDOWS` new windows would, and count in the
    covariance as many as there are features.
    """
    present = np.unique(y)
    scale = features.std(axis=0).astype(np.float64)
    scale[scale == 0] = 1.0
    z = (features - features.mean(axis=0)) / scale
    if origin is None or not origin.any() or origin.all():
        means, covariance = _class_means(z, y, present), shrunk_covariance(_residuals(z, y))
    else:
        means, covariance = _with_prior(z, y, origin, present)
    if drift is not None:
        covariance += (drift.each**2 * np.eye(len(scale)) + drift.common**2) / np.outer(scale, scale)
    solved = np.linalg.solve(covariance, means.T).T
    weight = np.zeros((classes, z.shape[1]))
    bias = np.full(classes, -1e4)
    weight[present] = solved / scale
    bias[present] = -0.5 * np.einsum("kd,kd->k", solved, means) - weight[present] @ features.mean(axis=0)
    centre = weight[present].mean(axis=0), bias[present].mean()
    weight[present] -= centre[0]  # the same constant for every class: probabilities stay, numbers get smaller
    bias[present] -= centre[1]
    return weight.astype(np.float32), bias.astype(np.float32)


def _with_prior(
    z: NDArray[np.float64], y: Labels, origin: Labels, present: Labels
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means and covariance of the new windows, with the library's as prior."""
    new = origin == 0
    means = _class_means(z, y, present)
    for index, label in enumerate(present):
        mine, theirs = z[new & (y == label)], z[~new & (y == label)]
        if len(mine) and len(theirs):
            total = mine.sum(axis=0) + LIBRARY_WINDOWS * theirs.mean(axis=0)
            means[index] = total / (len(mine) + LIBRARY_WINDOWS)
    apart = y + origin * (y.max() + 1)  # conditions differ in their means, which is no spread within a class
    share = new.sum() / (new.sum() + z.shape[1])
    ours, old = (shrunk_covariance(_residuals(z[part], apart[part])) for part in (new, ~new))
    return means, share * ours + (1 - share) * old


def _class_means(z: NDArray[np.float64], y: Labels, present: Labels) -> NDArray[np.float64]:
    return np.stack([z[y == label].mean(axis=0) for label in present])


def _residuals(z: NDArray[np.float64], y: Labels) -> NDArray[np.float64]:
    """Take the mean of its class off each row of ``z``."""
    present = np.unique(y)
    result: NDArray[np.float64] = z - _class_means(z, y, present)[np.searchsorted(present, y)]
    return result


def shrunk_covariance(residuals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ledoit-Wolf estimate of the covariance of centred ``residuals (n, d)``."""
    n, d = residuals.shape
    sample = residuals.T @ residuals / n
    level = float(np.trace(sample)) / d
    spread = float(np.sum(sample**2)) / d - level**2
    noise = (float(np.mean(np.sum(residuals**2, axis=1) ** 2)) - float(np.sum(sample**2))) / (n * d)
    share = 1.0 if spread <= 0 else min(1.0, max(0.0, noise / spread))
    floor = 1e-6 * level or 1.0
    shrunk: NDArray[np.float64] = (1 - share) * sample + (share * level + floor) * np.eye(d)
    return shrunk


def expected_drift(front: tuple[Layer, ...], origin: Labels | None) -> Drift:
    """How far the levels behind ``front`` may move: `BANK_DRIFT` for a bank without a library, else `NEW_DRIFT`."""
    return BANK_DRIFT if origin is None and any(isinstance(layer, Conv) for layer in front) else NEW_DRIFT


def origins(learned: Dataset) -> Labels | None:
    """``origin`` of `fit` for windows with a library: 0 for the new ones; None where there is no library."""
    return None if learned.library is None else np.where(learned.library, learned.condition + 1, 0)


def is_closed_form(network: Network) -> bool:
    """Whether nothing stands between the fixed front and the dense layer."""
    _, head = split_front(network.layers)
    return all(isinstance(layer, Flatten | Dense | Softmax) for layer in head)


def logits(network: Network, x: Floats) -> Floats:
    """Logits ``(windows, classes)`` of a closed-form network."""
    front, head = split_front(network.layers)
    features = front_features(front, x).reshape(len(x), -1)
    dense = next(w for w, layer in zip(network.weights[len(front) :], head, strict=True) if isinstance(layer, Dense))
    result: Floats = features @ dense["weight"].T + dense["bias"]
    return result


def with_temperature(network: Network, temperature: float) -> Network:
    """``network`` with the softmax's temperature set."""
    layers = tuple(
        replace(layer, temperature=temperature) if isinstance(layer, Softmax) else layer for layer in network.layers
    )
    return replace(network, layers=layers)


def true_probability(scores: Floats, y: Labels, temperature: float) -> NDArray[np.float64]:
    """Probability ``(windows,)`` of the true class under ``softmax(scores / temperature)``."""
    z = scores.astype(np.float64) / temperature
    z = np.exp(z - z.max(axis=1, keepdims=True))
    result: NDArray[np.float64] = z[np.arange(len(y)), y] / z.sum(axis=1)
    return result


def best_temperature(scores: Floats, y: Labels) -> float:
    """Temperature in 0.05 to 20 of least cross-entropy, by golden section (Guo et al., ICML 2017, section 4.2).

    The loss is convex in the inverse temperature, so the section finds the minimum. Where everything is right the
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


def _apply(front: tuple[Layer, ...], x: Floats) -> Floats:
    for layer in front:
        match layer:
            case Conv():
                x = _frozen_conv(layer, x)
            case LpPool():
                x = _lp_pool(layer, x)
            case Log():
                x = np.log(x + np.float32(layer.offset))
            case _:
                raise ValueError(f"{layer} is no fixed layer")
    return x


def _frozen_conv(layer: Conv, x: Floats) -> Floats:
    bank = filter_bank(replace(layer, gains=()))[: layer.filters // layer.groups, 0]
    frames = np.lib.stride_tricks.sliding_window_view(x, layer.kernel, axis=2)[:, :, :: layer.stride]
    windows, channels, count, taps = frames.shape
    out = (np.ascontiguousarray(frames).reshape(-1, taps) @ bank.T).reshape(windows, channels, count, -1)
    result: Floats = np.ascontiguousarray(out.transpose(0, 1, 3, 2)).reshape(windows, layer.filters, count)
    return result * np.array(layer.gains, np.float32)[:, None] if layer.gains else result


def _lp_pool(layer: LpPool, x: Floats) -> Floats:
    magnitude = np.abs(x) if layer.p == 1 else x * x
    kernel = layer.kernel or x.shape[2]
    frames = np.lib.stride_tricks.sliding_window_view(magnitude, kernel, axis=2)[:, :, :: layer.stride]
    pooled: Floats = frames.sum(axis=3, dtype=np.float32)
    return pooled if layer.p == 1 else np.sqrt(pooled)
