"""Statements of the C source: what runs over whole tensors, and what runs as samples arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgetune_nas.mcu.operations import Averaged, Correlated, Done, Largest, Pooled, Weighted
from edgetune_nas.model import ClassMax, Log, MaxPool

if TYPE_CHECKING:
    from edgetune_nas.mcu.layout import Place
    from edgetune_nas.mcu.operations import Operation, Scale
    from edgetune_nas.model import Shape


def on_tensor(index: int, operation: Operation, place: Place, shape: Shape) -> list[str]:
    """Return the statements that compute an operation whose output has the ``shape``."""
    name, x, y = f"layer{index}", byte(place.x), byte(place.y)
    count = shape[0] * shape[1]
    match operation:
        case Weighted():
            return [f"edgetune_conv(&{name}, {x}, {y});"]
        case Pooled():
            return [f"edgetune_pool(&{name}, {x}, {y});"]
        case Largest(layer=MaxPool()):
            return [f"edgetune_max_pool(&{name}, {x}, {y});", *_changed(f"{name}_change", operation, place.y, count)]
        case Largest():
            return [f"edgetune_maximum(&{name}, {x}, {y});", *_changed(f"{name}_change", operation, place.y, count)]
        case Averaged(both=None):
            return [f"edgetune_average(&{name}, {x}, {y});"]
        case Averaged():
            average, most = (byte(each) for each in place.besides)
            return [
                f"edgetune_average(&{name}, {x}, {average});",
                f"edgetune_maximum(&{name}, {x}, {most});",
                *_beside(name, operation, (place.besides[0], place.besides[1], place.y), count // 2),
            ]
        case Correlated():
            return [f"edgetune_gram(&{name}, {x}, {word(place.besides[0])}, {y});"]
        case Done(layer=Log()):
            return [f"(void)memcpy({y}, {x}, {count}U);"]
        case Done(layer=ClassMax()):
            return [f"edgetune_class_max({name}_kinds, {shape[0]}U, {x}, {y});"]
    return []


def on_frame(index: int, operation: Operation, place: Place, x: str, at: str) -> list[str]:
    """Return the statements that add a frame ``x``, number ``at`` of the window, to running sums."""
    name, sums = f"layer{index}", word(place.besides[0])
    match operation:
        case Pooled():
            return [f"edgetune_pool_push(&{name}, {x}, {at}, {sums}, {byte(place.y)});"]
        case Correlated():
            return [f"edgetune_gram_push(&{name}, {x}, {at}, {sums});"]
        case Averaged(both=None):
            return [f"edgetune_global_push(&{name}, {x}, {at}, {sums}, 0);"]
        case Averaged():
            return [f"edgetune_global_push(&{name}, {x}, {at}, {sums}, {byte(place.besides[1])});"]
        case Largest():
            return [f"edgetune_global_push(&{name}, {x}, {at}, 0, {byte(place.besides[0])});"]
    raise AssertionError(f"{operation} keeps no sums")


def at_end(index: int, operation: Operation, place: Place, shape: Shape) -> list[str]:
    """Return the statements that make an output of the ``shape`` of running sums."""
    name, y, count = f"layer{index}", byte(place.y), shape[0] * shape[1]
    sums = place.besides[0]
    match operation:
        case Correlated():
            return [f"edgetune_gram_end(&{name}, {word(sums)}, {y});"]
        case Averaged(both=None):
            return [f"edgetune_average_end(&{name}, {word(sums)}, {y});"]
        case Averaged():
            half = count // 2
            most = place.besides[1]
            return [
                f"edgetune_average_end(&{name}, {word(sums)}, {y});",
                *_beside(name, operation, (place.y, most, place.y), half),
            ]
        case Largest():
            copy = f"(void)memcpy({y}, {byte(sums)}, {count}U);"
            return [copy, *_changed(f"{name}_change", operation, place.y, count)]
    return []


def byte(offset: int) -> str:
    """Return the address of a tensor."""
    return f"tensor({offset}U)"


def word(offset: int) -> str:
    """Return the address of running sums."""
    return f"SUMS({offset}U)"


def _changed(name: str, operation: Largest, at: int, count: int) -> list[str]:
    return change(name, operation.takes, operation.gives, at, at, count)


def _beside(name: str, operation: Averaged, places: tuple[int, int, int], count: int) -> list[str]:
    """Average and maximum, each rounded to its own scale, then to that of both."""
    average, most, y = places
    if operation.both is None:
        raise AssertionError("there is one of them")
    return [
        *change(f"{name}_average", operation.average, operation.both, average, y, count),
        *change(f"{name}_most", operation.takes, operation.maximum, most, most, count),
        *change(f"{name}_maximum", operation.maximum, operation.both, most, y + count, count),
    ]


def change(name: str, takes: Scale, gives: Scale, x: int, y: int, count: int) -> list[str]:
    """Return the statements that move ``count`` values to another place, in another scale."""
    if takes != gives:
        return [f"edgetune_change(&{name}, {byte(x)}, {byte(y)}, {count}U);"]
    return [] if x == y else [f"(void)memcpy({byte(y)}, {byte(x)}, {count}U);"]
