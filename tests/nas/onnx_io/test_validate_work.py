"""What a network may cost before it is run once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from bundles import card_of
from onnx import TensorProto, helper, numpy_helper

from edgetune_nas.errors import BundleError
from edgetune_nas.model.layers import Dense, Flatten, LpPool, Softmax
from edgetune_nas.onnx_io.validate import MAX_WORK, check_network
from edgetune_nas.onnx_io.writer import write_onnx

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgetune_nas.model.layers import Network

FILE = "model-x/model.onnx"


def test_a_small_file_that_computes_for_hours_is_refused(vibration_network: Network) -> None:
    model = write_onnx(vibration_network)
    channels, length = vibration_network.input_shape
    for name, weight in (("wide", np.zeros((64, channels, 1))), ("long", np.zeros((64, 64, 511)))):
        model.graph.initializer.append(numpy_helper.from_array(weight.astype(np.float32), name))
    each = {"group": 1, "strides": [1]}
    nodes = [helper.make_node("Conv", ["window", "wide"], ["v0"], "v0", kernel_shape=[1], pads=[0, 0], **each)]
    nodes += [
        helper.make_node(
            "Conv", [f"v{at}", "long"], [f"v{at + 1}"], f"v{at + 1}", kernel_shape=[511], pads=[255, 255], **each
        )
        for at in range(4000)
    ]
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *rest])
    assert 64 * 64 * 511 * length * len(nodes) > 100 * MAX_WORK
    with pytest.raises(BundleError, match="a window costs more than"):
        check_network(model.SerializeToString(), card_of(vibration_network), FILE)


def sums_of_sums(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Multiply matrices in double precision: of this a card counts nothing."""
    for name, value in (("step", np.float32(1)), ("zero", np.uint8(0))):
        model.graph.initializer.append(numpy_helper.from_array(np.array(value), name))
    return [
        helper.make_node("QuantizeLinear", ["window", "step", "zero"], ["x"], "x"),
        helper.make_node("Transpose", ["x"], ["turned"], "turned", perm=[0, 2, 1]),
        helper.make_node("MatMulInteger", ["turned", "x", "zero", "zero"], ["products"], "products"),
        helper.make_node("Cast", ["products"], ["double"], "double", to=TensorProto.DOUBLE),
        helper.make_node("MatMul", ["double", "double"], ["square"], "square"),
    ]


def long_maxima(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Take maxima of half a window, at each of its samples, in thousands of channels."""
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((4096, 1, 1), np.float32), "wide"))
    each = {"kernel_shape": [1], "pads": [0, 0], "strides": [1]}
    return [
        helper.make_node("Conv", ["window", "wide"], ["x"], "x", group=1, **each),
        helper.make_node("MaxPool", ["x"], ["largest"], "largest", kernel_shape=[2048], strides=[1]),
    ]


def repeated_averages(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Average the same large tensor again and again: what comes out is small."""
    return [
        *long_maxima(model)[:1],
        *(helper.make_node("GlobalAveragePool", ["x"], [f"mean{at}"], f"mean{at}") for at in range(2000)),
    ]


@pytest.mark.parametrize("work", [sums_of_sums, long_maxima, repeated_averages])
def test_work_that_no_card_counts_is_bounded_too(
    work: Callable[[onnx.ModelProto], list[onnx.NodeProto]], make_network: Callable[..., Network]
) -> None:
    network = make_network((1, 4096), (LpPool(4096, 4096), Flatten(), Dense(2), Softmax()))
    model = write_onnx(network)
    check_network(model.SerializeToString(), card_of(network), FILE)
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*work(model), *rest])
    with pytest.raises(BundleError, match="a window costs more than"):
        check_network(model.SerializeToString(), card_of(network), FILE)
