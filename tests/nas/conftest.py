"""Networks that the tests of this component share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import strategies as st

from edgetune_nas.model.layers import (
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
    Network,
    Shape,
    Softmax,
    output_shape,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray


def _make_network(input_shape: Shape, layers: Sequence[Layer], seed: int = 0) -> Network:
    """Random weights under which values stay near one, so that float32 differences stay small."""
    rng = np.random.default_rng(seed)
    weights = []
    shape, gain = input_shape, 1.0
    for layer in layers:
        own: dict[str, NDArray[np.float32]] = {}
        match layer:
            case Conv():
                taps = shape[0] // layer.groups * layer.kernel
                own["weight"] = _normal(rng, (layer.filters, shape[0] // layer.groups, layer.kernel), taps**-0.5 / gain)
                if not layer.frozen:
                    own["bias"] = _normal(rng, (layer.filters,), 0.3)
                gain = 1.0
            case Dense():
                own["weight"] = _normal(rng, (layer.outputs, shape[0]), shape[0] ** -0.5 / gain)
                own["bias"] = _normal(rng, (layer.outputs,), 0.3)
                gain = 1.0
            case LpPool():
                gain *= layer.kernel or shape[1]
            case Log():
                gain = 3.0
            case Gram():
                gain = 1.0
        weights.append(own)
        shape = output_shape(layer, shape)
    return Network(input_shape, tuple(layers), tuple(weights))


def _normal(rng: np.random.Generator, shape: tuple[int, ...], scale: float) -> NDArray[np.float32]:
    return (rng.normal(size=shape) * scale).astype(np.float32)


@st.composite
def _networks(draw: st.DrawFn, *, correlated: bool = True) -> Network:
    shape = input_shape = (draw(st.integers(1, 3)), draw(st.integers(12, 64)))
    layers: list[Layer] = []
    positive = False
    level = 1.0  # how large what comes is at most, as `_make_network` has it
    for _ in range(draw(st.integers(1, 4))):
        kernel = draw(st.integers(1, min(9, shape[1])))
        stride = draw(st.integers(1, 4))
        kinds = ["conv", "depthwise", "frozen", "lp", "max", *(["log"] if positive else [])]
        layer: Layer
        match draw(st.sampled_from(kinds)):
            case "conv":
                layer = Conv(draw(st.integers(1, 6)), kernel, stride, draw(st.integers(0, kernel // 2)))
            case "depthwise":
                layer = Conv(shape[0], kernel, stride, draw(st.integers(0, kernel // 2)), groups=shape[0])
            case "frozen":
                layer = Conv(draw(st.integers(1, 6)), kernel, stride, norm=False, relu=False, frozen=True)
            case "lp":
                layer = LpPool(draw(st.sampled_from([0, kernel])), stride, draw(st.sampled_from([1, 2])))
            case "max":
                layer = MaxPool(kernel, stride)
            case _:
                layer = Log(0.5)
        if isinstance(layer, LpPool):
            level *= layer.kernel or shape[1]
        elif not isinstance(layer, MaxPool):
            level = 1.0
        keeps = isinstance(layer, MaxPool) and positive
        positive = keeps or isinstance(layer, LpPool) or (isinstance(layer, Conv) and layer.relu)
        layers.append(layer)
        shape = output_shape(layer, shape)
    ends: list[Layer] = [GlobalPool("average"), GlobalPool("max"), GlobalPool("both"), Flatten()]
    if correlated:
        ends.append(Gram(draw(st.sampled_from([0.1, 1.0])) * level))  # as in a search: a share of the level
    layers.append(draw(st.sampled_from(ends)))
    layers += [Dense(outputs) for outputs in draw(st.lists(st.integers(2, 8), max_size=2))]
    if kinds_of_classes := draw(st.sampled_from([(), (1, 3), (2, 2, 1), (4, 1, 1, 2)])):
        layers += [Dense(sum(kinds_of_classes)), ClassMax(kinds_of_classes)]
    layers.append(Softmax(draw(st.sampled_from([1.0, 0.5, 2.5]))))
    return _make_network(input_shape, layers, draw(st.integers(0, 2**16)))


@pytest.fixture(scope="session")
def make_network() -> Callable[..., Network]:
    """A network with random weights for a shape and a layer list."""
    return _make_network


@pytest.fixture(scope="session")
def networks() -> st.SearchStrategy[Network]:
    """Networks of every kind of layer in any order that makes sense."""
    return _networks()


@pytest.fixture(scope="session")
def uncorrelated_networks() -> st.SearchStrategy[Network]:
    """The same without a Gram layer, which is several operations of onnxruntime and two of the planner."""
    return _networks(correlated=False)


@pytest.fixture(scope="session")
def vibration_network() -> Network:
    """A long strided stem, depthwise and pointwise convolutions: 512 samples of one channel, ten classes."""
    layers = (
        Conv(12, 128, 32, 64),
        Conv(12, 9, 2, 4, groups=12),
        Conv(8, 1),
        GlobalPool(),
        Dense(10),
        Softmax(),
    )
    return _make_network((1, 512), layers)


@pytest.fixture(scope="session")
def windows() -> NDArray[np.float32]:
    """Noise, ``(64, 1, 512)``, as ``vibration_network`` takes it."""
    return np.random.default_rng(7).normal(size=(64, 1, 512)).astype(np.float32)
