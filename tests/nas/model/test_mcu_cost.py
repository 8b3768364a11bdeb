"""What a network costs as C, from its shapes: memory exactly, the rest by measured factors (tests/nas/mcu compares)."""

from __future__ import annotations

import numpy as np
import pytest

from edgetune_nas.mcu.layout import streamed
from edgetune_nas.model.cost import plan
from edgetune_nas.model.layers import Conv, Dense, Flatten, GlobalPool, Layer, MaxPool, Norm, Softmax
from edgetune_nas.model.mcu_cost import FACTORS, card_cost, estimate
from edgetune_nas.model.search_space import Prior, expand, mutate, sample
from edgetune_nas.model.seed_architectures import vibration_closed_forms, vibration_networks

STEM = (Conv(12, 128, 32, 64), GlobalPool("average"), Dense(10), Softmax())


def test_a_card_says_what_a_network_costs_as_c() -> None:
    cost = card_cost((1, 512), STEM, precision_deployed="int8")

    assert cost.model_copy(update={"mcu": None}) == plan((1, 512), STEM, precision_deployed="int8")
    assert cost.mcu is not None
    assert (cost.mcu.bss_bytes, cost.mcu.streamed_bss_bytes) == (720, 208)
    assert set(cost.mcu.cores) == set(FACTORS)
    m4 = cost.mcu.cores["cortex-m4"]
    assert 1.5 < m4.instructions / cost.macs < m4.streamed_instructions / cost.macs < 3
    assert cost.flash_bytes < m4.text_bytes < m4.streamed_text_bytes < cost.flash_bytes + 3000
    assert cost.mcu.lines[0] == "static memory 720 B (208 B streamed)"


@pytest.mark.parametrize("seed", range(20))
def test_static_memory_of_a_stream_is_that_of_its_layout(seed: int) -> None:
    shape = ((1, 256), (3, 100))[seed % 2]
    prior = Prior(vibration_closed_forms, vibration_networks, (0.4, 0.3, 0.3))
    rng = np.random.default_rng(seed)
    layers = expand(mutate(sample(rng, shape, prior), rng, shape, prior), shape, 4)

    found = estimate(shape, layers)

    layout = streamed(shape, layers)
    assert found is not None
    assert found.streamed_bss_bytes == layout.bytes + 2 * (layout.position is None)
    for core in found.cores.values():
        assert min(core.instructions, core.streamed_instructions, core.text_bytes, core.streamed_text_bytes) > 0


def test_a_longer_stride_takes_fewer_instructions() -> None:
    costs = [estimate((1, 512), (Conv(12, 128, stride), *STEM[1:])) for stride in (16, 32)]

    for name in FACTORS:
        often, seldom = (each.cores[name].instructions for each in costs if each is not None)
        assert seldom < 0.6 * often


@pytest.mark.parametrize(
    "layers",
    [
        (MaxPool(4, 4), Flatten(), Dense(3), Softmax()),
        (Flatten(), Dense(3), Softmax()),
        (Conv(3, 8), GlobalPool("max"), Softmax()),
        (Conv(3, 8), GlobalPool("max"), Norm()),
    ],
)
def test_a_network_that_cannot_become_c_has_no_such_cost(layers: tuple[Layer, ...]) -> None:
    assert estimate((1, 64), layers) is None
    assert card_cost((1, 64), layers, precision_deployed="float").mcu is None
