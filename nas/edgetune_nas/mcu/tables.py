"""Constant tables of the C source: one description an operation, and its weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edgetune_nas.mcu.operations import Averaged, Correlated, Done, Largest, Pooled, Weighted
from edgetune_nas.model import ClassMax, Conv, LpPool, MaxPool

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgetune_nas.mcu.operations import Operation, Scale
    from edgetune_nas.model import Shape

WIDTH = 116


@dataclass(frozen=True, slots=True)
class Written:
    """An operation in C: its tables, and the name of its description."""

    tables: str
    name: str


def number(value: float | np.float32) -> str:
    """Return a C constant of exactly this float."""
    return f"{np.format_float_scientific(np.float32(value), unique=True, trim='0')}f"


def array(kind: str, name: str, values: Iterable[str]) -> str:
    """Return the definition of a constant table."""
    items = list(values)
    lines, line = [], "   "
    for item in items:
        if len(line) + len(item) + 2 > WIDTH:
            lines.append(line)
            line = "   "
        line += f" {item},"
    return f"static const {kind} {name}[{len(items)}] = {{\n" + "\n".join([*lines, line]) + "\n};\n"


def _struct(kind: str, name: str, fields: dict[str, str]) -> str:
    inner = "".join(f"    .{key} = {value},\n" for key, value in fields.items())
    return f"static const {kind} {name} = {{\n{inner}}};\n"


def describe_operation(index: int, operation: Operation, before: Shape) -> Written:
    """Write the tables of an operation on a tensor of shape ``before``; of some operations there are none."""
    name = f"layer{index}"
    channels, length = before
    match operation:
        case Weighted():
            return Written(_weighted(name, operation, before), name)
        case Pooled():
            kernel = operation.layer.kernel or length
            fields = {
                "scale": number(operation.takes.scale),
                "offset": number(operation.offset or 0.0),
                "out_scale": number(operation.gives.scale),
                "length": f"{length}U",
                "channels": f"{channels}U",
                "kernel": f"{kernel}U",
                "stride": f"{operation.layer.stride}U",
                "squares": f"{operation.layer.p - 1}U",
                "log": f"{int(operation.offset is not None)}U",
                "zero": str(operation.takes.zero),
                "out_zero": str(operation.gives.zero),
            }
            return Written(_struct("edgetune_pool_t", name, fields), name)
        case Largest(layer=MaxPool() as layer):
            fields = {
                "length": f"{length}U",
                "channels": f"{channels}U",
                "kernel": f"{layer.kernel}U",
                "stride": f"{layer.stride}U",
            }
            return Written(
                _struct("edgetune_pool_t", name, fields) + _change(f"{name}_change", operation.takes, operation.gives),
                name,
            )
        case Largest():
            change = _change(f"{name}_change", operation.takes, operation.gives)
            return Written(_global(name, before, operation.takes, operation.takes) + change, name)
        case Averaged():
            tables = _global(name, before, operation.takes, operation.average)
            if operation.both is not None:
                tables += _change(f"{name}_average", operation.average, operation.both)
                tables += _change(f"{name}_most", operation.takes, operation.maximum)
                tables += _change(f"{name}_maximum", operation.maximum, operation.both)
            return Written(tables, name)
        case Correlated():
            fields = {
                "factor": number(operation.factor),
                "offset": number(operation.layer.offset),
                "share": number(operation.share),
                "out_scale": number(operation.gives.scale),
                "length": f"{length}U",
                "channels": f"{channels}U",
                "out_zero": str(operation.gives.zero),
            }
            return Written(_struct("edgetune_gram_t", name, fields), name)
        case Done(layer=ClassMax(kinds)):
            return Written(array("uint8_t", f"{name}_kinds", (f"{each}U" for each in kinds)), name)
    return Written("", name)


def describe_frame(index: int, operation: Operation, channels: int) -> Written:
    """Write the tables of an operation that is given the samples of one of its frames at a time."""
    match operation:
        case Weighted(layer=Conv() as layer):
            frame = replace(operation, layer=replace(layer, padding=0))
            return describe_operation(index, frame, (channels, layer.kernel))
        case Pooled(layer=LpPool() as layer) | Largest(layer=MaxPool() as layer):
            return describe_operation(index, operation, (channels, layer.kernel))
    raise AssertionError(f"{operation} has no frames")


def _weighted(name: str, operation: Weighted, before: Shape) -> str:
    layer = operation.layer
    channels, length = before
    kernel, stride, padding, groups = 1, 1, 0, 1
    if isinstance(layer, Conv):
        kernel, stride, padding, groups = layer.kernel, layer.stride, layer.padding, layer.groups
    else:
        channels, length = channels * length, 1
    fields = {
        "weight": f"{name}_weight",
        "bias": f"{name}_bias",
        "scale": f"{name}_scale",
        "length": f"{length}U",
        "channels": f"{channels}U",
        "filters": f"{len(operation.weight)}U",
        "kernel": f"{kernel}U",
        "stride": f"{stride}U",
        "padding": f"{padding}U",
        "groups": f"{groups}U",
        "weight_more": str(operation.more),
        "zero": str(operation.takes.zero),
        "out_zero": str(operation.gives.zero),
    }
    return (
        array("int8_t", f"{name}_weight", (str(each) for each in operation.weight.reshape(-1)))
        + array("int32_t", f"{name}_bias", (str(each) for each in operation.bias))
        + array("float", f"{name}_scale", (number(each) for each in operation.factor))
        + _struct("edgetune_conv_t", name, fields)
    )


def _global(name: str, before: Shape, takes: Scale, average: Scale) -> str:
    channels, length = before
    fields = {
        "average_scale": number(takes.scale / (average.scale * np.float32(length))),
        "length": f"{length}U",
        "channels": f"{channels}U",
        "zero": str(takes.zero),
        "average_zero": str(average.zero),
    }
    return _struct("edgetune_global_t", name, fields)


def _change(name: str, takes: Scale, gives: Scale) -> str:
    if takes == gives:
        return ""
    fields = {
        "scale": number(takes.scale),
        "out_scale": number(gives.scale),
        "zero": str(takes.zero),
        "out_zero": str(gives.zero),
    }
    return _struct("edgetune_change_t", name, fields)
