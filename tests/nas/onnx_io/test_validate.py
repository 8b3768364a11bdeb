"""What onnxruntime is given: networks that edgetune wrote for the card, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from bundles import card_of
from hypothesis import given, settings, strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgetune_nas.errors import BundleError
from edgetune_nas.model.layers import ClassMax, Conv, Dense, Flatten, Gram, Softmax, shapes
from edgetune_nas.onnx_io.parser import read_graph
from edgetune_nas.onnx_io.quantisation import VARIANTS, _quantise
from edgetune_nas.onnx_io.runtime import Classifier, open_session
from edgetune_nas.onnx_io.validate import check_network
from edgetune_nas.onnx_io.writer import write_onnx

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edgetune_nas.card import ModelCard
    from edgetune_nas.model.layers import Network

FILE = "model-x/model.onnx"


def has_classes(network: Network) -> bool:
    return shapes(network.input_shape, network.layers)[-1][0] > 1


def noise(network: Network, windows: int) -> NDArray[np.float32]:
    return np.random.default_rng(3).normal(size=(windows, *network.input_shape)).astype(np.float32)


@settings(max_examples=60)
@given(data=st.data())
def test_every_network_that_is_written_is_taken(networks: st.SearchStrategy[Network], data: st.DataObject) -> None:
    network = data.draw(networks.filter(has_classes))

    check_network(write_onnx(network).SerializeToString(), card_of(network), FILE)


@settings(max_examples=12, deadline=None)
@given(data=st.data(), variant=st.sampled_from(list(VARIANTS)))
def test_every_network_that_is_quantised_is_taken(
    networks: st.SearchStrategy[Network], data: st.DataObject, variant: str
) -> None:
    network = data.draw(networks.filter(has_classes))
    quantised = _quantise(write_onnx(network), noise(network, 8), VARIANTS[variant])

    check_network(quantised.SerializeToString(), card_of(network), FILE)


@pytest.fixture(scope="module")
def files(vibration_network: Network) -> dict[str, bytes]:
    """One network in both precisions."""
    model = write_onnx(vibration_network)
    quantised = _quantise(model, noise(vibration_network, 8), VARIANTS["per channel"])
    return {"float": model.SerializeToString(), "int8": quantised.SerializeToString()}


@pytest.fixture(scope="module")
def correlated_network(make_network: Callable[..., Network]) -> Network:
    """Correlations of three channels and their differences."""
    differences = Conv(6, 2, groups=3, norm=False, relu=False, frozen=True, taps=(0.0, 1.0, -1.0, 1.0) * 3)
    return make_network((3, 20), (differences, Gram(0.5), Dense(4), Softmax()))


@pytest.fixture(scope="module")
def int8_correlations(correlated_network: Network) -> bytes:
    """The same in int8, whose Gram layer computes with integers."""
    return _quantise(
        write_onnx(correlated_network), noise(correlated_network, 8), VARIANTS["per channel"]
    ).SerializeToString()


@pytest.fixture(scope="module")
def structure(files: dict[str, bytes]) -> dict[str, list[int]]:
    """Places of names, sizes and tags: all but the inside of long runs of weights, which are most of a file."""

    def is_text_or_small(around: bytes) -> bool:
        return sum(32 <= byte < 127 or byte < 24 for byte in around) > 18

    return {
        precision: [place for place in range(12, len(data)) if is_text_or_small(data[place - 12 : place + 12])]
        for precision, data in files.items()
    }


def is_taken(data: bytes, card: ModelCard) -> bool:
    try:
        check_network(data, card, FILE)
    except BundleError as error:
        assert str(error).startswith(f"{FILE} is no network that edgetune wrote for this card: ")  # noqa: PT017 - damage may fall into a weight
        return False
    return True


@settings(max_examples=300, deadline=None)
@given(data=st.data(), precision=st.sampled_from(["float", "int8"]))
def test_damage_anywhere_is_refused_or_leaves_what_onnx_reads_alike(
    vibration_network: Network,
    files: dict[str, bytes],
    structure: dict[str, list[int]],
    data: st.DataObject,
    precision: str,
) -> None:
    content = bytearray(files[precision])
    for _ in range(data.draw(st.integers(1, 3))):
        place = min(data.draw(st.sampled_from(structure[precision])), len(content) - 1)
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    damaged = bytes(content)
    if not is_taken(damaged, card_of(vibration_network)):
        return

    model = onnx.load_from_string(damaged)
    assert [
        (node.op_type, tuple(node.input), list(node.output), {each.name: plain(each) for each in node.attribute})
        for node in model.graph.node
    ] == [(node.op, node.inputs, [node.name], node.attributes) for node in read_graph(damaged).nodes]
    assert shape_given(damaged, noise(vibration_network, 1)) in ((1, 10), None)


def shape_given(model: bytes, window: NDArray[np.float32]) -> tuple[int, ...] | None:
    """Shape that onnxruntime computes; None where it says that it cannot, as it does for scales beyond its integers."""
    try:
        return Classifier(open_session(model)).probabilities(window).shape
    except Exception as error:  # noqa: BLE001 - onnxruntime's errors have no base of their own
        assert "out of computation range" in str(error)  # noqa: PT017
        return None


def plain(attribute: onnx.AttributeProto) -> int | tuple[int, ...]:
    return attribute.i if attribute.type == onnx.AttributeProto.INT else tuple(attribute.ints)


@pytest.mark.parametrize("quantised", [False, True])
@settings(max_examples=75, deadline=None)
@given(data=st.data())
def test_damage_to_correlations_is_refused_or_leaves_a_network_of_the_card(
    *, quantised: bool, correlated_network: Network, int8_correlations: bytes, data: st.DataObject
) -> None:
    content = bytearray(int8_correlations if quantised else write_onnx(correlated_network).SerializeToString())
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    if is_taken(bytes(content), card_of(correlated_network)):
        assert shape_given(bytes(content), noise(correlated_network, 1)) in ((1, 4), None)


@settings(max_examples=200)
@given(content=st.binary(max_size=200))
def test_any_bytes_are_refused(content: bytes, vibration_network: Network) -> None:
    assert not is_taken(content, card_of(vibration_network))


def test_a_file_cut_anywhere_is_refused(vibration_network: Network, files: dict[str, bytes]) -> None:
    card = card_of(vibration_network)
    for data in files.values():
        for length in range(0, len(data), 37):
            assert not is_taken(data[:length], card)


def add_node(kind: str, **attributes: Any) -> Callable[[onnx.ModelProto], object]:
    """Put an operation between the last two nodes."""

    def change(model: onnx.ModelProto) -> None:
        last = model.graph.node.pop()
        model.graph.node.append(helper.make_node(kind, [last.input[0]], ["extra"], name="extra", **attributes))
        last.input[0] = "extra"
        model.graph.node.append(last)

    return change


def external(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"


def constant(values: NDArray[Any]) -> Callable[[onnx.ModelProto], object]:
    """Replace the values of the first constant."""

    def change(model: onnx.ModelProto) -> None:
        name = model.graph.initializer[0].name
        model.graph.initializer[0].CopyFrom(numpy_helper.from_array(values, name))

    return change


def attribute(kind: str, name: str, value: Any) -> Callable[[onnx.ModelProto], object]:
    def change(model: onnx.ModelProto) -> None:
        node = next(node for node in model.graph.node if node.op_type == kind)
        for index, each in enumerate(node.attribute):
            if each.name == name:
                del node.attribute[index]
                break
        node.attribute.append(helper.make_attribute(name, value))

    return change


def doubling(model: onnx.ModelProto) -> None:
    """Forty concatenations, each of the one before with itself: a terabyte out of a few hundred bytes."""
    pool = next(index for index, node in enumerate(model.graph.node) if node.op_type.startswith("Global"))
    last = model.graph.node[pool].input[0]
    rest = list(model.graph.node)[pool:]
    del model.graph.node[pool:]
    for index in range(40):
        name = f"double{index}"
        model.graph.node.append(helper.make_node("Concat", [last, last], [name], name=name, axis=1))
        last = name
    model.graph.node.extend(rest)


def dimension(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[0] = 2**40


def untie(model: onnx.ModelProto) -> None:
    model.graph.node[1].input[0] = "nowhere"


def function(model: onnx.ModelProto) -> None:
    model.functions.add().name = "f"


def metadata(model: onnx.ModelProto) -> None:
    helper.set_model_props(model, {"a": "b"})


def input_shape(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 256


def second_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, ["windows", 1]))


def doubles(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE


def opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 21


def domain(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("com.example", 1))


def sparse(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add()


def producer(model: onnx.ModelProto) -> None:
    model.producer_name = "other"


BODY = helper.make_graph([], "body", [], [])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (add_node("Identity"), "node extra, 'Identity', is an operation that edgetune does not write"),
        (add_node("Sigmoid", domain="com.example"), "node has field 7"),
        (add_node("If", then_branch=BODY, else_branch=BODY), "attribute of node extra has field 6"),
        (external, "constant has field 13"),
        (constant(np.full((12, 1, 128), np.nan, np.float32)), "constant 0_weight has values that are not finite"),
        (constant(np.zeros((12, 1, 128), np.float64)), "constant 0_weight has element type 11"),
        (
            constant(np.zeros((12, 1, 64), np.float32)),
            r"node 0_conv, 'Conv', does not fit inputs of shapes \[\(1, 512\)",
        ),
        (dimension, r"constant 0_weight has shape \(1099511627776, 1, 128\), which is not within"),
        (attribute("Conv", "pads", [2**40, 2**40]), "attribute pads of node 0_conv is .*, not within 0 to 65536"),
        (attribute("Conv", "strides", [0]), "node 0_conv, 'Conv', does not fit"),
        (attribute("Conv", "strides", [16]), "node 1_conv|it has .*'macs': .*, its card says"),
        (attribute("Conv", "auto_pad", "SAME_UPPER"), "attribute of node 0_conv has field 4"),
        (attribute("Conv", "dilations", [2]), "node 0_conv, 'Conv', has 3 inputs and attributes .*dilations"),
        (doubling, "node double"),
        (untie, "reads nowhere, which nothing before it computes"),
        (function, "model has field 25"),
        (metadata, "model has field 14"),
        (input_shape, r"it takes window \(1, 256\), its card says window \(1, 512\)"),
        (second_input, r"it takes window \(1, 512\), more \(1,\), its card says"),
        (doubles, "not float"),
        (opset, r"the operator sets are \[\('', 21\)\]"),
        (domain, r"the operator sets are .*com.example"),
        (sparse, "graph has field 15"),
        (producer, "producer_name is 'other'"),
    ],
)
def test_a_foreign_network_is_refused_in_clear_words(
    vibration_network: Network, change: Callable[[onnx.ModelProto], object], said: str
) -> None:
    model = write_onnx(vibration_network)
    change(model)

    with pytest.raises(BundleError, match=said) as refused:
        check_network(model.SerializeToString(), card_of(vibration_network), FILE)
    assert FILE in str(refused.value)


def test_a_table_of_kinds_that_points_outside_of_its_vector_is_refused(make_network: Callable[..., Network]) -> None:
    network = make_network((1, 16), (Flatten(), Dense(3), ClassMax((2, 1)), Softmax()))
    model = write_onnx(network)
    table = next(each for each in model.graph.initializer if each.name == "2_rows")
    for outside in (3, -1, 2**31 - 1):
        table.CopyFrom(numpy_helper.from_array(np.array([[0, 1], [2, outside]], np.int32), "2_rows"))
        with pytest.raises(BundleError, match="2_kinds, 'Gather', does not fit"):
            check_network(model.SerializeToString(), card_of(network), FILE)


def swap(kind: str) -> Callable[[onnx.ModelProto], object]:
    """Exchange the two inputs of an operation."""

    def change(model: onnx.ModelProto) -> None:
        node = next(node for node in model.graph.node if node.op_type == kind)
        node.input[:] = node.input[::-1]

    return change


def with_constant(kind: str) -> Callable[[onnx.ModelProto], object]:
    """Replace the second input of an operation by a constant of its shape."""

    def change(model: onnx.ModelProto) -> None:
        node = next(node for node in model.graph.node if node.op_type == kind)
        shape = (19, 6) if kind == "MatMul" else (6, 1)
        model.graph.initializer.append(numpy_helper.from_array(np.ones(shape, np.float32), "stored"))
        node.input[1] = "stored"

    return change


def beyond_the_square(model: onnx.ModelProto) -> None:
    table = next(each for each in model.graph.initializer if each.name == "1_upper")
    table.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(table) + 1, table.name))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (attribute("ReduceMean", "axes", [1]), "node 1_mean, 'ReduceMean', does not fit"),
        (attribute("ReduceMean", "keepdims", 0), "node 1_mean, 'ReduceMean', does not fit"),
        (attribute("Transpose", "perm", [0, 1, 2]), "node 1_turned, 'Transpose', does not fit"),
        (attribute("Transpose", "perm", [2, 1, 0]), "node 1_turned, 'Transpose', does not fit"),
        (swap("Sub"), "node 1_centred, 'Sub', does not fit"),
        (swap("Div"), "node 1_scaled, 'Div', does not fit"),
        (swap("MatMul"), "it has .*, its card says"),
        (with_constant("Sub"), "node 1_centred, 'Sub', does not fit"),
        (with_constant("Div"), "node 1_scaled, 'Div', does not fit"),
        (with_constant("MatMul"), "node 1_alike, 'MatMul', does not fit"),
        (beyond_the_square, "node 1_pairs, 'Gather', does not fit"),
    ],
)
def test_correlations_that_edgetune_does_not_write_are_refused_by_reason(
    change: Callable[[onnx.ModelProto], object], said: str, correlated_network: Network
) -> None:
    model = write_onnx(correlated_network)
    check_network(model.SerializeToString(), card_of(correlated_network), FILE)
    change(model)
    with pytest.raises(BundleError, match=said):
        check_network(model.SerializeToString(), card_of(correlated_network), FILE)
