"""The one layer list: what a genotype expands to and what torch, the cost planner, ONNX and people read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Shape: TypeAlias = tuple[int, int]
"""``(channels, length)`` of a tensor; the batch of one is left out."""


@dataclass(frozen=True, slots=True)
class Conv:
    """1-D convolution; batch norm (folded on export) and ReLU belong to the same operation.

    ``padding`` samples are added on both sides. ``groups`` equal to the input's channels is a depthwise convolution.
    A ``frozen`` convolution (a fixed filter bank) has weights that training does not change, no bias and no norm;
    ``low`` is the share of its spectrum, from 0 Hz, that it leaves out; ``gains`` multiply its filters (none: all 1).
    One with ``taps``, its weights in order, is no bank: it mixes channels, or takes differences in time.
    Weights: ``weight (filters, channels // groups, kernel)``, ``bias (filters,)``.
    """

    filters: int
    kernel: int
    stride: int = 1
    padding: int = 0
    groups: int = 1
    norm: bool = True
    relu: bool = True
    frozen: bool = False
    low: float = 0.0
    gains: tuple[float, ...] = ()
    taps: tuple[float, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class LpPool:
    """Rectify and average (``p`` 1, mean of absolute values) or root mean square (``p`` 2) over frames, one operation.

    ``kernel`` 0 pools the whole length. ONNX ``LpPool`` gives ``(sum |x|^p)^(1/p)``, without the division by the
    kernel; so does this layer: a following `Log` or linear layer absorbs the constant.
    """

    kernel: int
    stride: int
    p: Literal[1, 2] = 1


@dataclass(frozen=True, slots=True)
class Log:
    """``log(x + offset)``, element by element."""

    offset: float


@dataclass(frozen=True, slots=True)
class Gram:
    """How channels act together over the whole window: ``atanh`` of their correlations, and their levels.

    Of channels less their means, the correlation of ``i`` and ``j`` is the sum of products over ``(s_i + offset)
    (s_j + offset)``, times `GRAM_SHARE`; ``s`` is the root of the sum of squares. Of a channel with itself the result
    is about half the logarithm of ``s / offset``. Output: the upper triangle, row by row.
    """

    offset: float


GRAM_SHARE = 0.9999
"""Keeps correlations of a `Gram` below 1 in single precision, however loud the signal is."""


@dataclass(frozen=True, slots=True)
class MaxPool:
    """Maximum over frames of ``kernel`` samples every ``stride`` samples."""

    kernel: int
    stride: int


@dataclass(frozen=True, slots=True)
class GlobalPool:
    """Average, maximum, or both (concatenated along the channels, average first) over the whole length."""

    kind: Literal["average", "max", "both"] = "average"


@dataclass(frozen=True, slots=True)
class Flatten:
    """``(channels, length)`` to ``(channels * length, 1)``; costs nothing."""


@dataclass(frozen=True, slots=True)
class Dense:
    """Fully connected layer. Weights: ``weight (outputs, inputs)``, ``bias (outputs,)``."""

    outputs: int


@dataclass(frozen=True, slots=True)
class ClassMax:
    """Maximum over each class's kinds; ``kinds`` counts them, the rows of a class stand together.

    A class may be several clouds, such as severities of one fault; each kind has a row of the dense layer before it.
    """

    kinds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Softmax:
    """Class probabilities; the last layer of a network of classes, applied to logits divided by ``temperature``."""

    temperature: float = 1.0


@dataclass(frozen=True, slots=True)
class Norm:
    """Euclidean length of a vector; the last layer of a health model, whose output is a distance and no class."""


Layer: TypeAlias = Conv | LpPool | Log | Gram | MaxPool | GlobalPool | Flatten | Dense | ClassMax | Softmax | Norm


@dataclass(frozen=True, slots=True, eq=False)
class Distances:
    """Distances to known classes, of what the dense layer of a closed form reads, beside its probabilities.

    One dense layer whitens the features and adds their mean, as loudness; a distance is the Euclidean length from there
    to a centre.

    Attributes
    ----------
    weight, bias
        ``float32 (features + 1, features)`` and ``(features + 1,)``.
    centres
        ``float32 (centres, features + 1)``; one for each kind of a class.
    labels
        Class of each centre.
    limit
        Distance beyond which a window is unlike its class.
    """

    weight: NDArray[np.float32] = field(repr=False)
    bias: NDArray[np.float32] = field(repr=False)
    centres: NDArray[np.float32] = field(repr=False)
    labels: tuple[int, ...]
    limit: float = float("inf")

    @property
    def nbytes(self) -> int:
        """Bytes of its constants."""
        return self.weight.nbytes + self.bias.nbytes + self.centres.nbytes


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A layer list with its weights: everything that exporting needs.

    Attributes
    ----------
    input_shape
        ``(channels, length)`` of a raw window.
    layers
        From the raw window to class probabilities, or to a distance.
    weights
        One mapping a layer, batch norm folded, ``float32``; empty for layers without weights.
    distances
        What tells windows that are unlike the classes, in the same graph; None where nothing there does.
    """

    input_shape: Shape
    layers: tuple[Layer, ...]
    weights: tuple[dict[str, NDArray[np.float32]], ...] = field(repr=False)
    distances: Distances | None = None


def output_shape(layer: Layer, shape: Shape) -> Shape:
    """Shape after ``layer``; ``ValueError`` where the layer does not fit ``shape``, saying why."""
    channels, length = shape
    match layer:
        case Conv():
            if channels % layer.groups or layer.filters % layer.groups:
                raise ValueError(f"{layer} cannot split {channels} channels into {layer.groups} groups")
            return layer.filters, _frames(length + 2 * layer.padding, layer.kernel, layer.stride, layer)
        case LpPool() | MaxPool():
            return channels, _frames(length, layer.kernel or length, layer.stride, layer)
        case Gram():
            return channels * (channels + 1) // 2, 1
        case GlobalPool():
            return channels * (2 if layer.kind == "both" else 1), 1
        case Flatten():
            return channels * length, 1
        case Dense() | Norm():
            if length != 1:
                raise ValueError(f"{layer} needs a vector, not {channels} x {length}; flatten or pool first")
            return layer.outputs if isinstance(layer, Dense) else 1, 1
        case ClassMax():
            if shape != (sum(layer.kinds), 1) or min(layer.kinds) < 1:
                raise ValueError(f"{layer} needs a vector of a value a kind, not {channels} x {length}")
            return len(layer.kinds), 1
        case Log() | Softmax():
            return shape


def shapes(input_shape: Shape, layers: tuple[Layer, ...]) -> tuple[Shape, ...]:
    """Output shape of every layer, in order."""
    result = []
    shape = input_shape
    for layer in layers:
        shape = output_shape(layer, shape)
        result.append(shape)
    return tuple(result)


def describe(layer: Layer) -> str:
    """One line for people, for example ``conv 128/32 x 12, relu``."""
    match layer:
        case Conv():
            kind = _kind_of(layer)
            return f"{kind} {layer.kernel}/{layer.stride} x {layer.filters}" + (", relu" if layer.relu else "")
        case LpPool():
            frames = f"{layer.kernel}/{layer.stride}" if layer.kernel else "all"
            return f"{'rectify + average' if layer.p == 1 else 'root mean square'} {frames}"
        case Log():
            return "log"
        case Gram():
            return "levels + correlations of channels"
        case MaxPool():
            return f"max {layer.kernel}/{layer.stride}"
        case GlobalPool():
            return {"average": "global average", "max": "global max", "both": "global average + max"}[layer.kind]
        case Flatten():
            return "flatten"
        case Dense():
            return f"dense x {layer.outputs}"
        case ClassMax():
            return f"max of each class ({' + '.join(map(str, layer.kinds))} kinds)"
        case Softmax():
            return "softmax"
        case Norm():
            return "distance"


def _kind_of(layer: Conv) -> str:
    if layer.taps:
        if layer.kernel > 1 and layer.filters == layer.groups:
            return "mains hum off"
        return "mix of channels" if layer.groups == 1 else "channels + differences"
    if layer.frozen:
        return "filter bank"
    return "conv" if layer.groups == 1 else f"conv ({layer.groups} groups)"


def _frames(length: int, kernel: int, stride: int, layer: Layer) -> int:
    if not 1 <= kernel <= length or stride < 1:
        raise ValueError(f"{layer} does not fit a length of {length}")
    return (length - kernel) // stride + 1
