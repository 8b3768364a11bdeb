"""Correlations of int8 values: integers, so that no order of additions changes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from bundles import card_of

from edgetune_nas.errors import BundleError
from edgetune_nas.model.layers import Conv, Dense, Gram, Softmax
from edgetune_nas.onnx_io import int8_gram, quantisation
from edgetune_nas.onnx_io.quantisation import VARIANTS, _quantise
from edgetune_nas.onnx_io.runtime import INPUT, open_session
from edgetune_nas.onnx_io.validate import check_network
from edgetune_nas.onnx_io.writer import write_onnx

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edgetune_nas.model.layers import Network


def outputs(model: onnx.ModelProto, name: str, kind: int, x: NDArray[np.float32]) -> NDArray[np.float32]:
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    opened.graph.output.append(onnx.helper.make_tensor_value_info(name, kind, None))
    found: NDArray[np.float32] = open_session(opened.SerializeToString()).run([name], {INPUT: x})[0]
    return found


@pytest.fixture
def networks(
    make_network: Callable[..., Network], monkeypatch: pytest.MonkeyPatch
) -> tuple[onnx.ModelProto, onnx.ModelProto, NDArray[np.float32]]:
    """An int8 network with sums of floats and with integers, and windows."""
    network = make_network((4, 60), (Conv(6, 3), Gram(0.5), Dense(4), Softmax()))
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(80, 4, 60)) * np.exp(rng.normal(size=(80, 1, 1)))).astype(np.float32)
    whole = _quantise(write_onnx(network), x, VARIANTS["per channel"])
    monkeypatch.setattr(quantisation, "with_exact_sums", lambda model: model)
    return _quantise(write_onnx(network), x, VARIANTS["per channel"]), whole, x


def test_integers_and_floats_give_the_same_but_for_rounding(
    networks: tuple[onnx.ModelProto, onnx.ModelProto, NDArray[np.float32]],
) -> None:
    before, after, x = networks
    assert [node.op_type for node in before.graph.node].count("MatMulInteger") == 0
    assert [node.op_type for node in after.graph.node].count("MatMulInteger") == 2

    pairs = [outputs(each, "1_pairs", onnx.TensorProto.FLOAT, x) for each in networks[:2]]

    np.testing.assert_allclose(*pairs, atol=1e-4)


def test_spreads_are_those_of_whole_numbers(
    networks: tuple[onnx.ModelProto, onnx.ModelProto, NDArray[np.float32]],
) -> None:
    _, model, x = networks
    taken = next(node for node in model.graph.node if node.op_type == "MatMulInteger").input
    zero = next(each for each in model.graph.initializer if each.name == taken[2])
    values = outputs(model, taken[0], onnx.TensorProto.UINT8, x).astype(np.int64)
    values -= int(onnx.numpy_helper.to_array(zero))

    exact = outputs(model, "1_int8_exact", onnx.TensorProto.DOUBLE, x)

    sums = values.sum(axis=2)
    wanted = values.shape[2] * values @ values.transpose(0, 2, 1) - sums[:, :, None] * sums[:, None]
    np.testing.assert_array_equal(exact, wanted)


def test_a_model_that_is_given_is_not_changed(
    networks: tuple[onnx.ModelProto, onnx.ModelProto, NDArray[np.float32]],
) -> None:
    before, _, _ = networks
    content = before.SerializeToString()

    int8_gram.with_exact_sums(before)

    assert before.SerializeToString() == content


def test_a_layer_on_samples_stays_as_it_is(make_network: Callable[..., Network]) -> None:
    network = make_network((3, 40), (Gram(0.5), Dense(4), Softmax()))
    x = np.random.default_rng(0).normal(size=(20, 3, 40)).astype(np.float32)

    quantised = _quantise(write_onnx(network), x, VARIANTS["per channel"])

    assert "ReduceMean" in {node.op_type for node in quantised.graph.node}


def changed(kind: str, name: str, value: int | list[int]) -> Callable[[onnx.ModelProto], object]:
    """Change an attribute of the first operation of a kind."""

    def change(model: onnx.ModelProto) -> None:
        node = next(node for node in model.graph.node if node.op_type == kind)
        del node.attribute[:]
        node.attribute.append(onnx.helper.make_attribute(name, value))

    return change


def swapped(model: onnx.ModelProto) -> None:
    node = next(node for node in model.graph.node if node.op_type == "Div")
    node.input[:] = node.input[::-1]


def other_zero(model: onnx.ModelProto) -> None:
    node = next(node for node in model.graph.node if node.op_type == "MatMulInteger")
    node.input[2] = "0_weight_zero_point"


def stored_products(model: onnx.ModelProto) -> None:
    node = next(node for node in model.graph.node if node.op_type == "MatMulInteger")
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((19, 6), np.uint8), "stored"))
    node.input[1] = "stored"


def long_count(model: onnx.ModelProto) -> None:
    count = next(each for each in model.graph.initializer if each.name == "1_int8_count_constant")
    count.CopyFrom(onnx.numpy_helper.from_array(np.ones((6, 6)), count.name))


def float_count(model: onnx.ModelProto) -> None:
    count = next(each for each in model.graph.initializer if each.name == "1_int8_count_constant")
    count.CopyFrom(onnx.numpy_helper.from_array(np.array(20, np.float32), count.name))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (changed("Cast", "to", onnx.TensorProto.INT64), "node 1_int8_sums_double, 'Cast', does not fit"),
        (changed("Cast", "to", onnx.TensorProto.FLOAT), "node 1_int8_sums_double, 'Cast', does not fit"),
        (changed("Transpose", "perm", [0, 1, 2]), "node 1_int8_turned, 'Transpose', does not fit"),
        (other_zero, "node 1_int8_products, 'MatMulInteger', does not fit"),
        (stored_products, "node 1_int8_products, 'MatMulInteger', does not fit"),
        (long_count, "constant 1_int8_count_constant has element type 11"),
        (float_count, "node 1_int8_whole, 'Mul', does not fit"),
        (swapped, "node 1_int8_half_alike, 'Div', does not fit"),
    ],
)
def test_integer_correlations_that_edgetune_does_not_write_are_refused_by_reason(
    change: Callable[[onnx.ModelProto], object], said: str, make_network: Callable[..., Network]
) -> None:
    differences = Conv(6, 2, groups=3, relu=False)
    network = make_network((3, 20), (differences, Gram(0.5), Dense(4), Softmax()))
    x = np.random.default_rng(3).normal(size=(8, 3, 20)).astype(np.float32)
    model = _quantise(write_onnx(network), x, VARIANTS["per channel"])
    check_network(model.SerializeToString(), card_of(network), "model.int8.onnx")
    change(model)
    with pytest.raises(BundleError, match=said):
        check_network(model.SerializeToString(), card_of(network), "model.int8.onnx")
