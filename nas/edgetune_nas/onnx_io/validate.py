"""A foreign network is refused before onnxruntime sees it: only what edgetune writes, and what the card says of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edgetune_nas.errors import BundleError
from edgetune_nas.onnx_io.parser import DOUBLE, FLOAT, INT8, INT32, MAX_ELEMENTS, UINT8, GraphTensor, read_graph
from edgetune_nas.onnx_io.protobuf import WireError
from edgetune_nas.onnx_io.runtime import DISTANCE, INPUT, OUTPUT

if TYPE_CHECKING:
    from edgetune_nas.card import ModelCard
    from edgetune_nas.onnx_io.parser import Graph, GraphNode

OPERATIONS: Final[dict[str, tuple[tuple[int, ...], tuple[str, ...], tuple[str, ...]]]] = {
    "Add": ((2,), (), ()),
    "Atanh": ((1,), (), ()),
    "Cast": ((1,), ("to",), ()),
    "Concat": ((2,), ("axis",), ()),
    "Conv": ((2, 3), ("group", "kernel_shape", "pads", "strides"), ()),
    "DequantizeLinear": ((3,), (), ("axis",)),
    "Div": ((2,), (), ()),
    "Flatten": ((1,), ("axis",), ()),
    "Gather": ((2,), ("axis",), ()),
    "Gemm": ((3,), ("transB",), ()),
    "GlobalAveragePool": ((1,), (), ()),
    "GlobalLpPool": ((1,), ("p",), ()),
    "GlobalMaxPool": ((1,), (), ()),
    "Log": ((1,), (), ()),
    "LpPool": ((1,), ("kernel_shape", "p", "strides"), ()),
    "MatMul": ((2,), (), ()),
    "MatMulInteger": ((3, 4), (), ()),
    "MaxPool": ((1,), ("kernel_shape", "strides"), ()),
    "Mul": ((2,), (), ()),
    "QuantizeLinear": ((3,), (), ("axis",)),
    "ReduceL2": ((1,), ("axes", "keepdims"), ()),
    "ReduceMean": ((1,), ("axes", "keepdims"), ()),
    "Relu": ((1,), (), ()),
    "Softmax": ((1,), ("axis",), ()),
    "Sqrt": ((1,), (), ()),
    "Sub": ((2,), (), ()),
    "Transpose": ((1,), ("perm",), ()),
}
"""Every operation that edgetune writes: numbers of inputs, attributes that it has, and those that it may have."""

COMPUTED: Final = frozenset({"Concat", "Div", "MatMul", "Sub"})
"""Operations whose inputs are all computed; the others take constants besides the first."""

EXACT: Final = frozenset({"MatMul", "Mul", "Sub"})
"""Operations that are computed in double precision where their inputs are."""

BESIDE: Final = frozenset({"distance_white", "distance_laid", "distance_apart", DISTANCE})
"""Nodes of the distances to classes that a graph gives beside probabilities."""

MAX_WORK: Final = 10**10
"""Most multiply-accumulates, and values read and computed, that a window may cost: seconds on a small computer.

