"""What a layer list costs on a microcontroller, planned from its shapes alone, before anything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edgetune_nas.card import Cost, Precision
from edgetune_nas.model.arena import ARENA_RULE, arena_bytes, lifetimes, smallest_way, with_distance_tensors
from edgetune_nas.model.layers import ClassMax, Conv, Dense, Gram, LpPool, Norm, output_shape, shapes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgetune_nas.model.arena import Tensor
    from edgetune_nas.model.layers import Layer, Shape

ELEMENT_BYTES: Final[dict[Precision, int]] = {"float": 4, "int8": 1}
BIAS_BYTES: Final = 4
SCALE_BYTES: Final = 4
ZERO_POINT_BYTES: Final = 1
KIND_BYTES: Final = 1
"""Flash of an entry of the table of classes by kinds that `ClassMax` has."""


def plan(
    input_shape: Shape, layers: Sequence[Layer], *, precision_deployed: Precision = "float", centres: int = 0
) -> Cost:
    """Cost of a layer list; docs/reference/cost.md defines each figure.

    Parameters
    ----------
    input_shape
        ``(channels, length)`` of a raw window.
    layers
        From the raw window to class probabilities, or to a distance.
    precision_deployed
        Precision whose element size ``arena_bytes_deployed`` uses. Nothing else depends on it.
    centres
        Number of centres that a closed form computes `Distances` to; 0 where it computes none.

    Raises
    ------
    ValueError
        When a layer does not fit the shape before it.
    """
    plain = lifetimes(input_shape, layers)
    at = next((index for index, layer in enumerate(layers) if isinstance(layer, Dense)), len(layers))
    features = shapes(input_shape, tuple(layers[:at]))[-1][0] if centres else 0

    def whole(tensors: list[Tensor]) -> list[Tensor]:
        return with_distance_tensors(tensors, layers[at:], features + 1, centres) if centres else tensors

    tensors = whole(plain)
    arena = arena_bytes(tensors)
    deployed = arena if precision_deployed == "int8" else arena_bytes(tensors, ELEMENT_BYTES[precision_deployed])
    weights, biases, scales, macs = _count(input_shape, layers)
    if centres:
        weights += (features + 1) * (features + centres)
        biases += features + 1
        scales += features + 2
        macs += (features + 1) * (features + centres)
    table = sum(len(layer.kinds) * max(layer.kinds) for layer in layers if isinstance(layer, ClassMax))
    return Cost(
        arena_bytes=arena,
        arena_bytes_deployed=deployed,
        streamed_bytes=arena_bytes(whole(smallest_way(input_shape, layers, plain)[1])),
        arena_rule=ARENA_RULE,
        flash_bytes=weights
        + BIAS_BYTES * biases
        + SCALE_BYTES * scales
        + KIND_BYTES * table
        + (SCALE_BYTES + ZERO_POINT_BYTES) * len(tensors),
        macs=macs,
        parameters=weights + biases,
    )


def _count(input_shape: Shape, layers: Sequence[Layer]) -> tuple[int, int, int, int]:
    """Weights, biases, output channels that have a weight scale, and multiply-accumulates."""
    weights = biases = scales = macs = 0
    shape = input_shape
    for layer in layers:
        channels = shape[0]
        length = shape[1]
        shape = output_shape(layer, shape)
        if isinstance(layer, Conv):
            taps = channels // layer.groups * layer.kernel
            weights += taps * layer.filters
            biases += 0 if layer.frozen else layer.filters
            scales += layer.filters
            macs += taps * layer.filters * shape[1]
        elif isinstance(layer, Dense):
            weights += channels * layer.outputs
            biases += layer.outputs
            scales += layer.outputs
            macs += channels * layer.outputs
        elif isinstance(layer, LpPool):
            macs += channels * (layer.kernel or length) * shape[1]
        elif isinstance(layer, Gram):
            macs += channels * (channels + 1) * length
        elif isinstance(layer, Norm):
            macs += channels
    return weights, biases, scales, macs
