"""Fixed frontend of a network: filter bank or envelope, pooling, logarithm; numpy only."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from edgetune_nas.model.layers import Conv, Layer, Log, LpPool
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


def split_frontend(layers: tuple[Layer, ...]) -> tuple[tuple[Layer, ...], tuple[Layer, ...]]:
    """Return the leading layers that training does not change (frozen bank, pooling, log), and the rest."""
    for index, layer in enumerate(layers):
        if not (isinstance(layer, LpPool | Log) or (isinstance(layer, Conv) and layer.frozen)):
            return layers[:index], layers[index:]
    return layers, ()


def filter_bank(layer: Conv) -> Floats:
    """Return a frozen bank's weights ``(filters, 1, kernel)``: Hann-windowed cosines of unit energy, times their gains.

    The taps of a filter sum to zero, so an offset of the signal changes nothing. Centres are spread evenly from
    ``layer.low`` of the spectrum to half the sampling rate, so the bank scales with the rate by itself.
    """
    bands = layer.filters // layer.groups
    time = np.arange(layer.kernel) - (layer.kernel - 1) / 2
    centres = (layer.low + (1 - layer.low) * (np.arange(bands) + 0.5) / bands) / 2
    window = np.hanning(layer.kernel + 2)[1:-1]
    taps = window * np.cos(2 * np.pi * centres[:, None] * time)
    taps -= window * taps.sum(axis=1, keepdims=True) / window.sum()
    taps /= np.linalg.norm(taps, axis=1, keepdims=True)
    taps = np.tile(taps[:, None], (layer.groups, 1, 1))
    if layer.gains:
        taps *= np.array(layer.gains)[:, None, None]
    return taps.astype(np.float32)


def frontend_features(frontend: tuple[Layer, ...], x: Floats) -> Floats:
    """Compute the output ``(windows, channels', length')`` of the fixed layers ``frontend``, in bounded memory."""
    if not frontend or not len(x):
        return x
    copies = max((layer.kernel / layer.stride for layer in frontend if isinstance(layer, Conv | LpPool)), default=1.0)
    return np.concatenate([_apply(frontend, batch) for batch in batches(x, int(BATCH_BYTES / max(1.0, copies)))])


def fit_frontend(frontend: tuple[Layer, ...], x: Floats) -> tuple[tuple[Layer, ...], Floats]:
    """Set the bank's gains and the log's offset to the level of ``x``; return the layers and the features of ``x``.

    A band's gain is the inverse root of its level: quiet bands then have a share of int8's steps as well.
    """
    if not frontend or not isinstance(log := frontend[-1], Log):
        return frontend, frontend_features(frontend, x)
    pooled = frontend_features(frontend[:-1], x)
    first = frontend[0]
    floor = LOG_FLOOR
    if isinstance(first, Conv):
        floor = BANK_LOG_FLOOR
        level = pooled.mean(axis=(0, 2), dtype=np.float64)
        mean = float(level.mean()) or 1.0
        gains = np.sqrt(mean / np.maximum(level, 1e-4 * mean))
        first = replace(first, gains=tuple(gains.tolist()))
        pooled *= gains.astype(np.float32)[:, None]
    offset = float(floor * pooled.mean()) or 1.0
    fitted = (*(() if first is log else (first,)), *frontend[1:-1], replace(log, offset=offset))
    return fitted, np.log(pooled + np.float32(offset))


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