A network that keeps up with a stream needs far less. One is run once when it is opened, and a larger one would keep its
node busy."""


def check_network(data: bytes, card: ModelCard, file: str, *, measured: bool = False, distances: bool = False) -> None:
    """Check an ONNX file, as it lies in a bundle, against the allow-list and the card, in bounded time and memory.

    It has at most the operations of `OPERATIONS`, every one fed with constants and values that were computed before it
    and that fit it. It takes the card's windows, and gives a probability for each of the card's classes (a health
    model's a distance). It has as many parameters and multiply-accumulates as the card says, and costs at most
    `MAX_WORK`.

    ``measured``: it is the network that was measured before the last fit. Its size is its own, and so are its rows.
    ``distances``: it gives distances to the card's classes besides, if the card says that a graph does. They are no
    part of the card's cost.

    Raises
    ------
    BundleError
        Naming the file, what is wrong with it and where.
    """
    try:
        _check(read_graph(data), card, measured=measured, distances=distances)
    except WireError as error:
        raise BundleError(
            f"{file} is no network that edgetune wrote for this card: {error}; do not use this bundle"
        ) from error


def _check(graph: Graph, card: ModelCard, *, measured: bool, distances: bool) -> None:
    rows = card.outputs if not measured or card.measured_rows is None else len(card.measured_rows)
    takes, output = (card.input.channels, card.input.length), DISTANCE if card.kind == "health" else OUTPUT
    gives = {output: GraphTensor((rows,), FLOAT)}
    beside = distances and card.distance_rows is not None
    if beside and card.distance_rows is not None:
        gives[DISTANCE] = GraphTensor((len(card.distance_rows), 1), FLOAT)
    for what, found, wanted in (
        ("takes", graph.inputs, {INPUT: GraphTensor(takes, FLOAT)}),
        ("gives", graph.outputs, gives),
    ):
        if found != wanted:
            raise WireError(f"it {what} {_listed(found)}, its card says {_listed(wanted)}")
    walk = _Walk(graph, BESIDE if beside else frozenset())
    for node in graph.nodes:
        walk.step(node)
    walk.end()
    if measured:
        return
    counted = {"parameters": walk.parameters, "macs": walk.macs}
    said = {"parameters": card.cost.parameters, "macs": card.cost.macs}
    if counted != said:
        raise WireError(f"it has {counted}, its card says {said}")


@dataclass(frozen=True, slots=True)
class _Value:
    """A value while the graph is walked: its tensor, and whether the file holds it (or its int8 form)."""

    tensor: GraphTensor
    constant: bool


class _Walk:
    """Follows the shapes of a graph, node by node, as onnxruntime would compute them."""

    def __init__(self, graph: Graph, beside: frozenset[str]) -> None:
        self._beside = beside
        self.parameters = 0
        self.macs = 0
        self._computed = 0
        self._graph = graph
        self._values = {name: _Value(each, constant=True) for name, each in graph.constants.items()}
        if self._values.keys() & graph.inputs.keys():
            raise WireError("a constant has the name of the input")
        self._values |= {name: _Value(each, constant=False) for name, each in graph.inputs.items()}

    def step(self, node: GraphNode) -> None:
        """Process the next node."""
        where = f"node {node.name}, {node.op[:40]!r},"
        if node.op not in OPERATIONS:
            raise WireError(f"{where} is an operation that edgetune does not write")
        counts, must, may = OPERATIONS[node.op]
        if len(node.inputs) not in counts or not set(must) <= node.attributes.keys() <= {*must, *may}:
            raise WireError(f"{where} has {len(node.inputs)} inputs and attributes {', '.join(node.attributes)}")
        unknown = [name for name in node.inputs if name not in self._values]
        if unknown:
            raise WireError(f"{where} reads {unknown[0]}, which nothing before it computes")
        if node.name in self._values:
            raise WireError(f"{where} computes what is there already")
        shapes = [self._values[name].tensor.shape for name in node.inputs]
        before = self.parameters, self.macs
        result = self._result(node, [self._values[name] for name in node.inputs])
        if result is None or math.prod(result.tensor.shape) > MAX_ELEMENTS:
            raise WireError(f"{where} does not fit inputs of shapes {shapes} with {node.attributes}")
        described = self._graph.described.get(node.name, result.tensor)
        if described != result.tensor:
            raise WireError(f"{where} computes {result.tensor.shape}, the file claims {described.shape}")
        self._values[node.name] = result
        self._computed += math.prod(result.tensor.shape) + sum(map(math.prod, shapes))
        if node.name in self._beside or result.tensor.kind == DOUBLE:  # no part of what a card counts, but work
            self._computed += self.macs - before[1]
            self.parameters, self.macs = before
        if self.macs + self._computed > MAX_WORK:
            raise WireError(f"a window costs more than {MAX_WORK} multiply-accumulates and values by {where}")

    def end(self) -> None:
        """Compare what was computed with what the graph gives."""
        for name, wanted in self._graph.outputs.items():
            found = self._values.get(name)
            if found is None or found.constant or found.tensor != wanted:
                raise WireError(f"{name} is given with shape {wanted.shape}, and not computed so")

    def _result(self, node: GraphNode, inputs: list[_Value]) -> _Value | None:
        """Return what ``node`` makes of ``inputs``; None where they do not fit it."""
        if node.op in ("QuantizeLinear", "DequantizeLinear"):
            return _converted(node, inputs)
        data, rest = inputs[0], inputs[1:]
        if node.op == "Gather":
            return self._gathered(node, data, rest[0])
        if node.op == "MatMulInteger":
            return self._multiplied(data, rest)
        if node.op == "Cast":
            return _cast(node, data)
        if node.op == "Transpose" and not data.constant:
            shape = self._shape(node, data.tensor.shape, [])
            return None if shape is None else _Value(GraphTensor(shape, data.tensor.kind), constant=False)
        kind = data.tensor.kind
        if data.constant or kind not in (FLOAT, DOUBLE) or any(each.tensor.kind != kind for each in inputs):
            return None
        if kind == DOUBLE and node.op not in EXACT:
            return None
        computed = node.op in COMPUTED
        if any(each.constant == computed for each in rest):
            return None
        shape = self._shape(node, data.tensor.shape, [each.tensor.shape for each in rest])
        return None if shape is None else _Value(GraphTensor(shape, kind), constant=False)

    def _shape(  # noqa: C901 - one case per operation
        self, node: GraphNode, shape: tuple[int, ...], rest: list[tuple[int, ...]]
    ) -> tuple[int, ...] | None:
        match node.op, shape, rest:
            case "Conv", (channels, length), [(filters, own, kernel), *bias]:
                return self._conv(node, (channels, length), (filters, own, kernel), bias)
            case "Gemm", (features,), [(outputs, taken), (biases,)]:
                self.parameters += outputs * taken + biases
                self.macs += outputs * taken
                return (outputs,) if (taken, biases, node.attributes["transB"]) == (features, outputs, 1) else None
            case "LpPool" | "MaxPool", (channels, length), []:
                frames = _frames(length, node.attributes["kernel_shape"], node.attributes["strides"])
                if frames is None or node.attributes.get("p", 1) not in (1, 2):
                    return None
                self._computed += channels * frames[1] * frames[0]
                if node.op == "LpPool":
                    self.macs += channels * frames[1] * frames[0]
                return channels, frames[0]
            case "GlobalLpPool" | "GlobalAveragePool" | "GlobalMaxPool", (channels, length), []:
                if node.op == "GlobalLpPool":
                    self.macs += channels * length
                return (channels, 1) if node.attributes.get("p", 1) in (1, 2) else None
            case "Concat", (channels, length), [(more, same)]:
                return (channels + more, length) if (same, node.attributes["axis"]) == (length, 1) else None
            case "Flatten", (channels, length), []:
                return (channels * length,) if node.attributes["axis"] == 1 else None
            case "ReduceL2", (features,), []:
                self.macs += features
                plain = (node.attributes["axes"], node.attributes["keepdims"]) == ((1,), 1)
                return (1,) if plain and node.name == DISTANCE else None
            case "Softmax", (_,), []:
                return shape if node.attributes["axis"] == 1 and node.name == OUTPUT else None
            case ("Add" | "Mul", _, [()]) | ("Atanh" | "Log" | "Relu" | "Sqrt", _, []):
                return shape
        return self._correlated(node, shape, rest)

    def _correlated(
        self, node: GraphNode, shape: tuple[int, ...], rest: list[tuple[int, ...]]
    ) -> tuple[int, ...] | None:
        """Return the shape after an operation that only a Gram layer, or distances to classes, have."""
        match node.op, shape, rest:
            case "Add", (centres, features), [centre]:
                self.parameters += centres * features
                return shape if centre == shape else None
            case "ReduceMean", (channels, _), []:
                return (channels, 1) if (node.attributes["axes"], node.attributes["keepdims"]) == ((2,), 1) else None
            case "Sub" | "Div", (rows, columns), [other] if other in ((rows, 1), (1, columns), (rows, columns)):
                return shape
            case "Transpose", (channels, length), []:
                return (length, channels) if node.attributes["perm"] == (0, 2, 1) else None
            case "MatMul", (rows, shared), [(same, columns)]:
                self.macs += rows * shared * columns
                return (rows, columns) if same == shared else None
        return None

    def _multiplied(self, data: _Value, rest: list[_Value]) -> _Value | None:
        """Multiply integers by others, or by a constant vector that adds them up."""
        other, *zeros = rest
        known = all(each.constant and each.tensor == GraphTensor((), UINT8) for each in zeros)
        if data.constant or not known or {data.tensor.kind, other.tensor.kind} != {UINT8}:
            return None
        match data.tensor.shape, other.tensor.shape:
            case (rows, shared), (same, columns) if same == shared and (not other.constant or columns == 1):
                self.macs += rows * shared * columns
                return _Value(GraphTensor((rows, columns), INT32), constant=False)
        return None

    def _gathered(self, node: GraphNode, data: _Value, table: _Value) -> _Value | None:
        """Take entries of a vector by a table of two axes whose entries lie in it."""
        if data.constant or not table.constant or (data.tensor.kind, table.tensor.kind) != (FLOAT, INT32):
            return None
        span = self._graph.spans.get(node.inputs[1])
        match data.tensor.shape, table.tensor.shape, node.attributes["axis"]:
            case (features,), (_, _), 1 if span is not None and 0 <= span[0] <= span[1] < features:
                return _Value(GraphTensor(table.tensor.shape, FLOAT), constant=False)
        return None

    def _conv(
        self, node: GraphNode, shape: tuple[int, int], weight: tuple[int, int, int], bias: list[tuple[int, ...]]
    ) -> tuple[int, int] | None:
        filters, own, kernel = weight
        group, pads = node.attributes["group"], node.attributes["pads"]
        if not isinstance(group, int) or not isinstance(pads, tuple) or len(pads) != 2 or pads[0] != pads[1]:  # noqa: PLR2004 - before and after
            return None
        frames = _frames(shape[1] + 2 * pads[0], node.attributes["kernel_shape"], node.attributes["strides"])
        if frames is None or frames[1] != kernel or pads[0] >= kernel:
            return None
        if not group or own * group != shape[0] or filters % group or bias not in ([], [(filters,)]):
            return None
        self.parameters += filters * own * kernel + (filters if bias else 0)
        self.macs += own * kernel * filters * frames[0]
        return filters, frames[0]


def _frames(length: int, kernels: object, strides: object) -> tuple[int, int] | None:
    """Frames that a kernel makes of ``length`` samples, and the kernel; None where it does not fit."""
    match kernels, strides:
        case (int(kernel),), (int(stride),) if 1 <= kernel <= length and stride:
            return (length - kernel) // stride + 1, kernel
    return None


def _cast(node: GraphNode, data: _Value) -> _Value | None:
    """Convert integers to double precision, or that to single precision."""
    kind = {INT32: DOUBLE, DOUBLE: FLOAT}.get(data.tensor.kind)
    if data.constant or node.attributes["to"] != kind or kind is None:
        return None
    return _Value(GraphTensor(data.tensor.shape, kind), constant=False)


def _converted(node: GraphNode, inputs: list[_Value]) -> _Value | None:
    """Convert to or from integers: by one scale and zero point, or by one for each slice of an axis."""
    data, scale, zero = inputs
    to_float = node.op == "DequantizeLinear"
    stored = zero.tensor.kind if to_float else FLOAT
    axis = node.attributes.get("axis")
    sliced = (data.tensor.shape[axis],) if isinstance(axis, int) and axis < len(data.tensor.shape) else None
    shapes = scale.tensor.shape, zero.tensor.shape
    single = all(each in ((), (1,)) for each in shapes)
    if not single and (not data.constant or shapes != (sliced, sliced)):
        return None
    if not scale.constant or not zero.constant or scale.tensor.kind != FLOAT or data.tensor.kind != stored:
        return None
    if zero.tensor.kind not in ((UINT8, INT8, INT32) if data.constant and to_float else (UINT8, INT8)):
        return None
    return _Value(GraphTensor(data.tensor.shape, FLOAT if to_float else zero.tensor.kind), data.constant)


def _listed(values: dict[str, GraphTensor]) -> str:
    return ", ".join(
        f"{name} {each.shape}" + ("" if each.kind == FLOAT else " not float") for name, each in values.items()
    )
