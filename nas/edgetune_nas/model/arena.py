"""Tensor lifetimes of a layer list and the greedy arena that holds them, as TensorFlow Lite Micro plans it."""

from __future__ import annotations

from bisect import insort
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from edgetune_nas.model.layers import ClassMax, Conv, Flatten, GlobalPool, Gram, LpPool, MaxPool, output_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgetune_nas.model.layers import Layer, Shape

ARENA_RULE: Final = "tflm-greedy-16/1"
"""Name and version of the rules of this module; any change of a figure needs a new version."""

ALIGNMENT: Final = 16
ACCUMULATOR_BYTES: Final = 4
POSITION_BYTES: Final = 2
"""Bytes in which a stream in C counts the samples of a window."""
Way: TypeAlias = Literal["window", "held", "sums"]
"""What is kept between samples: all of the window, what the first operation still needs, or that and running sums."""


class Tensor(NamedTuple):
    """A tensor's size (elements, or bytes where it is not scaled) and the first and last operation it lives in."""

    size: int
    first: int
    last: int


def lifetimes(input_shape: Shape, layers: Sequence[Layer]) -> list[Tensor]:
    """Tensors of the stored-window graph with sizes in elements: the window first, then outputs in order.

    Every layer is one operation whose input and output live together: nothing is written in place. There are four
    exceptions. `Flatten` is no operation and makes no tensor. `GlobalPool` ``"both"`` is three operations: average,
    max, concatenation. `ClassMax` is two: a table of classes by kinds, max. `Gram` is two: 32-bit sums of samples and
    of products, then the result. The window lives until its last use.

    Raises
    ------
    ValueError
        When a layer does not fit the shape before it.
    """
    tensors: list[Tensor] = []
    shape = input_shape
    size, first = shape[0] * shape[1], 0
    operation = 0
    for layer in layers:
        before, shape = shape, output_shape(layer, shape)
        if isinstance(layer, Flatten):
            continue
        if isinstance(layer, GlobalPool) and layer.kind == "both":
            half = shape[0] // 2
            tensors.append(Tensor(size, first, operation + 1))
            tensors.append(Tensor(half, operation, operation + 2))
            tensors.append(Tensor(half, operation + 1, operation + 2))
            operation += 2
        else:
            tensors.append(Tensor(size, first, operation))
        if isinstance(layer, ClassMax):
            tensors.append(Tensor(len(layer.kinds) * max(layer.kinds), operation, operation + 1))
            operation += 1
        if isinstance(layer, Gram):
            tensors.append(Tensor(_running(layer, before[0]), operation, operation + 1))
            operation += 1
        size, first = shape[0] * shape[1], operation
        operation += 1
    tensors.append(Tensor(size, first, max(operation - 1, 0)))
    return tensors


def streamed_lifetimes(
    input_shape: Shape, layers: Sequence[Layer], tensors: Sequence[Tensor], *, accumulate: bool
) -> list[Tensor] | None:
    """Tensors (int8, sizes in bytes) when the first operation is fed sample by sample; ``None`` if it cannot be.

    In place of the window stands what the first operation needs between two samples: a ring of ``channels * kernel``
    bytes, or, for `LpPool`, one 32-bit running sum for each channel and each frame open at once if that is smaller.
    With ``accumulate``, a pooling layer directly after it keeps running sums (32 bits) or maxima (8 bits) too. The
    first operation's output then shrinks to one frame. Everything that lives while samples arrive is operation 0; the
    rest of the graph runs after the window's last sample, when ring and sums are free.

    Parameters
    ----------
    tensors
        What `lifetimes` gives for the same shape and layers.
    """
    first = layers[0] if layers else None
    channels, length = input_shape
    if isinstance(first, Gram) and not accumulate:
        return [Tensor(channels, 0, 0), *tensors[1:]]
    if not isinstance(first, Conv | LpPool | MaxPool) or first.kernel >= length:
        return None
    held = channels * (first.kernel or length)
    if isinstance(first, LpPool):
        held = min(held, _running(first, channels))
    if not accumulate:
        return [Tensor(held, 0, 0), *tensors[1:]]
    pool = layers[1] if len(layers) > 1 else None
    if not isinstance(pool, LpPool | GlobalPool | Gram):
        return None
    frame = first.filters if isinstance(first, Conv) else channels
    if isinstance(pool, Gram):
        later = (Tensor(size, start - 1, last - 1) for size, start, last in tensors[2:])
        return [Tensor(held, 0, 0), Tensor(frame, 0, 0), *later]
    done = 3 if isinstance(pool, GlobalPool) and pool.kind == "both" else 1
    return [
        Tensor(held, 0, 0),
        Tensor(frame, 0, 0),
        Tensor(_running(pool, frame), 0, 0),
        *(Tensor(size, max(start - done, 0), last - done) for size, start, last in tensors[1 + done :]),
    ]


