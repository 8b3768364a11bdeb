"""The arena planner: lifetimes, and the greedy placement of TensorFlow Lite Micro."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, strategies as st
from live_elements import live_elements

from edgetune_nas.model.arena import (
    ALIGNMENT,
    Tensor,
    arena_bytes,
    lifetimes,
    place,
    streamed_lifetimes,
)
from edgetune_nas.model.layers import Conv, Dense, Flatten, GlobalPool, LpPool, Softmax


@st.composite
def tensors(draw: st.DrawFn) -> list[Tensor]:
    spans = draw(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=9))
    return [Tensor(draw(st.integers(1, 200)), min(span), max(span)) for span in spans]


def live_together(one: Tensor, other: Tensor) -> bool:
    return one.first <= other.last and other.first <= one.last


def aligned(size: int) -> int:
    return (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


@given(tensors(), st.sampled_from([1, 4]))
def test_tensors_that_live_together_never_overlap(graph: list[Tensor], width: int) -> None:
    offsets = place(graph, width)

    assert all(offset % ALIGNMENT == 0 for offset in offsets)
    for (one, start), (other, other_start) in combinations(zip(graph, offsets, strict=True), 2):
        if live_together(one, other):
            assert start + one.size * width <= other_start or other_start + other.size * width <= start


@given(tensors(), st.sampled_from([1, 4]))
def test_no_arena_is_smaller_than_what_lives_at_once(graph: list[Tensor], width: int) -> None:
    assert arena_bytes(graph, width) >= width * max(live_elements(graph))


@given(tensors())
def test_each_tensor_lies_at_the_lowest_place_that_those_before_it_left(graph: list[Tensor]) -> None:
    order = sorted(range(len(graph)), key=lambda index: (-aligned(graph[index].size), index))
    expected: dict[int, int] = {}
    for index in order:
        taken = {
            block
            for other, start in expected.items()
            if live_together(graph[index], graph[other])
            for block in range(start, start + aligned(graph[other].size), ALIGNMENT)
        }
        needed = range(0, aligned(graph[index].size), ALIGNMENT)
        offset = 0
        while any(offset + block in taken for block in needed):
            offset += ALIGNMENT
        expected[index] = offset

    assert place(graph) == [expected[index] for index in range(len(graph))]


def test_a_gap_between_two_live_tensors_is_used_before_the_end() -> None:
    graph = [Tensor(64, 0, 0), Tensor(48, 0, 2), Tensor(32, 1, 2), Tensor(16, 2, 2)]

    assert place(graph) == [0, 64, 0, 32]
    assert arena_bytes(graph) == 112


def test_the_larger_tensor_comes_first_and_the_earlier_of_equal_ones() -> None:
    assert place([Tensor(16, 0, 0), Tensor(32, 0, 0), Tensor(32, 0, 0)]) == [64, 0, 32]


def test_sizes_are_rounded_up_to_sixteen_bytes_after_the_element_size() -> None:
    assert arena_bytes([Tensor(5, 0, 0), Tensor(5, 0, 0)]) == 32
    assert arena_bytes([Tensor(5, 0, 0), Tensor(5, 0, 0)], 4) == 64


def test_a_chain_keeps_the_window_until_its_last_use_and_outputs_for_two_operations() -> None:
    layers = (Conv(4, 8, 8), GlobalPool(), Dense(3), Softmax())

    assert lifetimes((1, 64), layers) == [
        Tensor(64, 0, 0),
        Tensor(32, 0, 1),
        Tensor(4, 1, 2),
        Tensor(3, 2, 3),
        Tensor(3, 3, 3),
    ]
    assert live_elements(lifetimes((1, 64), layers)) == [96, 36, 7, 6]


def test_average_and_maximum_are_two_operations_and_a_concatenation() -> None:
    assert lifetimes((2, 10), (GlobalPool("both"), Softmax())) == [
        Tensor(20, 0, 1),
        Tensor(2, 0, 2),
        Tensor(2, 1, 2),
        Tensor(4, 2, 3),
        Tensor(4, 3, 3),
    ]


def test_flattening_makes_no_tensor_and_takes_no_operation() -> None:
    assert lifetimes((2, 8), (LpPool(4, 4), Flatten(), Dense(3))) == [
        Tensor(16, 0, 0),
        Tensor(4, 0, 1),
        Tensor(3, 1, 1),
    ]


def test_a_first_operation_that_needs_the_whole_window_cannot_be_streamed() -> None:
    layers = (Conv(4, 64), GlobalPool(), Softmax())

    assert streamed_lifetimes((1, 64), layers, lifetimes((1, 64), layers), accumulate=False) is None


def test_a_pool_behind_the_first_operation_keeps_one_frame_and_its_running_sums() -> None:
    layers = (Conv(4, 8, 2), GlobalPool("both"), Dense(3), Softmax())

    assert streamed_lifetimes((2, 64), layers, lifetimes((2, 64), layers), accumulate=True) == [
        Tensor(16, 0, 0),  # ring
        Tensor(4, 0, 0),  # one frame
        Tensor(20, 0, 0),  # sums and maxima
        Tensor(8, 0, 1),
        Tensor(3, 1, 2),
        Tensor(3, 2, 2),
    ]
