"""Operations on integers that a network consists of, as the C source is written from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgetune_nas.model import (
        ClassMax,
        Conv,
        Dense,
        GlobalPool,
        Gram,
        Layer,
        Log,
        LpPool,
        MaxPool,
        Norm,
        Shape,
        Softmax,
    )

UINT8_ZERO = 128
"""What is taken off ONNX's uint8 values to make them int8."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Scale and zero point of a tensor of int8 values."""

    scale: np.float32
    zero: int


@dataclass(frozen=True, slots=True, eq=False)
class Weighted:
    """Convolution or dense layer; ``weight (filters, kernel, channels of a group)``.

    Attributes
    ----------
    more
        What is added to every weight, where unsigned ones do not fit into int8; else 0.
    factor
        Scale of input and weights over the scale of the output, ``(filters,)``.
    """

    layer: Conv | Dense
    takes: Scale
    gives: Scale
    weight: NDArray[np.int8]
    bias: NDArray[np.int32]
    factor: NDArray[np.float32]
    more: int


@dataclass(frozen=True, slots=True)
class Pooled:
    """Rectified or squared average, then perhaps the logarithm of it plus ``offset``."""

    layer: LpPool
    takes: Scale
    gives: Scale
    offset: float | None


@dataclass(frozen=True, slots=True)
class Largest:
    """Maximum over frames, or over the whole length, and a change of scale where there is one."""

    layer: MaxPool | GlobalPool
    takes: Scale
    gives: Scale


@dataclass(frozen=True, slots=True)
class Averaged:
    """Average over the whole length; ``both`` is None, or the scale after the maximum is put beside it."""

    layer: GlobalPool
    takes: Scale
    average: Scale
    maximum: Scale
    both: Scale | None


@dataclass(frozen=True, slots=True)
class Correlated:
    """Levels and correlations of channels.

    Attributes
    ----------
    factor
        What the length times a spread is multiplied by: the square of the scale over the length.
    exact
        Whether onnxruntime adds up integers too; else floats, in an order of its own.
    """

    layer: Gram
    takes: Scale
    gives: Scale
    share: float
    factor: np.float32
    exact: bool


@dataclass(frozen=True, slots=True)
class Done:
    """A layer without arithmetic on integers: a logarithm that the pooling did, a maximum, or the end."""

    layer: Log | ClassMax | Softmax | Norm
    takes: Scale


Operation: TypeAlias = Weighted | Pooled | Largest | Averaged | Correlated | Done


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """Operations in order.

    Attributes
    ----------
    window
        Scale of the window's samples; None where the file takes them as they are, in float.
    layers
        All layers, with those that cost nothing: what the arena is planned from.
    output
        Name of the last uint8 tensor of the ONNX file, and its scale.
    """

    input_shape: Shape
    window: Scale | None
    layers: tuple[Layer, ...]
    operations: tuple[Operation, ...]
    output: tuple[str, Scale]


class UnsupportedError(ValueError):
    """The graph has something that the C library does not compute; the message names it."""
