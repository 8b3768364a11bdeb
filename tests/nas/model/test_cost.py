"""Planned cost: hand-computed figures, laws, and onnxruntime's own memory counting as the oracle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st
from live_elements import live_elements

from edgetune_nas.model.arena import ARENA_RULE, lifetimes
from edgetune_nas.model.cost import plan
from edgetune_nas.model.layers import (
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
)
from edgetune_nas.onnx_io.runtime import node_memory
from edgetune_nas.onnx_io.writer import write_onnx

if TYPE_CHECKING:
    from collections.abc import Callable

STEM: tuple[Layer, ...] = (Conv(12, 128, 32, 64), Conv(12, 9, 2, 4, groups=12), Conv(8, 1), GlobalPool())
STEM_AND_MAX: tuple[Layer, ...] = (Conv(8, 128, 32, 64), MaxPool(2, 2), Conv(16, 9, 1, 4), GlobalPool())
FILTER_BANK: tuple[Layer, ...] = (Conv(16, 64, 16, norm=False, relu=False, frozen=True), LpPool(0, 1), Log(1e-3))
ENVELOPE_NET: tuple[Layer, ...] = (LpPool(40, 20), Log(0.1), Conv(24, 3, 1, 1), Conv(32, 3, 1, 1), GlobalPool("both"))
ENVELOPE: tuple[Layer, ...] = (LpPool(50, 50), Log(0.1), Flatten())
DIFFERENCES = Conv(16, 2, groups=8, norm=False, relu=False, frozen=True, taps=(0.0, 1.0, -1.0, 1.0) * 8)


@pytest.mark.parametrize(
    ("shape", "layers", "classes", "unaligned", "arena", "streamed"),
    [
        ((1, 512), STEM, 10, 716, 720, 336),
        ((1, 512), STEM_AND_MAX, 10, 648, 656, 272),
        ((1, 512), FILTER_BANK, 10, 976, 976, 160),
        ((8, 400), ENVELOPE_NET, 26, 3352, 3360, 1072),
        ((8, 400), ENVELOPE, 26, 3264, 3264, 128),
        ((8, 50), (DIFFERENCES, Gram(1.0)), 7, 784 + 608, 1392, 608 + 144),
        ((8, 50), (Gram(1.0),), 7, 400 + 176, 576, 176 + 48),
    ],
)
def test_known_networks_have_the_figures_of_the_readme(
    shape: Shape, layers: tuple[Layer, ...], classes: int, unaligned: int, arena: int, streamed: int
) -> None:
    network = (*layers, Dense(classes), Softmax())
    cost = plan(shape, network)

    assert max(live_elements(lifetimes(shape, network))) == unaligned
    assert (cost.arena_bytes, cost.streamed_bytes, cost.arena_rule) == (arena, streamed, ARENA_RULE)


def test_weights_biases_scales_and_operations_are_counted_by_hand() -> None:
    cost = plan((1, 512), (*STEM, Dense(10), Softmax()))

    weights = 12 * 128 + 12 * 9 + 12 * 8 + 8 * 10
    biases = 12 + 12 + 8 + 10
    assert cost.parameters == weights + biases
    assert cost.macs == 17 * 12 * 128 + 9 * 12 * 9 + 9 * 12 * 8 + 8 * 10
    assert cost.flash_bytes == weights + 4 * biases + 4 * (12 + 12 + 8 + 10) + 5 * 7


def test_a_frozen_filter_bank_has_no_bias_and_an_average_reads_each_element_once() -> None:
    cost = plan((1, 512), (*FILTER_BANK, Dense(10), Softmax()))

    assert cost.parameters == 16 * 64 + 16 * 10 + 10
    assert cost.macs == 29 * 16 * 64 + 29 * 16 + 16 * 10


def test_correlations_read_each_pair_of_samples_and_each_sample_once() -> None:
    cost = plan((8, 50), (DIFFERENCES, Gram(1.0), Dense(7), Softmax()))

    pairs = 16 * 17 // 2
    assert cost.parameters == 2 * 16 + 7 * pairs + 7
    assert cost.macs == 2 * 16 * 49 + 16 * 16 * 49 + 16 * 49 + 7 * pairs


def test_overlapping_frames_read_an_element_once_for_each_frame() -> None:
    assert plan((8, 400), (LpPool(40, 20), Flatten(), Softmax())).macs == 19 * 40 * 8


def test_the_precision_that_runs_changes_the_deployed_arena_alone() -> None:
    network = (*STEM, Dense(10), Softmax())
    float_cost, int8_cost = plan((1, 512), network), plan((1, 512), network, precision_deployed="int8")

    assert float_cost.arena_bytes_deployed == 4 * (512 + 204)
    assert int8_cost.arena_bytes_deployed == int8_cost.arena_bytes
    assert float_cost == int8_cost.model_copy(update={"arena_bytes_deployed": float_cost.arena_bytes_deployed})


def test_a_layer_that_does_not_fit_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"Conv\(filters=4, kernel=9.* does not fit a length of 8"):
        plan((1, 8), (Conv(4, 9), GlobalPool(), Softmax()))


@given(data=st.data())
def test_streaming_never_costs_more_than_storing(networks: st.SearchStrategy[Network], data: st.DataObject) -> None:
    network = data.draw(networks)
    cost = plan(network.input_shape, network.layers)

    assert cost.streamed_bytes <= cost.arena_bytes <= cost.arena_bytes_deployed


@given(data=st.data())
def test_parameters_are_the_numbers_that_the_network_stores(
    networks: st.SearchStrategy[Network], data: st.DataObject
) -> None:
    network = data.draw(networks)
    stored = sum(values.size for own in network.weights for values in own.values())

    assert plan(network.input_shape, network.layers).parameters == stored


@settings(max_examples=60)
@given(data=st.data())
def test_onnxruntime_counts_what_the_planner_says_lives_during_each_operation(
    uncorrelated_networks: st.SearchStrategy[Network], data: st.DataObject
) -> None:
    network = data.draw(uncorrelated_networks)
    assume(not waits_for_reuse(network))
    assert measured_liveness(network) == planned_liveness(network)


def test_onnxruntime_keeps_the_block_of_a_tensor_for_a_later_one_of_its_shape(
    make_network: Callable[..., Network],
) -> None:
    layers = (LpPool(0, 1), Conv(1, 1), Conv(1, 1), Conv(2, 1), GlobalPool("average"), Softmax())
    network = make_network((2, 12), layers)
    assert waits_for_reuse(network)
    assert measured_liveness(network) == [8, 12, 16, 12, 16, 16]
    assert planned_liveness(network) == [8, 12, 8, 12, 16, 16]


def test_onnxruntime_agrees_on_the_known_networks(make_network: Callable[..., Network]) -> None:
    for shape, layers in (((1, 512), STEM), ((1, 512), FILTER_BANK), ((8, 400), ENVELOPE_NET), ((8, 400), ENVELOPE)):
        network = make_network(shape, (*layers, Dense(10), Softmax()))
        assert measured_liveness(network) == planned_liveness(network)


def planned_liveness(network: Network) -> list[int]:
    """Bytes in float32 during each operation, without the window, which belongs to the caller."""
    tensors = lifetimes(network.input_shape, network.layers)
    live = live_elements(tensors)
    for operation in range(tensors[0].last + 1):
        live[operation] -= tensors[0].size
    return [4 * elements for elements in live]


def waits_for_reuse(network: Network) -> bool:
    """Whether a tensor is as large as an earlier one that died some operations before it.

    If their shapes are the same, onnxruntime does not return the block of the earlier one in between.
    """
    tensors = lifetimes(network.input_shape, network.layers)[1:]
    return any(
        later.size == earlier.size and later.first > earlier.last + 1
        for index, earlier in enumerate(tensors)
        for later in tensors[index + 1 :]
    )


def measured_liveness(network: Network) -> list[int]:
    """Bytes that onnxruntime holds during each of our operations, without its packed weights.

    Flattening is an alias, an offset or a temperature of its own a node that we count with the operation behind it.
    """
    window = np.ones((1, *network.input_shape), np.float32)
    nodes = node_memory(write_onnx(network).SerializeToString(), window)
    packed = int(nodes[0]["mem_bytes_requested_in_use"]) - int(nodes[0]["mem_requested_in_use_delta"])
    return [
        int(node["mem_bytes_requested_in_use"]) - packed
        for node in nodes
        if node["op_name"] not in {"Flatten", "Add", "Mul"}
    ]


def test_half_the_rate_leaves_a_copy_beside_the_window_that_is_larger_than_what_a_stem_gives_out() -> None:
    halved = (Conv(1, 2, 2, norm=False, relu=False, frozen=True), Conv(12, 64, 16, 32), *STEM[1:])
    assert plan((1, 512), (*halved, Dense(10), Softmax())).arena_bytes == 768
    assert plan((1, 512), (*STEM, Dense(10), Softmax())).arena_bytes == 720


@given(
    channels=st.integers(1, 8),
    length=st.integers(64, 512),
    factor=st.integers(2, 8),
    filters=st.integers(1, 32),
    kernel=st.integers(1, 16),
    stride=st.integers(1, 16),
)
def test_lowering_the_rate_first_makes_no_arena_smaller_than_a_first_operation_with_longer_strides(
    channels: int, length: int, factor: int, filters: int, kernel: int, stride: int
) -> None:
    """It would, before a convolution that gives out more than it takes in; no memory is saved by one of those."""
    assume(factor * kernel <= length)
    lower = Conv(channels, factor, factor, groups=channels, norm=False, relu=False, frozen=True)
    behind = (GlobalPool(), Dense(4), Softmax())
    assume(filters * ((length // factor - kernel) // stride + 1) <= channels * (length // factor))
    lowered = plan((channels, length), (lower, Conv(filters, kernel, stride), *behind))
    direct = plan((channels, length), (Conv(filters, factor * kernel, factor * stride), *behind))
    assert direct.arena_bytes <= lowered.arena_bytes


@given(
    channels=st.integers(2, 8),
    data=st.data(),
    length=st.integers(64, 512),
    filters=st.integers(1, 32),
    kernel=st.integers(1, 64),
    stride=st.integers(1, 64),
)
def test_leaving_channels_out_first_makes_no_arena_smaller_than_a_first_operation_that_reads_them_all(
    channels: int, data: st.DataObject, length: int, filters: int, kernel: int, stride: int
) -> None:
    kept = data.draw(st.integers(1, channels - 1))
    assume(filters * ((length - kernel) // stride + 1) <= kept * length)
    behind = (GlobalPool(), Dense(4), Softmax())
    chosen = plan((channels, length), (Conv(kept, 1), Conv(filters, kernel, stride), *behind))
    direct = plan((channels, length), (Conv(filters, kernel, stride), *behind))
    assert direct.arena_bytes <= chosen.arena_bytes
