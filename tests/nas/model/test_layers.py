"""Shapes and descriptions of the one layer list."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, strategies as st

from edgetune_nas.model.layers import (
    Conv,
    Dense,
    Flatten,
    GlobalPool,
    Layer,
    Log,
    LpPool,
    MaxPool,
    Norm,
    Shape,
    Softmax,
    describe,
    output_shape,
    shapes,
)

if TYPE_CHECKING:
    from edgetune_nas.model.layers import Network


@pytest.mark.parametrize(
    ("layer", "before", "after"),
    [
        (Conv(12, 128, 32), (1, 512), (12, 13)),
        (Conv(12, 128, 32, 64), (1, 512), (12, 17)),
        (Conv(12, 9, 2, 4, groups=12), (12, 17), (12, 9)),
        (Conv(4, 8), (3, 8), (4, 1)),
        (LpPool(40, 20), (8, 400), (8, 19)),
        (LpPool(0, 1), (16, 29), (16, 1)),
        (MaxPool(2, 2), (8, 17), (8, 8)),
        (GlobalPool("average"), (8, 17), (8, 1)),
        (GlobalPool("both"), (8, 17), (16, 1)),
        (Flatten(), (8, 17), (136, 1)),
        (Dense(10), (136, 1), (10, 1)),
        (Log(0.1), (8, 17), (8, 17)),
        (Softmax(), (10, 1), (10, 1)),
        (Norm(), (16, 1), (1, 1)),
    ],
)
def test_each_layer_gives_the_shape_that_is_worked_out_by_hand(layer: Layer, before: Shape, after: Shape) -> None:
    assert output_shape(layer, before) == after


@pytest.mark.parametrize(
    ("layer", "before", "reason"),
    [
        (Conv(4, 9), (1, 8), "does not fit a length of 8"),
        (Conv(4, 9, 0), (1, 16), "does not fit a length of 16"),
        (Conv(4, 0), (1, 16), "does not fit a length of 16"),
        (Conv(4, 3, groups=2), (3, 16), "cannot split 3 channels into 2 groups"),
        (Conv(5, 3, groups=2), (4, 16), "cannot split 4 channels into 2 groups"),
        (MaxPool(4, 4), (2, 3), "does not fit a length of 3"),
        (Dense(3), (2, 3), "needs a vector, not 2 x 3; flatten or pool first"),
    ],
)
def test_a_layer_that_does_not_fit_says_why(layer: Layer, before: Shape, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        output_shape(layer, before)


@given(
    length=st.integers(1, 200),
    kernel=st.integers(1, 200),
    stride=st.integers(1, 50),
    padding=st.integers(0, 20),
)
def test_the_last_frame_ends_inside_and_the_next_would_not(length: int, kernel: int, stride: int, padding: int) -> None:
    layer = Conv(1, kernel, stride, padding)
    padded = length + 2 * padding
    if kernel > padded:
        with pytest.raises(ValueError, match="does not fit"):
            output_shape(layer, (1, length))
        return
    _, frames = output_shape(layer, (1, length))

    assert (frames - 1) * stride + kernel <= padded < frames * stride + kernel


def test_shapes_follow_one_another(vibration_network: Network) -> None:
    assert shapes(vibration_network.input_shape, vibration_network.layers) == (
        (12, 17),
        (12, 9),
        (8, 9),
        (8, 1),
        (10, 1),
        (10, 1),
    )
    assert all(np.isfinite(values).all() for own in vibration_network.weights for values in own.values())


def test_people_read_one_line_for_each_layer() -> None:
    layers = (
        Conv(12, 128, 32),
        Conv(12, 9, 2, groups=12, relu=False),
        Conv(16, 64, 16, norm=False, relu=False, frozen=True),
        LpPool(40, 20),
        LpPool(0, 1, 2),
        Log(0.1),
        MaxPool(2, 2),
        GlobalPool("both"),
        Flatten(),
        Dense(10),
        Softmax(),
    )

    assert [describe(layer) for layer in layers] == [
        "conv 128/32 x 12, relu",
        "conv (12 groups) 9/2 x 12",
        "filter bank 64/16 x 16",
        "rectify + average 40/20",
        "root mean square all",
        "log",
        "max 2/2",
        "global average + max",
        "flatten",
        "dense x 10",
        "softmax",
    ]
