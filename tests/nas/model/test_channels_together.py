"""Closed forms that know how channels act together: mixes, differences in time, levels and correlations."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, strategies as st

from edgetune_nas.model import closed_form, frontend, search_space as space
from edgetune_nas.model.cost import plan
from edgetune_nas.model.layers import Conv, Gram, Layer, describe
from edgetune_nas.model.search_space import Genotype, Together, ring
from edgetune_nas.model.seed_architectures import (
    LONG_WINDOW,
    MOST_IN_RING,
    MOST_PAIRS,
    channels_together,
    gesture_closed_forms,
    vibration_closed_forms,
)
from edgetune_nas.onnx_io.quantisation import quantise
from edgetune_nas.onnx_io.runtime import Classifier, open_session
from edgetune_nas.onnx_io.writer import write_onnx

if TYPE_CHECKING:
    from numpy.typing import NDArray

CORRELATIONS = Genotype(Together("each", differences=1, correlate=True), None, (), "flat")


def windows(count: int, channels: int, length: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Noise of equal levels, which neighbours share in class 1 and have against each other in class 2."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 3
    x = rng.normal(size=(count, channels, length))
    shared = (
        rng.normal(size=(count, 1, length))
        * np.array([1.0, -1.0])[np.arange(channels) % 2][:, None] ** (y == 2)[:, None, None]
    )
    x = np.where((y > 0)[:, None, None], (x + 1.5 * shared) / 3.25**0.5, x)
    return x.astype(np.float32), y


@pytest.mark.parametrize("shape", [(2, 40), (3, 128), (8, 50)])
def test_what_no_level_tells_correlations_and_mixes_tell(shape: tuple[int, int]) -> None:
    x, y = windows(600, *shape)
    for genotype in channels_together(shape):
        network = closed_form.fit(space.expand(genotype, shape, 3), x[:300], y[:300], classes=3)
        right = (closed_form.logits(network, x[300:]).argmax(axis=1) == y[300:]).mean()
        stride = genotype.frontend.stride
        assert right > (0.95 if stride == 1 else 0.7), genotype
    levels = Genotype(space.Envelope(shape[1], 1), None, (), "flat")
    network = closed_form.fit(space.expand(levels, shape, 3), x[:300], y[:300], classes=3)
    assert (closed_form.logits(network, x[300:]).argmax(axis=1) == y[300:]).mean() < 0.6


@pytest.mark.parametrize("shape", [(2, 40), (3, 128), (8, 50), (10, 250)])
def test_torch_onnxruntime_and_numpy_agree(shape: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
    from edgetune_nas.model.torch_net import from_network

    x, y = windows(90, *shape)
    x *= np.linspace(1, 30, shape[0], dtype=np.float32)[:, None]
    for genotype in channels_together(shape):
        network = closed_form.fit(space.expand(genotype, shape, 3), x, y, classes=3)
        logits = closed_form.logits(network, x)
        with torch.no_grad():
            np.testing.assert_allclose(from_network(network)(torch.from_numpy(x)).numpy(), logits, atol=2e-2, rtol=1e-3)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        given = Classifier(open_session(write_onnx(network).SerializeToString())).probabilities(x)
        np.testing.assert_allclose(given, powers / powers.sum(axis=1, keepdims=True), atol=5e-3)


@pytest.mark.parametrize("correlate", [True, False])
def test_int8_names_the_same_classes(correlate: bool) -> None:  # noqa: FBT001 - a parameter of the test
    shape = (8, 50)
    x, y = windows(300, *shape)
    front = Together("each" if correlate else "ring", differences=1, correlate=correlate)
    layers = space.expand(Genotype(front, None, (), "flat"), shape, 3)
    network = closed_form.fit(layers, x, y, classes=3)
    quantised, note = quantise(write_onnx(network), x)
    assert note.agreement > 0.98
    kept_float = {"Div", "MatMul", "Sub", "GlobalLpPool", "Log", "Sqrt"}
    shaped = {"Add", "Cast", "Flatten", "Gather", "Mul", "Transpose"}
    produced = {name: node.op_type for node in quantised.graph.node for name in node.output}
    for node in quantised.graph.node:
        if node.op_type in kept_float:
            assert {produced.get(name) for name in node.input} <= {*kept_float, *shaped, "DequantizeLinear", None}
    integers = [node for node in quantised.graph.node if node.op_type == "MatMulInteger"]
    assert len(integers) == 2 * correlate
    for node in integers:
        assert {produced.get(name) for name in node.input} <= {"QuantizeLinear", "Transpose", None}


@given(st.floats(-300, 300), st.floats(0.2, 5), st.integers(0, 2**16))
def test_correlations_know_neither_an_offset_nor_which_channel_is_loud(offset: float, louder: float, seed: int) -> None:
    x, _ = windows(6, 3, 64, seed)
    gain = np.array([[louder], [1.0], [1 / louder]], np.float32)
    frontal, plain = frontend.fit_frontend(differences(3), x)
    again, other = frontend.fit_frontend(differences(3), x * gain + np.float32(offset))
    assert isinstance(frontal[-1], Gram)
    assert isinstance(again[-1], Gram)
    np.testing.assert_allclose(other, plain, atol=0.02)


def differences(channels: int) -> tuple[Layer, ...]:
    layers = space.expand(CORRELATIONS, (channels, 64), 2)
    return frontend.split_frontend(layers)[0]


@given(st.integers(2, 5), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2**16))
def test_a_mix_is_the_convolution_of_its_taps(channels: int, kernel: int, stride: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for groups in (1, channels):
        filters = 2 * channels
        taps = tuple(rng.normal(size=filters * channels // groups * kernel).tolist())
        mix = Conv(filters, kernel, stride, groups=groups, norm=False, relu=False, frozen=True, taps=taps)
        x = rng.normal(size=(4, channels, 20)).astype(np.float32)
        weight = frontend.filter_bank(mix)
        found = frontend.frontend_features((mix,), x)
        for filter_ in range(filters):
            own = x[:, filter_ // 2][:, None] if groups > 1 else x
            for frame in range(found.shape[2]):
                part = own[:, :, frame * stride : frame * stride + kernel]
                expected = np.einsum("nct,ct->n", part, weight[filter_])
                np.testing.assert_allclose(found[:, filter_, frame], expected, atol=1e-4)


def test_a_ring_closes_and_two_channels_are_one_pair() -> None:
    assert ring(8).shape == (24, 8)
    assert ring(2).shape == (4, 2)
    np.testing.assert_allclose(ring(8)[15] * 2**0.5, [1, 0, 0, 0, 0, 0, 0, 1])
    np.testing.assert_allclose(np.linalg.norm(ring(5), axis=1), 1)


def test_a_dead_electrode_does_no_harm() -> None:
    x, y = windows(90, 4, 50)
    x[:, 2] = 0
    for genotype in channels_together((4, 50)):
        network = closed_form.fit(space.expand(genotype, (4, 50), 3), x, y, classes=3)
        assert np.isfinite(closed_form.logits(network, x)).all()
        write_onnx(network)


def test_one_channel_has_nothing_beside_it() -> None:
    assert channels_together((1, 512)) == ()
    assert not any(isinstance(each.frontend, Together) for part in vibration_closed_forms((1, 512)) for each in part)


@given(st.integers(2, 64), st.integers(1, 5000))
def test_what_channels_make_together_is_bounded_and_fits(channels: int, length: int) -> None:
    for genotype in channels_together((channels, length)):
        assert channels <= MOST_IN_RING or genotype.frontend.mix != "ring"
        layers = space.expand(genotype, (channels, length), 5)
        assert plan((channels, length), layers).parameters < 5 * (MOST_PAIRS + 1) + 12 * channels**2
        assert space.from_json(json.loads(json.dumps(space.to_json(genotype)))) == genotype


def test_long_windows_alone_are_asked_for_second_differences() -> None:
    for length in (LONG_WINDOW - 1, LONG_WINDOW):
        orders = {each.frontend.differences for each in channels_together((3, length)) if each.frontend.correlate}
        assert orders == ({0, 1, 2} if length == LONG_WINDOW else {0, 1})


def test_gestures_ask_how_electrodes_act_together_first() -> None:
    first, rest = gesture_closed_forms((8, 50))
    assert CORRELATIONS in first
    assert all(isinstance(each.frontend, Together) for each in first)
    assert not any(isinstance(each.frontend, Together) for each in rest)


def test_what_people_read_names_them() -> None:
    layers = space.expand(CORRELATIONS, (8, 50), 7)
    assert [describe(layer) for layer in layers[:2]] == [
        "channels + differences 2/1 x 16",
        "levels + correlations of channels",
    ]
    mixed = space.expand(Genotype(Together("ring", 1, correlate=False), None, (), "flat"), (8, 50), 7)
    assert describe(mixed[0]) == "mix of channels 2/1 x 48"
