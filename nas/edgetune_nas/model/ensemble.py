"""Ensembles: several trainings of one architecture, merged into one network that computes the mean of their logits.

Where the raw window is the largest tensor, the layers behind a fixed frontend could be several times as wide for the
same arena. One wide network learns few windows no better than a narrow one; an ensemble of narrow ones does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgetune_nas.model.frontend import split_frontend
from edgetune_nas.model.layers import Conv, Dense, GlobalPool, Layer, Network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgetune_nas.model.frontend import Weights


def widened(layers: tuple[Layer, ...], members: int) -> tuple[Layer, ...] | None:
    """Return the layers of an ensemble of ``members`` networks of ``layers``; None if they cannot be merged.

    The fixed frontend is shared. Convolutions behind it stand side by side: the first reads the frontend, each later
    one only its own member's channels. Networks without a trained convolution are not merged, nor those that begin with
    a depthwise one.
    """
    frontend, rest = split_frontend(layers)
    first = next((layer for layer in rest if isinstance(layer, Conv)), None)
    if members == 1:
        return layers
    if first is None or first.groups > 1:
        return None
    return (*frontend, *(_wide(layer, members) for layer in rest))


def _wide(layer: Layer, members: int) -> Layer:
    if not isinstance(layer, Conv):
        return layer
    return replace(layer, filters=members * layer.filters, groups=members * layer.groups if layer.groups > 1 else 1)


def merge(networks: Sequence[Network]) -> Network:
    """Merge ``networks``, which differ only in their trained weights, into one with the mean of their logits.

    Raises
    ------
    ValueError
        When their layers cannot be merged (`widened`).
    """
    one, members = networks[0], len(networks)
    layers = widened(one.layers, members)
    if layers is None:
        raise ValueError(f"networks of these layers cannot be merged: {one.layers}")
    frontend, _ = split_frontend(one.layers)
    weights: list[Weights] = list(one.weights[: len(frontend)])
    shared, parts = True, 1
    for index, layer in enumerate(one.layers[len(frontend) :], len(frontend)):
        own = [network.weights[index] for network in networks]
        match layer:
            case Conv():
                weights.append(_side_by_side(own, apart=not shared and layer.groups == 1))
                shared = False
            case Dense():
                weights.append(_mean(own, parts))
            case _:
                parts = 2 if isinstance(layer, GlobalPool) and layer.kind == "both" else parts
                weights.append({})
    return Network(one.input_shape, layers, tuple(weights))


def _side_by_side(own: list[Weights], *, apart: bool) -> Weights:
    """Stack the filters of all members; ``apart``: each sees only its own member's channels, others weigh 0."""
    weight = np.concatenate([each["weight"] for each in own])
    if apart:
        filters, channels, kernel = own[0]["weight"].shape
        wide = np.zeros((len(own), filters, len(own), channels, kernel), np.float32)
        for member, each in enumerate(own):
            wide[member, :, member] = each["weight"]
        weight = wide.reshape(len(own) * filters, len(own) * channels, kernel)
    return {"weight": weight, "bias": np.concatenate([each["bias"] for each in own])}


def _mean(own: list[Weights], parts: int) -> Weights:
    """Dense layer over all members' features: each of the ``parts`` (average, maximum) has every member's in turn."""
    classes = len(own[0]["bias"])
    weight = np.stack([each["weight"].reshape(classes, parts, -1) for each in own], axis=2) / len(own)
    return {
        "weight": np.ascontiguousarray(weight.reshape(classes, -1), np.float32),
        "bias": np.mean([each["bias"] for each in own], axis=0, dtype=np.float32),
    }
