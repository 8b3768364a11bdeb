"""An ensemble is one network and computes the mean of its members' logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgetune_nas.model.cost import plan
from edgetune_nas.model.ensemble import merge, widened
from edgetune_nas.model.frontend import frontend_weights, split_frontend
from edgetune_nas.model.layers import Network
from edgetune_nas.model.search_space import ConvBlock, Envelope, Genotype, Stem, expand
from edgetune_nas.onnx_io.runtime import Classifier, open_session
from edgetune_nas.onnx_io.writer import write_onnx

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SHAPE = (8, 400)
ENVELOPE = Envelope(40, 20)
WIDE, DEEP = ConvBlock("full", 6, 3), ConvBlock("separable", 5, 3, 1, 2)


def _members(make_network: Callable[..., Network], genotype: Genotype, count: int) -> list[Network]:
    layers = expand(genotype, SHAPE, 4)
    frontend, _ = split_frontend(layers)
    drawn = [make_network(SHAPE, layers, seed) for seed in range(count)]
    return [Network(SHAPE, layers, (*frontend_weights(frontend), *each.weights[len(frontend) :])) for each in drawn]


def _logits(network: Network, x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Logits up to a constant a window, out of onnxruntime's probabilities."""
    probabilities = Classifier(open_session(write_onnx(network).SerializeToString())).probabilities(x)
    logs = np.log(probabilities.astype(np.float64))
    centred: NDArray[np.float64] = logs - logs.mean(axis=1, keepdims=True)
    return centred


@pytest.mark.parametrize("head", ["average", "max", "both", "flat"])
@pytest.mark.parametrize(
    ("frontend", "stem", "blocks"),
    [
        (ENVELOPE, None, (WIDE,)),
        (ENVELOPE, None, (WIDE, WIDE, DEEP)),
        (None, Stem(4, 16, 8, 2), (DEEP, WIDE)),
    ],
)
def test_an_ensemble_computes_the_mean_of_its_members_logits(
    make_network: Callable[..., Network],
    frontend: Envelope | None,
    stem: Stem | None,
    blocks: tuple[ConvBlock, ...],
    head: str,
) -> None:
    members = _members(make_network, Genotype(frontend, stem, blocks, head), 3)  # type: ignore[arg-type]
    x = np.random.default_rng(1).normal(size=(20, *SHAPE)).astype(np.float32)
    mean = np.mean([_logits(each, x) for each in members], axis=0)
    np.testing.assert_allclose(_logits(merge(members), x), mean, atol=2e-3)


def test_what_an_ensemble_costs_is_planned_before_it_is_trained(make_network: Callable[..., Network]) -> None:
    members = _members(make_network, Genotype(ENVELOPE, None, (WIDE, WIDE), "both"), 3)
    merged = merge(members)
    assert merged.layers == widened(members[0].layers, 3)
    cost = plan(SHAPE, merged.layers)
    assert cost.parameters == sum(array.size for own in merged.weights for array in own.values())
    assert cost.arena_bytes == plan(SHAPE, members[0].layers).arena_bytes  # the raw window stays the largest


@pytest.mark.parametrize("blocks", [(), (ConvBlock("separable", 5, 3),)])
def test_networks_that_have_no_trained_convolution_first_are_not_merged(
    make_network: Callable[..., Network], blocks: tuple[ConvBlock, ...]
) -> None:
    members = _members(make_network, Genotype(ENVELOPE, None, blocks, "flat"), 2)
    assert widened(members[0].layers, 2) is None
    with pytest.raises(ValueError, match="cannot be merged"):
        merge(members)
    assert merge(members[:1]).layers == members[0].layers
