"""The torch module computes the layer list, before and after its batch norms are folded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from edgetune_nas.model import search_space as space
from edgetune_nas.model.frontend import frontend_features, frontend_weights, split_frontend
from edgetune_nas.model.layers import Conv, Network, shapes
from edgetune_nas.onnx_io.runtime import Classifier, open_session
from edgetune_nas.onnx_io.writer import write_onnx
from edgetune_nas.training.task_profile import PROFILES

torch = pytest.importorskip("torch")

from edgetune_nas.model.torch_net import LayerNet, from_network, to_network  # noqa: E402

if TYPE_CHECKING:
    from edgetune_nas.card import Task
    from edgetune_nas.model.layers import Shape


def _shaken(net: LayerNet, x: torch.Tensor) -> LayerNet:
    """Batch norms with statistics and gains that are not the initial ones."""
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            torch.nn.init.uniform_(module.weight, 0.5, 2)
            torch.nn.init.normal_(module.bias)
    net.train()
    for _ in range(3):
        net(x)
    return net.eval()


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([(1, 512), (8, 400), (3, 300), (6, 128)]), st.sampled_from(["fault", "sign"]), st.integers(0, 999)
)
def test_onnxruntime_says_what_the_trained_module_said(shape: Shape, task: Task, seed: int) -> None:
    torch.manual_seed(seed)
    genotype = space.sample(np.random.default_rng(seed), shape, PROFILES[task].prior)
    layers = space.expand(genotype, shape, 5)
    x = np.random.default_rng(seed).normal(size=(16, *shape)).astype(np.float32)
    frontend, rest = split_frontend(layers)
    features = torch.from_numpy(np.ascontiguousarray(frontend_features(frontend, x)))
    net = _shaken(LayerNet(rest, tuple(features.shape[1:])), features)
    with torch.no_grad():
        expected = torch.softmax(net(features), dim=1).numpy()
    network = Network(shape, layers, (*frontend_weights(frontend), *to_network(net).weights))
    session = open_session(write_onnx(network).SerializeToString())
    np.testing.assert_allclose(Classifier(session).probabilities(x), expected, atol=2e-4)


@settings(max_examples=60, deadline=None)
@given(st.data())
@pytest.mark.slow
def test_a_network_becomes_a_module_that_says_what_onnxruntime_says(
    networks: st.SearchStrategy[Network], data: st.DataObject
) -> None:
    network = data.draw(networks)
    x = np.random.default_rng(0).normal(size=(4, *network.input_shape)).astype(np.float32)
    try:
        net = from_network(network)
    except ValueError:  # a grouped convolution that is neither full nor depthwise is not in the space
        assert any(isinstance(layer, Conv) and layer.groups > 1 for layer in network.layers)
        return
    temperature = network.layers[-1].temperature
    with torch.no_grad():
        expected = torch.softmax(net(torch.from_numpy(x)) / temperature, dim=1).numpy()
    session = open_session(write_onnx(network).SerializeToString())
    np.testing.assert_allclose(Classifier(session).probabilities(x), expected, atol=2e-3)


@given(st.sampled_from([(1, 512), (8, 400)]), st.sampled_from(["fault", "sign"]), st.integers(0, 999))
@settings(max_examples=25, deadline=None)
def test_tensors_have_the_shapes_that_costs_are_planned_from(shape: Shape, task: Task, seed: int) -> None:
    layers = space.expand(space.sample(np.random.default_rng(seed), shape, PROFILES[task].prior), shape, 5)
    x = torch.zeros(2, *shape).transpose(1, 2)
    for step, wanted in zip(LayerNet(layers, shape).eval().steps, shapes(shape, layers), strict=True):
        x = step(x)
        assert tuple(x.shape[1:]) == (wanted[1], wanted[0])
