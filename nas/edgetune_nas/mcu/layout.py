"""Where each tensor lies in the arena, for whole windows or sample by sample, by the rule of the card's cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgetune_nas.model import (
    ClassMax,
    Conv,
    Flatten,
    GlobalPool,
    Gram,
    LpPool,
    MaxPool,
    Tensor,
    arena_bytes,
    lifetimes,
    output_shape,
    place,
    position_gap,
    smallest_way,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgetune_nas.model import Layer, Shape, Way

WORD = 4


@dataclass(frozen=True, slots=True)
class Place:
    """Byte offsets of a layer's input, of its output, and of what it needs besides."""

    x: int
    y: int
    besides: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """An arena.

    Attributes
    ----------
    way
        Whether it holds the window, or the samples that the first operation still needs (``held``), and with them the
        running sums of the second (``sums``).
    places
        One a layer that is an operation, in order. Of a stream, that of the first (``held``) or the first two layers
        (``sums``) begins with what is held; ``besides`` has the frame and the running sums.
    position
        Offset of the count of samples; None where the window is whole, or no gap of the arena has room for it.
    """

    bytes: int
    way: Way
    places: tuple[Place, ...]
    position: int | None = None


def whole(input_shape: Shape, layers: Sequence[Layer]) -> Layout:
    """Lay out the arena of a stored window."""
    tensors = lifetimes(input_shape, layers)
    return Layout(arena_bytes(tensors), "window", _places(layers, place(tensors)))


def streamed(input_shape: Shape, layers: Sequence[Layer]) -> Layout:
    """Lay out the smallest arena of a window that arrives sample by sample."""
    way, best = smallest_way(input_shape, layers, lifetimes(input_shape, layers))
    offsets = place(best)
    size = arena_bytes(best)
    if way == "sums":
        places = _accumulated(layers, offsets, output_shape(layers[0], input_shape)[0])
    else:
        places = _places(layers, offsets)
    return Layout(size, way, places, position_gap(best, offsets, size))


def overlapped(input_shape: Shape, layers: Sequence[Layer], hop: int) -> Layout:
    """Lay out the smallest arena of windows that begin every ``hop`` samples, which arrive one by one.

    Kept from window to window are the samples, or the output of the first operation with the samples that it still
    needs. The latter needs a hop of whole strides and no padding, for the first frames of a window are then those of
    the window before.
    """
    tensors = lifetimes(input_shape, layers)
    end = tensors[-1].last
    found: list[tuple[Way, list[Tensor]]] = [("window", [tensors[0]._replace(last=end), *tensors[1:]])]
    first, (channels, length) = layers[0], input_shape
    if isinstance(first, Conv | LpPool | MaxPool) and 0 < first.kernel < length and not getattr(first, "padding", 0):
        frames = output_shape(first, input_shape)[1]
        if not hop % first.stride and hop // first.stride <= frames:
            held = Tensor(channels * first.kernel, 0, end)
            found.append(("held", [held, tensors[1]._replace(first=0, last=end), *tensors[2:]]))
    way, best = min(found, key=lambda each: arena_bytes(each[1]))
    offsets, size = place(best), arena_bytes(best)
    return Layout(size, way, _places(layers, offsets), position_gap(best, offsets, size))


def _places(layers: Sequence[Layer], offsets: Sequence[int]) -> tuple[Place, ...]:
    found, at = [], 0
    for layer in layers:
        if isinstance(layer, Flatten):
            continue
        besides = 2 if isinstance(layer, GlobalPool) and layer.kind == "both" else isinstance(layer, ClassMax | Gram)
        after = at + besides + 1
        found.append(Place(offsets[at], offsets[after], tuple(offsets[at + 1 : after])))
        at = after
    return tuple(found)


def _accumulated(layers: Sequence[Layer], offsets: Sequence[int], channels: int) -> tuple[Place, ...]:
    """Places where the second operation keeps sums: held samples, a frame, sums, the second's output, and the rest.

    Behind sums of 32 bits for each of the ``channels`` stand their maxima, where both are kept.
    """
    held, frame, sums, *rest = offsets
    return Place(held, frame), Place(frame, rest[0], (sums, sums + WORD * channels)), *_places(layers[2:], rest)
