"""The int8 network of a bundle as a list of operations on integers, read from its ONNX file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgetune_nas.mcu.operations import (
    UINT8_ZERO,
    Averaged,
    Correlated,
    Done,
    Largest,
    Operation,
    Pooled,
    Program,
    Scale,
    UnsupportedError,
    Weighted,
)
from edgetune_nas.model import (
    GRAM_SHARE,
    ClassMax,
    Conv,
    Dense,
    Flatten,
    GlobalPool,
    Gram,
    Layer,
    Log,
    LpPool,
    MaxPool,
    Norm,
    Shape,
    Softmax,
    shapes,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

INTEGER_GRAM: Final = (
    *("Transpose", "MatMulInteger", "MatMulInteger", "Cast", "Transpose", "Cast", "Mul", "MatMul", "Sub", "Cast"),
    *("Mul", "Flatten", "Gather", "Sqrt", "Add", "Div", "Transpose", "Div", "Mul", "Add", "Mul", "Add", "Div", "Log"),
    *("Mul", "Flatten", "Gather"),
)
"""Operations of a Gram layer as `edgetune_nas.onnx_io.int8_gram` writes them."""


def read_program(data: bytes, samples: Scale) -> Program:
    """Return the program of an int8 ONNX file that `edgetune_nas.onnx_io.check_network` has accepted.

    ``samples`` is the scale of the window where the file has none.

    Raises
    ------
    UnsupportedError
        When the graph has an operation, or an order of operations, that the C library does not know.
    """
    return _Reader(data, samples).program()


class _Reader:
    """Walks the graph from its input to its end; ``_nodes`` are those left, without conversions of scale."""

    def __init__(self, data: bytes, samples: Scale) -> None:
        import onnx
        from onnx import numpy_helper

        graph = onnx.load_model_from_string(data).graph
        self._constants: dict[str, NDArray[Any]] = {
            each.name: numpy_helper.to_array(each) for each in graph.initializer
        }
        self._stored: dict[str, tuple[str, str, str]] = {}
        self._scale_of: dict[str, Scale] = {}
        self._quantised: dict[str, tuple[str, Scale]] = {}
        self._integers: dict[str, Scale] = {}
        self._nodes = []
        for node in graph.node:
            if node.op_type == "QuantizeLinear":
                scale = self._scale(node.input[1], node.input[2])
                self._quantised[node.input[0]] = node.output[0], scale
                self._integers[node.output[0]] = scale
            elif node.op_type == "DequantizeLinear" and node.input[0] in self._constants:
                self._stored[node.output[0]] = node.input[0], node.input[1], node.input[2]
            elif node.op_type == "DequantizeLinear":
                self._scale_of[node.output[0]] = self._scale(node.input[1], node.input[2])
            else:
                self._nodes.append(node)
        _, channels, length = (each.dim_value for each in graph.input[0].type.tensor_type.shape.dim)
        self._input = graph.input[0].name
        self._shape = self._input_shape = (channels, length)
        self._samples = samples
        self._layers: list[Layer] = []
        self._operations: list[Operation] = []
        self._output: tuple[str, Scale] | None = None

    def program(self) -> Program:
        window = self._quantised.get(self._input, (None, None))[1]
        if window is None and self._nodes[0].op_type not in ("LpPool", "GlobalLpPool", "ReduceMean"):
            raise UnsupportedError(f"{self._nodes[0].name} takes float samples; the file is not quantised")
        while self._nodes:
            self._step()
        if self._output is None or not isinstance(self._layers[-1], Softmax | Norm):
            raise UnsupportedError("the graph does not end in a dense layer and its softmax or norm")
        return Program(self._input_shape, window, tuple(self._layers), tuple(self._operations), self._output)

    def _step(self) -> None:
        node = self._nodes[0]
        following = self._nodes[1].op_type if len(self._nodes) > 1 else ""
        match node.op_type, following:
            case "Conv", _:
                self._convolution()
            case "Gemm", _:
                self._dense()
            case (("LpPool" | "GlobalLpPool"), _):
                self._pool()
            case "MaxPool", _:
                self._take()
                self._add(Largest(MaxPool(_number(node, "kernel_shape"), _number(node, "strides")), *self._ends(node)))
            case "GlobalAveragePool", _:
                self._average()
            case "GlobalMaxPool", _:
                self._take()
                self._add(Largest(GlobalPool("max"), *self._ends(node)))
            case ("ReduceMean", "Sub") | ("Transpose", "MatMulInteger"):
                self._gram()
            case "Gather", "GlobalMaxPool":
                self._class_max()
            case "Flatten", _:
                self._take()
                if self._shape[1] > 1:
                    self._layers.append(Flatten())
                    self._shape = self._shape[0] * self._shape[1], 1
            case (("Softmax" | "ReduceL2"), "") if self._output is not None:
                self._take()
                self._add(Done(Softmax() if node.op_type == "Softmax" else Norm(), self._output[1]))
            case _:
                raise UnsupportedError(f"{node.name} ({node.op_type}) is no operation of the C library where it stands")

    def _take(self, *operations: str) -> list[Any]:
        """Remove the next nodes, which must be of these ``operations`` (one node of any without)."""
        count = len(operations) or 1
        taken, self._nodes = self._nodes[:count], self._nodes[count:]
        found = tuple(each.op_type for each in taken)
        if operations and found != operations:
            raise UnsupportedError(
                f"{taken[0].name} is followed by {', '.join(found[1:])}, not {', '.join(operations[1:])}"
            )
        return taken

    def _add(self, operation: Operation) -> None:
        self._operations.append(operation)
        self._layers.append(operation.layer)
        self._shape = shapes(self._shape, (operation.layer,))[0]

    def _convolution(self) -> None:
        (node,) = self._take()
        takes, gives = self._ends(node)
        weight, scales, more = self._weights(node.input[1])
        layer = Conv(
            filters=len(weight),
            kernel=weight.shape[2],
            stride=_number(node, "strides"),
            padding=_number(node, "pads"),
            groups=_number(node, "group"),
            frozen=len(node.input) < 3,  # noqa: PLR2004 - input, weight, bias
        )
        bias = self._bias(node.input[2] if len(node.input) > 2 else None, len(weight))  # noqa: PLR2004 - as above
        own = weight.transpose(0, 2, 1)  # channels of a frame stand together
        self._add(_weighted(layer, takes, gives, own, bias, scales, more))
        if self._nodes and self._nodes[0].op_type == "Relu":
            raise UnsupportedError(f"{self._nodes[0].name} is an operation of its own in this file")

    def _dense(self) -> None:
        (node,) = self._take()
        takes, gives = self._ends(node)
        weight, scales, more = self._weights(node.input[1])
        before = self._before_flatten()
        own = weight.reshape(len(weight), *before).transpose(0, 2, 1).reshape(len(weight), 1, -1)
        bias = self._bias(node.input[2], len(weight))
        self._add(_weighted(Dense(len(weight)), takes, gives, own, bias, scales, more))
        self._output = self._quantised[node.output[0]]

    def _before_flatten(self) -> Shape:
        """Return channels and length of the vector that a dense layer takes, before it was one."""
        if self._layers and isinstance(self._layers[-1], Flatten):
            return shapes(self._input_shape, tuple(self._layers[:-1]))[-1] if self._layers[:-1] else self._input_shape
        return self._shape

    def _pool(self) -> None:
        (node,) = self._take()
        power = _number(node, "p")
        layer = LpPool(0, 1, 1 if power == 1 else 2)
        if node.op_type == "LpPool":
            layer = LpPool(_number(node, "kernel_shape"), _number(node, "strides"), layer.p)
        takes, last, offset = self._source(node), node, None
        if self._nodes and self._nodes[0].op_type == "Add":
            add, last = self._take("Add", "Log")
            offset = float(self._constants[add.input[1]])
        gives = self._landing(last)
        self._add(Pooled(layer, takes, gives, offset))
        if offset is not None:
            self._add(Done(Log(offset), gives))

    def _average(self) -> None:
        if len(self._nodes) > 1 and self._nodes[1].op_type == "GlobalMaxPool":
            average, maximum, both = self._take("GlobalAveragePool", "GlobalMaxPool", "Concat")
            scales = self._landing(average), self._landing(maximum), self._landing(both)
            self._add(Averaged(GlobalPool("both"), self._source(average), *scales))
            return
        (average,) = self._take()
        takes, gives = self._ends(average)
        self._add(Averaged(GlobalPool("average"), takes, gives, gives, None))

    def _gram(self) -> None:
        if self._nodes[0].op_type == "Transpose":
            taken = self._take(*INTEGER_GRAM)
            of = {node.name.rpartition("int8_")[2]: node for node in taken}
            takes = self._integers[taken[0].input[0]]
            factor = np.float32(self._constants[of["spread"].input[1]])
            self._correlated(of["level"], of["share"], taken[-1], takes, factor, exact=True)
            return
        names = "ReduceMean", "Sub", "GlobalLpPool", "Add", "Div", "Transpose", "MatMul", "Mul", "Atanh", "Flatten"
        taken = self._take(*names, "Gather")
        takes = self._source(taken[0])
        factor = takes.scale * takes.scale / np.float32(self._shape[1])
        self._correlated(taken[3], taken[7], taken[-1], takes, factor, exact=False)

    def _correlated(self, level: Any, share: Any, last: Any, takes: Scale, factor: np.float32, *, exact: bool) -> None:
        part = float(self._constants[share.input[1]])
        if part != float(np.float32(GRAM_SHARE)):
            raise UnsupportedError(f"{share.name} multiplies by {part:g}, not by {GRAM_SHARE}")
        layer = Gram(float(self._constants[level.input[1]]))
        self._add(Correlated(layer, takes, self._landing(last), part, factor, exact))

    def _class_max(self) -> None:
        gather, _ = self._take("Gather", "GlobalMaxPool")
        table = self._constants[gather.input[1]]
        kinds = tuple(len(np.unique(each)) for each in table)
        firsts = np.cumsum((0, *kinds[:-1]))
        if self._output is None or [each[0] for each in table] != firsts.tolist():
            raise UnsupportedError(f"{gather.name} is no table of the kinds of classes behind a dense layer")
        self._add(Done(ClassMax(kinds), self._output[1]))

    def _ends(self, node: Any) -> tuple[Scale, Scale]:
        return self._source(node), self._landing(node)

    def _source(self, node: Any) -> Scale:
        """Return the scale of a node's input, wherever it was flattened since."""
        name = node.input[0]
        if name == self._input:
            return self._samples
        if name not in self._scale_of:
            raise UnsupportedError(
                f"{node.name} ({node.op_type}) takes float values; the C library has int8 ones alone"
            )
        return self._scale_of[name]

    def _landing(self, node: Any) -> Scale:
        """Return the scale that a node's output is rounded to, perhaps after it is flattened."""
        name = node.output[0]
        if name not in self._quantised and self._nodes and list(self._nodes[0].input) == [name]:
            name = self._nodes[0].output[0] if self._nodes[0].op_type == "Flatten" else name
        if name not in self._quantised:
            raise UnsupportedError(
                f"{node.name} ({node.op_type}) gives float values; the C library has int8 ones alone"
            )
        return self._quantised[name][1]

    def _scale(self, scale: str, zero: str) -> Scale:
        point = self._constants[zero]
        at = int(point) - (UINT8_ZERO if point.dtype == np.uint8 else 0)
        return Scale(np.float32(self._constants[scale]), at)

    def _weights(self, name: str) -> tuple[NDArray[np.int8], NDArray[np.float32], int]:
        """Return weights as int8, their scales, and what is to be added to every weight."""
        if name not in self._stored:
            raise UnsupportedError(f"the weights {name} are not stored as int8")
        data, scale, zero = (self._constants[each] for each in self._stored[name])
        scales = np.broadcast_to(np.float32(scale), (len(data),)).astype(np.float32)
        if zero.ndim and np.any(zero != zero.flat[0]):
            raise UnsupportedError(f"the weights {name} have several zero points")
        shifted = data.astype(np.int32) - int(zero.flat[0] if zero.ndim else zero)
        more = 0
        if shifted.min() < -UINT8_ZERO or shifted.max() >= UINT8_ZERO:
            more = int(shifted.max()) - (UINT8_ZERO - 1)
        return (shifted - more).astype(np.int8), scales, more

    def _bias(self, name: str | None, filters: int) -> NDArray[np.int32]:
        if name is None:
            return np.zeros(filters, np.int32)
        if name not in self._stored:
            raise UnsupportedError(f"the bias {name} is not stored as integers")
        found: NDArray[np.int32] = self._constants[self._stored[name][0]].astype(np.int32)
        return found


def _weighted(
    layer: Conv | Dense,
    takes: Scale,
    gives: Scale,
    weight: NDArray[np.int8],
    bias: NDArray[np.int32],
    scales: NDArray[np.float32],
    more: int,
) -> Weighted:
    """Take the input's zero point off in the bias; the sum of products may not overflow."""
    bound = np.abs(weight.astype(np.int64) + more).sum(axis=(1, 2)) * 255 + np.abs(bias.astype(np.int64))
    if bound.max() >= 2**31:
        raise UnsupportedError(f"{layer} may overflow sums of 32 bits")
    lifted = bias - takes.zero * weight.astype(np.int64).sum(axis=(1, 2))
    factor = takes.scale * scales / gives.scale
    return Weighted(layer, takes, gives, weight, lifted.astype(np.int32), factor.astype(np.float32), more)


def _number(node: Any, name: str) -> int:
    from onnx import helper

    value = next(helper.get_attribute_value(each) for each in node.attribute if each.name == name)
    return int(value if isinstance(value, int) else value[0])
