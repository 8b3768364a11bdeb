"""Static int8: what is quantised, which variant is kept, and that nothing is left behind or said."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings, strategies as st

from edgetune_nas.model.layers import Conv, Dense, Flatten, Log, LpPool, Network, Softmax
from edgetune_nas.onnx_io.quantisation import FLOAT_OPERATIONS, VARIANTS, _labels, _quantise, quantise
from edgetune_nas.onnx_io.runtime import Classifier, node_memory, open_session
from edgetune_nas.onnx_io.writer import write_onnx

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest
    from numpy.typing import NDArray


def test_int8_gives_nearly_the_probabilities_of_float(vibration_network: Network, windows: NDArray[np.float32]) -> None:
    model = write_onnx(vibration_network)
    quantised, note = quantise(model, windows)

    float_says = Classifier(open_session(model.SerializeToString())).probabilities(windows)
    int8_says = Classifier(open_session(quantised.SerializeToString())).probabilities(windows)
    assert note.agreement == np.mean(float_says.argmax(axis=1) == int8_says.argmax(axis=1)) > 0.9
    np.testing.assert_allclose(int8_says, float_says, atol=0.05)
    assert np.any(int8_says != float_says)


def test_names_and_shapes_stay_and_the_float_model_is_not_touched(
    vibration_network: Network, windows: NDArray[np.float32]
) -> None:
    model = write_onnx(vibration_network)
    before = model.SerializeToString()
    quantised, _ = quantise(model, windows)

    session = open_session(quantised.SerializeToString())
    assert model.SerializeToString() == before
    assert (session.get_inputs()[0].name, session.get_inputs()[0].shape) == ("window", ["windows", 1, 512])
    assert (session.get_outputs()[0].name, session.get_outputs()[0].shape) == ("probabilities", ["windows", 10])
    assert quantised.producer_name == "edgetune"
    assert not quantised.metadata_props


def test_convolutions_and_dense_layers_run_in_int8(vibration_network: Network, windows: NDArray[np.float32]) -> None:
    quantised, _ = quantise(write_onnx(vibration_network), windows)

    ran = [node["op_name"] for node in node_memory(quantised.SerializeToString(), windows[:1])]
    assert ran.count("QLinearConv") == 3
    assert ran.count("QGemm") == 1
    assert not {"Conv", "FusedConv", "Gemm"} & set(ran)


def test_rectified_averages_logarithms_and_softmax_stay_float(make_network: Callable[..., Network]) -> None:
    network = make_network((2, 64), (LpPool(8, 8), Log(0.1), Conv(4, 3), Flatten(), Dense(3), Softmax()))
    x = np.random.default_rng(0).normal(size=(32, 2, 64)).astype(np.float32)
    quantised, _ = quantise(write_onnx(network), x)

    made_by = {output: node.op_type for node in quantised.graph.node for output in node.output}
    for node in quantised.graph.node:
        if node.op_type in {"LpPool", "Log"}:
            assert made_by.get(node.input[0], "window") in {"window", "Add"}
        if node.op_type == "Softmax":
            assert node.output[0] == "probabilities"
    assert {"LpPool", "Log", "Softmax"} <= FLOAT_OPERATIONS


def test_the_variant_that_agrees_most_is_kept_and_the_first_of_equals(
    vibration_network: Network, windows: NDArray[np.float32]
) -> None:
    model = write_onnx(vibration_network)
    labels = _labels(model, windows)
    agreements = {
        name: float((_labels(_quantise(model, windows, options), windows) == labels).mean())
        for name, options in VARIANTS.items()
    }

    _, note = quantise(model, windows)

    assert note.agreement == max(agreements.values())
    assert note.variant == max(agreements, key=lambda name: agreements[name])


def test_a_network_that_saturates_sixteen_bit_sums_keeps_its_labels() -> None:
    """Large weights of one sign on a constant level: 45 % agreement per channel on a processor with AVX2 only."""
    layers = (Conv(4, 16, 16), Flatten(), Dense(4), Softmax())
    slopes = np.repeat(np.arange(4, dtype=np.float32)[:, None] / 256, 16, axis=1)
    stem = {"weight": np.ones((4, 1, 16), np.float32), "bias": np.zeros(4, np.float32)}
    head: dict[str, NDArray[np.float32]] = {
        "weight": slopes.astype(np.float32),
        "bias": np.array([0, -0.25, -0.75, -1.5], np.float32),
    }
    none: dict[str, NDArray[np.float32]] = {}
    network = Network((1, 64), layers, (stem, none, head, none))
    rng = np.random.default_rng(0)
    level = rng.uniform(0, 1, (256, 1, 1))
    x = np.clip(level + 0.01 * rng.normal(size=(256, 1, 64)), 0, 1).astype(np.float32)

    _, note = quantise(write_onnx(network), x)

    assert note.agreement > 0.98


def test_nothing_is_written_to_disk_for_good_and_nothing_is_said(
    vibration_network: Network,
    windows: NDArray[np.float32],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    quantise(write_onnx(vibration_network), windows)

    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


@settings(max_examples=15)
@given(data=st.data())
def test_every_kind_of_network_can_be_quantised(networks: st.SearchStrategy[Network], data: st.DataObject) -> None:
    network = data.draw(networks)
    x = np.random.default_rng(0).normal(size=(16, *network.input_shape)).astype(np.float32)

    quantised, note = quantise(write_onnx(network), x)

    probabilities = Classifier(open_session(quantised.SerializeToString())).probabilities(x)
    assert note.variant in VARIANTS
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
