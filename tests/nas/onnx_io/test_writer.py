"""The ONNX writer: onnxruntime must compute what numpy and torch compute from the same layer list."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from hypothesis import given, settings, strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from edgetune_nas.model.layers import (
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
    Network,
    Softmax,
)
from edgetune_nas.onnx_io.runtime import Classifier, open_session
from edgetune_nas.onnx_io.writer import write_onnx

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


@settings(max_examples=80)
@given(data=st.data())
def test_onnxruntime_gives_what_the_layers_mean(networks: st.SearchStrategy[Network], data: st.DataObject) -> None:
    network = data.draw(networks)
    x = noise(network, 3)

    np.testing.assert_allclose(run(network, x), numpy_reference(network, x), atol=1e-5)


@pytest.mark.slow
@settings(max_examples=40)
@given(data=st.data())
def test_onnxruntime_gives_what_torch_gives(networks: st.SearchStrategy[Network], data: st.DataObject) -> None:
    network = data.draw(networks)
    x = noise(network, 3)

    np.testing.assert_allclose(run(network, x), torch_reference(network, x), atol=1e-5)


def test_one_window_and_many_give_the_same(vibration_network: Network, windows: NDArray[np.float32]) -> None:
    together = run(vibration_network, windows)
    singly = np.concatenate([run(vibration_network, windows[index : index + 1]) for index in range(len(windows))])

    np.testing.assert_allclose(together, singly, atol=1e-6)


def test_the_graph_has_fixed_names_and_a_free_number_of_windows(vibration_network: Network) -> None:
    model = write_onnx(vibration_network)

    session = open_session(model.SerializeToString())
    assert [(each.name, each.type, each.shape) for each in session.get_inputs()] == [
        ("window", "tensor(float)", ["windows", 1, 512])
    ]
    assert [(each.name, each.type, each.shape) for each in session.get_outputs()] == [
        ("probabilities", "tensor(float)", ["windows", 10])
    ]
    assert [each.name for each in model.graph.initializer] == [
        f"{index}_{name}" for index in (0, 1, 2, 4) for name in ("weight", "bias")
    ]
    assert model.producer_name == "edgetune"
    assert not model.metadata_props
    onnx.checker.check_model(model, full_check=True)


def test_the_same_network_gives_the_same_bytes(vibration_network: Network) -> None:
    assert write_onnx(vibration_network).SerializeToString() == write_onnx(vibration_network).SerializeToString()


def test_a_temperature_costs_no_operation_behind_a_dense_layer(make_network: Callable[..., Network]) -> None:
    dense = make_network((1, 16), (LpPool(4, 4), Flatten(), Dense(3), Softmax(2.0)))
    pooled = make_network((1, 16), (Conv(3, 4), GlobalPool(), Softmax(2.0)))

    by_kind = make_network((1, 16), (LpPool(4, 4), Flatten(), Dense(3), ClassMax((2, 1)), Softmax(2.0)))

    assert [node.op_type for node in write_onnx(dense).graph.node] == ["LpPool", "Flatten", "Gemm", "Softmax"]
    assert "Mul" not in [node.op_type for node in write_onnx(by_kind).graph.node]
    assert "Mul" in [node.op_type for node in write_onnx(pooled).graph.node]


def test_a_frozen_filter_bank_has_neither_bias_nor_relu(make_network: Callable[..., Network]) -> None:
    bank = Conv(4, 8, 4, norm=False, relu=False, frozen=True)
    nodes = write_onnx(make_network((1, 32), (bank, LpPool(0, 1), Dense(2), Softmax()))).graph.node

    assert [node.op_type for node in nodes] == ["Conv", "GlobalLpPool", "Flatten", "Gemm", "Softmax"]
    assert len(nodes[0].input) == 2


def test_correlations_of_silent_and_of_deafening_windows_are_finite(make_network: Callable[..., Network]) -> None:
    network = make_network((2, 16), (Gram(0.5), Dense(3), Softmax()))
    quiet = np.zeros((1, 2, 16), np.float32)
    loud = np.float32(1e15) * noise(network, 1)

    np.testing.assert_allclose(run(network, quiet).sum(), 1, atol=1e-6)
    np.testing.assert_allclose(run(network, loud).sum(), 1, atol=1e-6)


def test_networks_that_mean_nothing_are_refused_by_reason(make_network: Callable[..., Network]) -> None:
    for layers, reason in (
        ((Conv(2, 3), GlobalPool()), "ends in its only softmax"),
        ((Conv(2, 3), Softmax()), "over a vector"),
        ((GlobalPool(), Softmax(), Softmax()), "ends in its only softmax"),
        ((Flatten(), Conv(2, 1), Softmax()), "convolve before you flatten"),
        ((Flatten(), GlobalPool(), Softmax()), "pool before you flatten"),
        ((Flatten(), Gram(1.0), Softmax()), "needs channels over time"),
    ):
        with pytest.raises(ValueError, match=reason):
            write_onnx(make_network((1, 8), layers))


def test_weights_that_are_missing_misshapen_or_not_finite_are_refused_by_name(
    make_network: Callable[..., Network],
) -> None:
    network = make_network((1, 8), (Conv(2, 3), GlobalPool(), Softmax()))
    weight, bias = network.weights[0]["weight"], network.weights[0]["bias"]
    for own, reason in (
        ({"weight": weight}, "0_bias is missing"),
        ({"weight": weight[:1], "bias": bias}, r"0_weight is of shape \(1, 1, 3\); its layer needs shape \(2, 1, 3\)"),
        ({"weight": weight * np.float32(np.nan), "bias": bias}, "0_weight has values that are not finite"),
    ):
        with pytest.raises(ValueError, match=reason):
            write_onnx(Network(network.input_shape, network.layers, (own, {}, {})))
    with pytest.raises(ValueError, match="3 layers need one mapping of weights each, not 1"):
        write_onnx(Network(network.input_shape, network.layers, network.weights[:1]))


def noise(network: Network, count: int) -> NDArray[np.float32]:
    return np.random.default_rng(3).normal(size=(count, *network.input_shape)).astype(np.float32)


def run(network: Network, x: NDArray[np.float32]) -> NDArray[np.float32]:
    return Classifier(open_session(write_onnx(network).SerializeToString())).probabilities(x)


def numpy_reference(network: Network, x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Each layer as its docstring defines it, in float64."""
    y = x.astype(np.float64)
    for layer, own in zip(network.layers, network.weights, strict=True):
        match layer:
            case Conv():
                y = numpy_conv(layer, own, y)
            case LpPool():
                frames = sliding_window_view(y, layer.kernel or y.shape[2], axis=2)[:, :, :: layer.stride]
                y = (np.abs(frames) ** layer.p).sum(axis=3) ** (1 / layer.p)
            case MaxPool():
                y = sliding_window_view(y, layer.kernel, axis=2)[:, :, :: layer.stride].max(axis=3)
            case Log():
                y = np.log(y + layer.offset)
            case Gram():
                y = numpy_gram(layer, y)
            case GlobalPool():
                pools = {"average": [y.mean(axis=2)], "max": [y.max(axis=2)], "both": [y.mean(axis=2), y.max(axis=2)]}
                y = np.concatenate(pools[layer.kind], axis=1)[:, :, None]
            case Flatten():
                y = y.reshape(len(y), -1, 1)
            case Dense():
                y = (y[:, :, 0] @ own["weight"].T.astype(np.float64) + own["bias"])[:, :, None]
            case ClassMax():
                parts = np.split(y, np.cumsum(layer.kinds)[:-1], axis=1)
                y = np.stack([part.max(axis=1) for part in parts], axis=1)
            case Softmax():
                logits = y[:, :, 0] / layer.temperature
                powers = np.exp(logits - logits.max(axis=1, keepdims=True))
                y = powers / powers.sum(axis=1, keepdims=True)
    return y