def smallest_way(input_shape: Shape, layers: Sequence[Layer], tensors: Sequence[Tensor]) -> tuple[Way, list[Tensor]]:
    """Return the way of streaming with the smallest arena, and its tensors; `lifetimes` gives ``tensors``."""
    found: list[tuple[Way, list[Tensor]]] = [("window", list(tensors))]
    ways: tuple[tuple[Way, bool], ...] = (("held", False), ("sums", True))
    for way, accumulate in ways:
        known = streamed_lifetimes(input_shape, layers, tensors, accumulate=accumulate)
        if known is not None:
            found.append((way, known))
    return min(found, key=lambda each: arena_bytes(each[1]))


def with_distance_tensors(tensors: Sequence[Tensor], head: Sequence[Layer], white: int, centres: int) -> list[Tensor]:
    """Add the tensors of `Distances`, which come last: whitened features, then the distances.

    Parameters
    ----------
    tensors
        Of the graph or of a stream, in elements or bytes.
    head
        Layers from the dense one on, whose input lives until it is whitened.
    """
    made = sum(2 if isinstance(layer, ClassMax) else 1 for layer in head)
    end = max(tensor.last for tensor in tensors) + 1
    shared = len(tensors) - 1 - made
    kept = list(tensors)
    kept[shared] = kept[shared]._replace(last=end)
    kept[-1] = kept[-1]._replace(last=end + 1)
    return [*kept, Tensor(white, end, end + 1), Tensor(centres, end + 1, end + 1)]


def place(tensors: Sequence[Tensor], element_bytes: int = 1) -> list[int]:
    """Byte offset of each tensor under `ARENA_RULE`.

    The largest tensor comes first, and of two equal ones the earlier. Each goes to the lowest gap between the tensors
    already placed that live at the same time. Sizes are rounded up to 16 bytes. After
    ``GreedyMemoryPlanner::CalculateOffsetsIfNeeded`` of TensorFlow Lite Micro.
    """
    sizes = [-(-tensor.size * element_bytes // ALIGNMENT) * ALIGNMENT for tensor in tensors]
    offsets = [0] * len(sizes)
    placed: list[tuple[int, int, int, int]] = []
    for index in sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True):
        size = sizes[index]
        _, first, last = tensors[index]
        offset = 0
        for other_offset, other_end, other_first, other_last in placed:
            if other_first <= last and other_last >= first:
                if other_offset - offset >= size:
                    break
                offset = max(offset, other_end)
        offsets[index] = offset
        insort(placed, (offset, offset + size, first, last))
    return offsets


def arena_bytes(tensors: Sequence[Tensor], element_bytes: int = 1) -> int:
    """Size in bytes of the arena that `place` fills."""
    offsets = place(tensors, element_bytes)
    end = max(offset + tensor.size * element_bytes for offset, tensor in zip(offsets, tensors, strict=True))
    return -(-end // ALIGNMENT) * ALIGNMENT


def position_gap(tensors: Sequence[Tensor], offsets: Sequence[int], size: int) -> int | None:
    """Return a free place for the count of samples while these arrive; None where there is none.

    The output of the window before, the last tensor but one, stays readable.
    """
    known = list(zip(tensors, offsets, strict=True))
    taken = sorted(
        (offset, offset + tensor.size) for tensor, offset in known if not tensor.first or tensor is tensors[-2]
    )
    at = 0
    for start, end in [*taken, (size, size)]:
        if start - at >= POSITION_BYTES:
            return at
        at = max(at, end)
    return None


def sums_first(layer: Layer, channels: int) -> bool:
    """Return whether a pooling layer that comes first keeps sums rather than samples."""
    return isinstance(layer, LpPool) and (
        not layer.kernel or ACCUMULATOR_BYTES * -(-layer.kernel // layer.stride) * channels < layer.kernel * channels
    )


def _running(pool: LpPool | GlobalPool | Gram, channels: int) -> int:
    """Bytes of running sums and maxima of a pooling layer that is fed frame by frame."""
    match pool:
        case Gram():
            return ACCUMULATOR_BYTES * channels * (channels + 3) // 2
        case LpPool(kernel=0):
            return ACCUMULATOR_BYTES * channels
        case LpPool(kernel=kernel, stride=stride):
            return ACCUMULATOR_BYTES * channels * -(-kernel // stride)
        case GlobalPool(kind=kind):
            return channels * {"average": ACCUMULATOR_BYTES, "max": 1, "both": ACCUMULATOR_BYTES + 1}[kind]
