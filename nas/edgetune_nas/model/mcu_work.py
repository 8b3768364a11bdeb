"""What a layer list makes a microcontroller do, as counts of what the C kernels repeat."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from edgetune_nas.model.arena import (
    POSITION_BYTES,
    arena_bytes,
    lifetimes,
    place,
    position_gap,
    smallest_way,
    sums_first,
)
from edgetune_nas.model.layers import (
    ClassMax,
    Conv,
    Dense,
    Flatten,
    GlobalPool,
    Gram,
    Log,
    LpPool,
    MaxPool,
    Norm,
    output_shape,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgetune_nas.model.layers import Layer, Shape

FILTERS: Final = 4
"""Filters whose sums a kernel computes together."""


def window_work(input_shape: Shape, layers: Sequence[Layer], lanes: int, pooled: int) -> Counter[str]:
    """Return what is done for a stored window.

    Parameters
    ----------
    lanes
        Values that the core multiplies by weights together.
    pooled
        Channels whose frames the core adds up together.
    """
    work = Counter(window=1)
    shape = input_shape
    for index, layer in enumerate(layers):
        logs = index + 1 < len(layers) and isinstance(layers[index + 1], Log)
        work += _layer_work(layer, shape, lanes, pooled, logs=logs)
        shape = output_shape(layer, shape)
    return work


def _layer_work(layer: Layer, shape: Shape, lanes: int, pooled: int, *, logs: bool) -> Counter[str]:
    channels, length = shape
    after, frames = output_shape(layer, shape)
    match layer:
        case Conv(groups=1):
            padded = sum(_padded(layer, length, frame) for frame in range(frames))
            return _products(channels * layer.kernel, after, frames, lanes) + Counter(padded_value=padded * after)
        case Conv():
            own = channels // layer.groups
            kind = "single_tap" if own == 1 else "grouped_tap"
            return Counter({"grouped_value": after * frames, kind: after * frames * layer.kernel * own})
        case Dense():
            return _products(channels, after, 1, lanes)
        case LpPool():
            reads = (layer.kernel or length) * frames * -(-channels // pooled)
            work = Counter({f"power_{layer.p}_read": reads, "pooled_value": channels * frames})
            return work + Counter(logarithm=channels * frames * logs, root=channels * frames * (layer.p - 1))
        case MaxPool():
            return Counter(maximum_read=layer.kernel * channels * frames, maximum_value=channels * frames)
        case GlobalPool():
            average, most = layer.kind != "max", layer.kind != "average"
            work = Counter(average_read=channels * length * average, maximum_read=channels * length * most)
            changed = 2 * channels * (average and most)
            return work + Counter(average_value=channels * average, maximum_value=channels * most, changed=changed)
        case Gram():
            return _sums(channels, length) + Counter(correlation=after)
    return Counter(row=channels * length)


def _products(row: int, filters: int, frames: int, lanes: int) -> Counter[str]:
    together = frames * -(-filters // FILTERS)
    rest = row % lanes
    return Counter(
        frame=frames,
        filters=together,
        products=together * (row // lanes),
        rest=together * (rest if lanes == FILTERS else rest > 0),
        value=filters * frames,
    )


def _sums(channels: int, length: int) -> Counter[str]:
    return Counter(product=channels * (channels + 1) // 2 * length, sums_row=channels * length)


def _padded(layer: Conv, length: int, frame: int) -> bool:
    start = frame * layer.stride - layer.padding
    return start < 0 or start + layer.kernel > length


def stream_work(input_shape: Shape, layers: Sequence[Layer], lanes: int, pooled: int) -> Counter[str]:
    """Return what is done for a window whose samples arrive one by one."""
    way, _ = smallest_way(input_shape, layers, lifetimes(input_shape, layers))
    work = window_work(input_shape, layers, lanes, pooled)
    channels, length = input_shape
    first = layers[0]
    work += Counter(sample=length, sample_value=length * channels)
    if way == "window" or isinstance(first, Gram):
        return work
    after, frames = output_shape(first, input_shape)
    if isinstance(first, LpPool) and sums_first(first, channels):
        whole = _layer_work(first, input_shape, lanes, pooled, logs=False)
        work.subtract({name: count for name, count in whole.items() if name.endswith("_read")})
        work += Counter(added=(first.kernel or length) * channels * frames, pushed=length)
        return work
    if not isinstance(first, Conv | LpPool | MaxPool):
        return work
    work += Counter(framed=frames, moved=frames * max(0, first.kernel - first.stride) * channels)
    if isinstance(first, Conv) and first.padding:
        padded = sum(_padded(first, length, frame) for frame in range(frames))
        work.subtract({"padded_value": padded * after if first.groups == 1 else 0})
        work += Counter(sample=first.padding, sample_value=first.padding * channels)
    if way == "sums":
        second = layers[1]
        whole = _layer_work(second, (after, frames), lanes, pooled, logs=False)
        work.subtract({name: count for name, count in whole.items() if name.endswith("_read")})
        if isinstance(second, LpPool):
            kept = output_shape(second, (after, frames))[1]
            work += Counter(added=(second.kernel or frames) * after * kept, pushed=frames)
        elif isinstance(second, GlobalPool):
            work += Counter(kept=after * frames)
    return work


def tables_bytes(input_shape: Shape, layers: Sequence[Layer]) -> int:
    """Return the bytes of weights, biases and scales in C."""
    total, shape = 0, input_shape
    for layer in layers:
        if isinstance(layer, Conv):
            total += layer.filters * (shape[0] // layer.groups * layer.kernel + 8)
        elif isinstance(layer, Dense):
            total += layer.outputs * (shape[0] + 8)
        elif isinstance(layer, ClassMax):
            total += len(layer.kinds)
        shape = output_shape(layer, shape)
    return total


def model_parts(input_shape: Shape, layers: Sequence[Layer], *, streaming: bool) -> Counter[str]:
    """Return what the text of a model has besides its tables: descriptions of operations, and its functions."""
    way = smallest_way(input_shape, layers, lifetimes(input_shape, layers))[0] if streaming else "window"
    parts = Counter(model=1)
    for layer in layers:
        parts[type(layer).__name__] += not isinstance(layer, Flatten)
        parts["both"] += isinstance(layer, GlobalPool) and layer.kind == "both"
    first = layers[0]
    framed = way != "window" and not isinstance(first, Gram)
    parts += Counter(stream=streaming, frames=framed, padding=framed and isinstance(first, Conv) and first.padding > 0)
    return parts


def kernel_parts(input_shape: Shape, layers: Sequence[Layer], *, streaming: bool) -> set[str]:
    """Return the kernels that a model links."""
    way = smallest_way(input_shape, layers, lifetimes(input_shape, layers))[0] if streaming else "window"
    found = {"always", *(["distance"] if isinstance(layers[-1], Norm) else [])}
    for index, layer in enumerate(layers):
        pushed = (way == "sums" and index == 1) or (
            way != "window" and index == 0 and isinstance(layer, LpPool) and sums_first(layer, input_shape[0])
        )
        match layer:
            case Conv() | Dense():
                found.add("products")
            case LpPool():
                found |= {"pooled", "added" if pushed else "pool"}
            case MaxPool():
                found.add("maxima")
            case GlobalPool(kind=kind):
                found |= {"kept"} if pushed else {"average", "maximum"} if kind == "both" else {kind}
                found |= {"changed"} if kind == "both" else set()
            case Gram():
                found.add("gram")
            case ClassMax():
                found.add("kinds")
    return found | ({"moved"} if way != "window" else set())


def streamed_bss_bytes(input_shape: Shape, layers: Sequence[Layer]) -> int:
    """Return the static memory of a stream: its arena, and its count of samples where no gap has room for it."""
    _, tensors = smallest_way(input_shape, layers, lifetimes(input_shape, layers))
    size = arena_bytes(tensors)
    return size + (0 if position_gap(tensors, place(tensors), size) is not None else POSITION_BYTES)