def numpy_gram(layer: Gram, y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pair by pair, in order of the upper triangle."""
    channels = y.shape[1]
    centred = y - y.mean(axis=2, keepdims=True)
    found = []
    for one in range(channels):
        for other in range(one, channels):
            scale = [(centred[:, each] ** 2).sum(axis=1) ** 0.5 + layer.offset for each in (one, other)]
            product = (centred[:, one] * centred[:, other]).sum(axis=1)
            found.append(np.arctanh(GRAM_SHARE * product / (scale[0] * scale[1])))
    return np.stack(found, axis=1)[:, :, None]


def numpy_conv(layer: Conv, own: dict[str, NDArray[np.float32]], y: NDArray[np.float64]) -> NDArray[np.float64]:
    padded = np.pad(y, ((0, 0), (0, 0), (layer.padding, layer.padding)))
    frames = sliding_window_view(padded, layer.kernel, axis=2)[:, :, :: layer.stride]
    groups = zip(np.split(frames, layer.groups, axis=1), np.split(own["weight"], layer.groups), strict=True)
    result = np.concatenate([np.einsum("nctk,fck->nft", part, weight) for part, weight in groups], axis=1)
    if not layer.frozen:
        result += own["bias"][:, None]
    return np.maximum(result, 0) if layer.relu else result


def torch_reference(network: Network, x: NDArray[np.float32]) -> NDArray[np.float32]:
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    y = torch.from_numpy(x)
    for layer, own in zip(network.layers, network.weights, strict=True):
        tensors = {name: torch.from_numpy(values) for name, values in own.items()}
        match layer:
            case Conv():
                y = functional.conv1d(
                    y,
                    tensors["weight"],
                    tensors.get("bias"),
                    stride=layer.stride,
                    padding=layer.padding,
                    groups=layer.groups,
                )
                y = functional.relu(y) if layer.relu else y
            case LpPool():
                kernel = layer.kernel or y.shape[2]
                sums = functional.avg_pool1d(y.abs() ** layer.p, kernel, layer.stride) * kernel
                y = sums ** (1 / layer.p)
            case MaxPool():
                y = functional.max_pool1d(y, layer.kernel, layer.stride)
            case Log():
                y = torch.log(y + layer.offset)
            case Gram():
                centred = y - y.mean(dim=2, keepdim=True)
                scale = centred.norm(dim=2) + layer.offset
                alike = torch.einsum("ncl,ndl->ncd", centred, centred) / (scale[:, :, None] * scale[:, None])
                row, column = torch.triu_indices(y.shape[1], y.shape[1])
                y = torch.atanh(GRAM_SHARE * alike)[:, row, column][:, :, None]
            case GlobalPool():
                average, largest = y.mean(dim=2, keepdim=True), y.amax(dim=2, keepdim=True)
                y = {"average": average, "max": largest, "both": torch.cat([average, largest], dim=1)}[layer.kind]
            case Flatten():
                y = y.flatten(1)[:, :, None]
            case Dense():
                y = functional.linear(y[:, :, 0], tensors["weight"], tensors["bias"])[:, :, None]
            case ClassMax():
                y = torch.stack([part.amax(dim=1) for part in torch.split(y, list(layer.kinds), dim=1)], dim=1)
            case Softmax():
                y = functional.softmax(y[:, :, 0] / layer.temperature, dim=1)
    result: NDArray[np.float32] = y.numpy()
    return result
