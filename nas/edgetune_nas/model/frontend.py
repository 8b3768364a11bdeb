"""Fixed frontend of a network: filter bank, mix or envelope, pooling, logarithm, correlations; numpy only."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from edgetune_nas.model.layers import GRAM_SHARE, Conv, Gram, Layer, Log, LpPool
from edgetune_nas.usage import BATCH_BYTES, batches

if TYPE_CHECKING:
    from numpy.typing import NDArray

Floats: TypeAlias = "NDArray[np.float32]"
Labels: TypeAlias = "NDArray[np.int64]"
Weights: TypeAlias = "dict[str, NDArray[np.float32]]"

LOG_FLOOR, BANK_LOG_FLOOR = 3e-2, 2e-3
"""Offset of the logarithm behind an envelope and behind a bank, as a share of the mean pooled value.

A higher offset hides quieter frames or bands, and with them their noise. That behind a bank, halved or doubled, changes
the examination's machines by 0.1 to 0.2 points.
"""
LEAST_LEVEL = 0.01
"""Share of the mean level below which a channel of `Gram` is not made louder: it may be a dead electrode."""
GRAM_FLOOR = 0.01
"""Offset of `Gram`, as a share of the mean level.

A higher offset hides how quiet channels act together. Chosen among 0.01, 0.03, 0.05 and 0.1 on the people of the
examination; twice as much costs less than 0.5 points.
"""


def split_frontend(layers: tuple[Layer, ...]) -> tuple[tuple[Layer, ...], tuple[Layer, ...]]:
    """Return the leading layers that training does not change (bank or mix, pooling, log, Gram), and the rest."""
    for index, layer in enumerate(layers):
        if not (isinstance(layer, LpPool | Log | Gram) or (isinstance(layer, Conv) and layer.frozen)):
            return layers[:index], layers[index:]
    return layers, ()


def filter_bank(layer: Conv) -> Floats:
    """Return a frozen convolution's weights ``(filters, channels // groups, kernel)``: its taps times their gains.

    Without taps it is a bank of Hann-windowed cosines of unit energy. The taps of each sum to zero, so an offset of the
    signal changes nothing. Centres are spread evenly from ``layer.low`` of the spectrum to half the sampling rate, so
    the bank scales with the rate by itself.
    """
    gains = np.array(layer.gains or 1.0).reshape(-1, 1, 1)
    if layer.taps:
        mix: Floats = (np.array(layer.taps).reshape(layer.filters, -1, layer.kernel) * gains).astype(np.float32)
        return mix
    bands = layer.filters // layer.groups
    time = np.arange(layer.kernel) - (layer.kernel - 1) / 2
    centres = (layer.low + (1 - layer.low) * (np.arange(bands) + 0.5) / bands) / 2
    window = np.hanning(layer.kernel + 2)[1:-1]
    taps = window * np.cos(2 * np.pi * centres[:, None] * time)
    taps -= window * taps.sum(axis=1, keepdims=True) / window.sum()
    taps /= np.linalg.norm(taps, axis=1, keepdims=True)
    bank: Floats = (np.tile(taps[:, None], (layer.groups, 1, 1)) * gains).astype(np.float32)
    return bank


def frontend_features(frontend: tuple[Layer, ...], x: Floats) -> Floats:
    """Compute the output ``(windows, channels', length')`` of the fixed layers ``frontend``, in bounded memory."""
    if not frontend or not len(x):
        return x
    copies = max((layer.kernel / layer.stride for layer in frontend if isinstance(layer, Conv | LpPool)), default=1.0)
    return np.concatenate([_apply(frontend, batch) for batch in batches(x, int(BATCH_BYTES / max(1.0, copies)))])


def fit_frontend(frontend: tuple[Layer, ...], x: Floats) -> tuple[tuple[Layer, ...], Floats]:
    """Set gains and the offset of log or `Gram` to the level of ``x``; return the layers and the features of ``x``.

    A band's gain is the inverse root of its level: quiet bands then have a share of int8's steps as well. Channels of a
    `Gram` are made equally loud.
    """
    if frontend and isinstance(gram := frontend[-1], Gram):
        return _fit_gram(frontend[:-1], gram, x)
    if not frontend or not isinstance(log := frontend[-1], Log):
        return frontend, frontend_features(frontend, x)
    pooled = frontend_features(frontend[:-1], x)
    at = _last_conv(frontend)
    floor = LOG_FLOOR
    if isinstance(conv := frontend[at], Conv):
        floor = LOG_FLOOR if conv.taps else BANK_LOG_FLOOR
        level = pooled.mean(axis=(0, 2), dtype=np.float64)
        mean = float(level.mean()) or 1.0
        gains = np.sqrt(mean / np.maximum(level, 1e-4 * mean))
        conv = replace(conv, gains=tuple(gains.tolist()))
        pooled *= gains.astype(np.float32)[:, None]
    offset = float(floor * pooled.mean()) or 1.0
    fitted = (*frontend[:at], *(() if conv is log else (conv,)), *frontend[at + 1 : -1], replace(log, offset=offset))
    return fitted, np.log(pooled + np.float32(offset))


def _fit_gram(before: tuple[Layer, ...], gram: Gram, x: Floats) -> tuple[tuple[Layer, ...], Floats]:
    level = np.concatenate([_scatter(_apply(before, batch)) for batch in batches(x)]).mean(axis=0)
    mean = float(level.mean()) or 1.0
    at = _last_conv(before)
    if before and isinstance(conv := before[at], Conv):
        gains = mean / np.maximum(level, LEAST_LEVEL * mean)
        before = (*before[:at], replace(conv, gains=tuple(gains.tolist())), *before[at + 1 :])
    fitted = (*before, replace(gram, offset=GRAM_FLOOR * mean))
    return fitted, frontend_features(fitted, x)


def _last_conv(frontend: tuple[Layer, ...]) -> int:
    """Return the index of the last convolution, which has the gains; 0 without any."""
    return max((index for index, layer in enumerate(frontend) if isinstance(layer, Conv)), default=0)


def _scatter(x: Floats) -> NDArray[np.float64]:
    """Root of the sum of squares of each channel less its mean, ``(windows, channels)``."""
    centred = x - x.mean(axis=2, keepdims=True)
    scatter: NDArray[np.float64] = np.sqrt(np.einsum("ncl,ncl->nc", centred, centred).astype(np.float64))
    return scatter


def gram_features(x: Floats, offset: float) -> Floats:
    """Compute what `Gram` does with ``x (windows, channels, length)``: ``(windows, pairs, 1)``."""
    centred = x - x.mean(axis=2, keepdims=True)
    root = np.sqrt(np.einsum("ncl,ncl->nc", centred, centred)) + np.float32(offset)
    alike = np.matmul(centred, centred.transpose(0, 2, 1)) / (root[:, :, None] * root[:, None])
    row, column = np.triu_indices(x.shape[1])
    result: Floats = np.arctanh(np.float32(GRAM_SHARE) * alike[:, row, column])[:, :, None]
    return result


def frontend_weights(frontend: tuple[Layer, ...]) -> tuple[Weights, ...]:
    """Return the weights of the fixed layers, as `Network` holds them."""
    return tuple({"weight": filter_bank(layer)} if isinstance(layer, Conv) else {} for layer in frontend)


def _apply(frontend: tuple[Layer, ...], x: Floats) -> Floats:
    for layer in frontend:
        match layer:
            case Conv():
                x = _frozen_conv(layer, x)
            case LpPool():
                x = _lp_pool(layer, x)
            case Log():
                x = np.log(x + np.float32(layer.offset))
            case Gram():
                x = gram_features(x, layer.offset)
            case _:
                raise ValueError(f"{layer} is no fixed layer")
    return x


def _frozen_conv(layer: Conv, x: Floats) -> Floats:
    if layer.taps:
        return _mixed(layer, x)
    bank = filter_bank(replace(layer, gains=()))[: layer.filters // layer.groups, 0]
    frames = np.lib.stride_tricks.sliding_window_view(x, layer.kernel, axis=2)[:, :, :: layer.stride]
    windows, channels, count, taps = frames.shape
    out = (np.ascontiguousarray(frames).reshape(-1, taps) @ bank.T).reshape(windows, channels, count, -1)
    result: Floats = np.ascontiguousarray(out.transpose(0, 1, 3, 2)).reshape(windows, layer.filters, count)
    return result * np.array(layer.gains, np.float32)[:, None] if layer.gains else result


def _mixed(layer: Conv, x: Floats) -> Floats:
    """Sum shifted channels tap by tap: the kernels of mixes and differences have two taps."""
    weight = filter_bank(layer)
    grouped = x.reshape(len(x), layer.groups, -1, x.shape[2])
    weight = weight.reshape(layer.groups, -1, *weight.shape[1:])
    count = (x.shape[2] - layer.kernel) // layer.stride + 1
    end = layer.stride * (count - 1) + 1
    parts = (
        np.einsum("gfc,ngcl->ngfl", weight[..., tap], grouped[..., tap : tap + end : layer.stride], optimize=True)
        for tap in range(layer.kernel)
    )
    total: Floats = sum(parts, start=np.zeros((), np.float32))
    return total.reshape(len(x), layer.filters, count)


def _lp_pool(layer: LpPool, x: Floats) -> Floats:
    magnitude = np.abs(x) if layer.p == 1 else x * x
    kernel = layer.kernel or x.shape[2]
    frames = np.lib.stride_tricks.sliding_window_view(magnitude, kernel, axis=2)[:, :, :: layer.stride]
    pooled: Floats = frames.sum(axis=3, dtype=np.float32)
    return pooled if layer.p == 1 else np.sqrt(pooled)
