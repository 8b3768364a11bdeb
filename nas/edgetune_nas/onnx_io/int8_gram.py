"""A Gram layer on int8 values in integers: its sums are exact, so that their order changes nothing.

In float, onnxruntime adds up products in an order of its own, which no other program can follow bit by bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLOAT_CHAIN: Final = (
    *("ReduceMean", "Sub", "GlobalLpPool", "Add", "Div", "Transpose", "MatMul", "Mul", "Atanh", "Flatten", "Gather"),
)
"""Operations of a Gram layer as `edgetune_nas.onnx_io.writer` writes them."""
MAX_LENGTH: Final = 2**31 // 255**2
"""Longest length of which sums of products fit into 32 bits."""


def with_exact_sums(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a quantised model whose Gram layers compute with integers, where they take int8 values.

    The spread of two channels is the length times the sum of their products, less the product of their sums. It is
    exact in double precision, and is rounded to single precision once. Every operation after it is elementwise.
    """
    nodes = list(model.graph.node)
    made = {node.output[0]: node for node in nodes}
    for at, mean in enumerate(nodes):
        before = made.get(mean.input[0])
        chain = nodes[at : at + len(FLOAT_CHAIN)]
        if before is None or before.op_type != "DequantizeLinear" or tuple(n.op_type for n in chain) != FLOAT_CHAIN:
            continue
        channels, length = _shape(model, mean.input[0])
        if length > MAX_LENGTH:
            continue
        written = _Integers(model, mean.name.removesuffix("mean"), channels, length)
        written.write(before, chain)
        gone = {node.output[0] for node in chain[:-2]}
        kept = [node for node in nodes[:at] if node is not before] + written.nodes + nodes[at + len(chain) - 1 :]
        result = onnx.ModelProto()
        result.CopyFrom(model)
        del result.graph.node[:], result.graph.value_info[:]
        result.graph.node.extend(kept)
        result.graph.initializer.extend(written.constants)
        result.graph.value_info.extend(each for each in model.graph.value_info if each.name not in gone)
        onnx.checker.check_model(result, full_check=True)
        return with_exact_sums(result)
    return model


def _shape(model: onnx.ModelProto, name: str) -> tuple[int, int]:
    known = onnx.shape_inference.infer_shapes(model).graph.value_info
    _, channels, length = next(each for each in known if each.name == name).type.tensor_type.shape.dim
    return channels.dim_value, length.dim_value


class _Integers:
    """Nodes and constants that take the place of a chain, all but its last node."""

    def __init__(self, model: onnx.ModelProto, prefix: str, channels: int, length: int) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._stored = {each.name: each for each in model.graph.initializer}
        self._prefix, self._channels, self._length = prefix, channels, length

    def write(self, before: onnx.NodeProto, chain: list[onnx.NodeProto]) -> None:
        """Write what takes the place of ``chain``, on the integers that ``before`` made floats of."""
        values, scale, zero = before.input
        offset, share = chain[3].input[1], chain[7].input[1]
        step = numpy_helper.to_array(self._stored[scale]).astype(np.float32)
        turned = self._node("Transpose", "turned", values, perm=[0, 2, 1])
        products = self._node("MatMulInteger", "products", values, turned, zero, zero)
        ones = self._constant("ones", np.ones((self._length, 1), np.uint8))
        sums = self._double("sums", self._node("MatMulInteger", "sums", values, ones, zero))
        across = self._node("Transpose", "across", sums, perm=[0, 2, 1])
        count = self._constant("count", np.array(self._length, np.float64))
        whole = self._node("Mul", "whole", self._double("products", products), count)
        exact = self._node("Sub", "exact", whole, self._node("MatMul", "square_of_sums", sums, across))
        rounded = self._node("Cast", "rounded", exact, to=TensorProto.FLOAT)
        factor = self._constant("factor", step * step / np.float32(self._length))
        spread = self._node("Mul", "spread", rounded, factor)
        diagonal = self._constant("diagonal", (np.arange(self._channels) * (self._channels + 1))[:, None], np.int32)
        own = self._node("Gather", "own", self._node("Flatten", "spreads", spread, axis=1), diagonal, axis=1)
        level = self._node("Add", "level", self._node("Sqrt", "root", own), offset)
        half = self._node("Div", "half_alike", spread, level)
        alike = self._node("Div", "alike", half, self._node("Transpose", "levels", level, perm=[0, 2, 1]))
        part = self._node("Mul", "share", alike, share)
        one, minus = self._constant("one", np.float32(1)), self._constant("minus", np.float32(-1))
        above = self._node("Add", "above", part, one)
        below = self._node("Add", "below", self._node("Mul", "opposite", part, minus), one)
        log = self._node("Log", "log", self._node("Div", "ratio", above, below))
        result = self._node("Mul", "atanh", log, self._constant("halved", np.float32(0.5)))
        self.nodes.append(helper.make_node("Flatten", [result], list(chain[-2].output), name=chain[-2].name, axis=1))

    def _node(self, kind: str, name: str, *inputs: str, **attributes: Any) -> str:
        output = f"{self._prefix}int8_{name}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def _double(self, name: str, values: str) -> str:
        return self._node("Cast", f"{name}_double", values, to=TensorProto.DOUBLE)

    def _constant(self, name: str, value: NDArray[Any] | np.float32, kind: type[np.generic] | None = None) -> str:
        full = f"{self._prefix}int8_{name}_constant"
        self.constants.append(numpy_helper.from_array(np.asarray(value, kind), full))
        return full
