"""A network as an ONNX graph with fixed names, written with ``onnx.helper`` alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgetune_nas.model import (
    GRAM_SHARE,
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
    Softmax,
    shapes,
)
from edgetune_nas.onnx_io.parser import BATCH, IR_VERSION, OPSET, PRODUCER
from edgetune_nas.onnx_io.runtime import DISTANCE, INPUT, OUTPUT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgetune_nas.model import Distances, Network, Shape


def write_onnx(network: Network) -> onnx.ModelProto:
    """Graph from ``window (windows, channels, length)`` to ``probabilities (windows, classes)``, both ``float32``.

    A health model's gives ``distance (windows, 1)`` in their place, one with `Distances` ``distance (windows, centres,
    1)`` beside them.

    Nodes and tensors carry the index of their layer, as in ``2_conv``, ``2_weight``. A softmax's temperature is divided
    into the weights of the dense layer before it; a maximum of kinds may stand between. Where another layer stands
    there, it is a multiplication of its own.

    Raises
    ------
    ValueError
        When a layer does not fit the shape before it, weights do not fit their layer, or a weight is not finite. Also
        when the last layer is neither a softmax nor a norm over a vector.
    """
    layers = network.layers
    sizes = shapes(network.input_shape, layers)
    _check(network, sizes)
    graph = _Graph()
    shared = ""
    for index, layer in enumerate(layers):
        before = sizes[index - 1] if index else network.input_shape
        weights = network.weights[index]
        match layer:
            case Conv():
                _conv(graph, index, layer, weights, before[0])
            case Dense():
                graph.vector(f"{index}_flatten")
                shared = graph.last
                after = next(each for each in layers[index + 1 :] if not isinstance(each, ClassMax))
                temperature = after.temperature if isinstance(after, Softmax) else 1.0
                _dense(graph, index, layer, weights, before[0], temperature)
            case ClassMax():
                _class_max(graph, index, layer)
            case LpPool() | MaxPool() | GlobalPool():
                _pool(graph, index, layer)
            case Log():
                graph.node("Add", f"{index}_offset", graph.constant(f"{index}_constant", layer.offset))
                graph.node("Log", f"{index}_log")
            case Gram():
                _gram(graph, index, layer, before[0])
            case Flatten():
                graph.vector(f"{index}_flatten")
            case Softmax():
                behind = [each for each in layers[:index] if not isinstance(each, ClassMax)]
                folded = bool(behind) and isinstance(behind[-1], Dense)
                _softmax(graph, index, 1.0 if folded else layer.temperature)
            case Norm():
                graph.vector(f"{index}_flatten")
                graph.node("ReduceL2", DISTANCE, axes=[1], keepdims=1)
    outputs: dict[str, tuple[int, ...]] = {graph.last: (sizes[-1][0],)}
    if network.distances is not None:
        outputs[DISTANCE] = (len(network.distances.labels), 1)
        _distances(graph, network.distances, shared)
    return graph.model(network.input_shape, outputs)


def _check(network: Network, sizes: tuple[Shape, ...]) -> None:
    last = [index for index, layer in enumerate(network.layers) if isinstance(layer, Softmax | Norm)]
    if last != [len(sizes) - 1] or sizes[-1][1] != 1:
        raise ValueError("a network ends in its only softmax or norm, over a vector; pool or flatten, then add it")
    if len(network.weights) != len(sizes):
        raise ValueError(f"{len(sizes)} layers need one mapping of weights each, not {len(network.weights)}")


def _conv(graph: _Graph, index: int, layer: Conv, weights: dict[str, NDArray[np.float32]], channels: int) -> None:
    if graph.is_vector:
        raise ValueError(f"layer {index}, {layer}, stands after a vector; convolve before you flatten")
    shape = (layer.filters, channels // layer.groups, layer.kernel)
    inputs = [graph.weight(f"{index}_weight", weights, "weight", shape)]
    if not layer.frozen:
        inputs.append(graph.weight(f"{index}_bias", weights, "bias", (layer.filters,)))
    graph.node(
        "Conv",
        f"{index}_conv",
        *inputs,
        kernel_shape=[layer.kernel],
        strides=[layer.stride],
        pads=[layer.padding, layer.padding],
        group=layer.groups,
    )
    if layer.relu:
        graph.node("Relu", f"{index}_relu")


def _dense(
    graph: _Graph,
    index: int,
    layer: Dense,
    weights: dict[str, NDArray[np.float32]],
    inputs: int,
    temperature: float,
) -> None:
    graph.vector(f"{index}_flatten")  # Gemm fuses to int8 alone; a convolution of one tap gets two transpositions
    weight = graph.weight(f"{index}_weight", weights, "weight", (layer.outputs, inputs), 1 / temperature)
    bias = graph.weight(f"{index}_bias", weights, "bias", (layer.outputs,), 1 / temperature)
    graph.node("Gemm", f"{index}_dense", weight, bias, transB=1)


def _distances(graph: _Graph, distances: Distances, shared: str) -> None:
    """Whiten ``shared``, lay it beside each centre, and take the length of the difference."""
    size, features = distances.weight.shape
    graph.last, graph.is_vector = shared, True
    weights = {"weight": distances.weight, "bias": distances.bias, "centres": -distances.centres}
    weight = graph.weight("distance_weight", weights, "weight", (size, features))
    bias = graph.weight("distance_bias", weights, "bias", (size,))
    graph.node("Gemm", "distance_white", weight, bias, transB=1)
    rows = np.tile(np.arange(size), (len(distances.labels), 1))
    graph.node("Gather", "distance_laid", graph.table("distance_rows", rows), axis=1)
    graph.node("Add", "distance_apart", graph.weight("distance_centres", weights, "centres", rows.shape))
    graph.node("GlobalLpPool", DISTANCE, p=2)


def _class_max(graph: _Graph, index: int, layer: ClassMax) -> None:
    """Lay the kinds of each class in a row and take their maximum; a class with fewer repeats its first."""
    graph.vector(f"{index}_vector")
    firsts = np.cumsum((0, *layer.kinds[:-1]))
    column = np.arange(max(layer.kinds))
    rows = [first + np.where(column < count, column, 0) for first, count in zip(firsts, layer.kinds, strict=True)]
    graph.node("Gather", f"{index}_kinds", graph.table(f"{index}_rows", np.stack(rows)), axis=1)
    graph.is_vector = False
    graph.node("GlobalMaxPool", f"{index}_max")


def _gram(graph: _Graph, index: int, layer: Gram, channels: int) -> None:
    """Scale channels less their means to unit length, multiply all by all, and keep the upper triangle."""
    if graph.is_vector:
        raise ValueError(f"layer {index}, {layer}, stands after a vector; it needs channels over time")
    before = graph.last
    graph.node("ReduceMean", f"{index}_mean", axes=[2], keepdims=1)
    centred = graph.combine("Sub", f"{index}_centred", before, graph.last)
    graph.node("GlobalLpPool", f"{index}_root", p=2)
    graph.node("Add", f"{index}_offset", graph.constant(f"{index}_constant", layer.offset))
    scaled = graph.combine("Div", f"{index}_scaled", centred, graph.last)
    graph.node("Transpose", f"{index}_turned", perm=[0, 2, 1])
    graph.combine("MatMul", f"{index}_alike", scaled, graph.last)
    graph.node("Mul", f"{index}_share", graph.constant(f"{index}_most", GRAM_SHARE))
    graph.node("Atanh", f"{index}_atanh")
    graph.vector(f"{index}_square")
    row, column = np.triu_indices(channels)
    graph.node("Gather", f"{index}_pairs", graph.table(f"{index}_upper", (channels * row + column)[:, None]), axis=1)
    graph.is_vector = False


def _pool(graph: _Graph, index: int, layer: LpPool | MaxPool | GlobalPool) -> None:
    if graph.is_vector:
        raise ValueError(f"layer {index}, {layer}, stands after a vector; pool before you flatten")
    before = graph.last
    match layer:
        case LpPool(kernel=0):
            graph.node("GlobalLpPool", f"{index}_pool", p=layer.p)
        case LpPool():
            graph.node("LpPool", f"{index}_pool", kernel_shape=[layer.kernel], strides=[layer.stride], p=layer.p)
        case MaxPool():
            graph.node("MaxPool", f"{index}_max", kernel_shape=[layer.kernel], strides=[layer.stride])
        case GlobalPool(kind="average"):
            graph.node("GlobalAveragePool", f"{index}_average")
        case GlobalPool(kind="max"):
            graph.node("GlobalMaxPool", f"{index}_max")
        case GlobalPool():
            graph.node("GlobalAveragePool", f"{index}_average")
            average, graph.last = graph.last, before
            graph.node("GlobalMaxPool", f"{index}_max")
            graph.join(f"{index}_both", average, graph.last)


def _softmax(graph: _Graph, index: int, temperature: float) -> None:
    graph.vector(f"{index}_flatten")
    if temperature != 1:
        graph.node("Mul", f"{index}_scale", graph.constant(f"{index}_constant", 1 / temperature))
    graph.node("Softmax", OUTPUT, axis=1)


class _Graph:
    """A chain of nodes under construction; ``last`` is the tensor that the next node reads."""

    def __init__(self) -> None:
        self.last = INPUT
        self.is_vector = False
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []

    def node(self, kind: str, output: str, *constants: str, **attributes: Any) -> None:
        """Append an operation on ``last`` and on ``constants``; it is named as its output."""
        self._nodes.append(helper.make_node(kind, [self.last, *constants], [output], name=output, **attributes))
        self.last = output

    def join(self, output: str, *inputs: str) -> None:
        """Append a concatenation along the channels."""
        self._nodes.append(helper.make_node("Concat", list(inputs), [output], name=output, axis=1))
        self.last = output

    def combine(self, kind: str, output: str, *inputs: str) -> str:
        """Append an operation on computed tensors; return its output."""
        self._nodes.append(helper.make_node(kind, list(inputs), [output], name=output))
        self.last = output
        return output

    def vector(self, output: str) -> None:
        """Make ``last`` of shape ``(windows, features)`` unless it is already."""
        if not self.is_vector:
            self.node("Flatten", output, axis=1)
            self.is_vector = True

    def constant(self, name: str, value: float) -> str:
        """Store a scalar."""
        self._initializers.append(numpy_helper.from_array(np.array(value, np.float32), name))
        return name

    def table(self, name: str, values: NDArray[np.integer]) -> str:
        """Store indices."""
        self._initializers.append(numpy_helper.from_array(values.astype(np.int32), name))
        return name

    def weight(
        self,
        name: str,
        weights: dict[str, NDArray[np.float32]],
        key: str,
        shape: tuple[int, ...],
        scale: float = 1.0,
    ) -> str:
        """Store a layer's weight, times ``scale``, after checking its shape."""
        values = weights.get(key)
        if values is None or values.shape != shape:
            found = "missing" if values is None else f"of shape {values.shape}"
            raise ValueError(f"{name} is {found}; its layer needs shape {shape}")
        if not np.isfinite(values).all():
            raise ValueError(f"{name} has values that are not finite; the training diverged")
        self._initializers.append(numpy_helper.from_array((values * scale).astype(np.float32), name))
        return name

    def model(self, input_shape: Shape, outputs: Mapping[str, Sequence[int]]) -> onnx.ModelProto:
        """Wrap the nodes in a checked model."""
        graph = helper.make_graph(
            self._nodes,
            PRODUCER,
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [BATCH, *input_shape])],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, [BATCH, *shape])
                for name, shape in outputs.items()
            ],
            self._initializers,
        )
        model = helper.make_model(
            graph,
            producer_name=PRODUCER,
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
        )
        onnx.checker.check_model(model, full_check=True)
        return model
