"""The space of networks: what it contains, and that everything drawn from it can be built."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, strategies as st

from edgetune_nas.model import search_space as space
from edgetune_nas.model.cost import plan
from edgetune_nas.model.layers import Conv, Softmax, shapes
from edgetune_nas.model.search_space import Bank, ConvBlock, Envelope, Genotype, Stem
from edgetune_nas.model.seed_architectures import closed_forms, smallest
from edgetune_nas.training.task_profile import PROFILES

if TYPE_CHECKING:
    from edgetune_nas.card import Task
    from edgetune_nas.model.layers import Shape

SHAPES: tuple[Shape, ...] = ((1, 512), (8, 400), (3, 4096), (6, 128))
TASKS: tuple[Task, ...] = ("fault", "sign")

anything = given(st.sampled_from(SHAPES), st.sampled_from(TASKS), st.integers(0, 2**32 - 1))


@anything
def test_every_sampled_network_ends_in_the_classes(shape: Shape, task: Task, seed: int) -> None:
    genotype = space.sample(np.random.default_rng(seed), shape, PROFILES[task].prior)
    layers = space.expand(genotype, shape, 7)
    assert shapes(shape, layers)[-1] == (7, 1)
    assert isinstance(layers[-1], Softmax)
    assert not genotype.closed_form


@anything
def test_mutation_gives_another_trained_network_that_fits(shape: Shape, task: Task, seed: int) -> None:
    rng = np.random.default_rng(seed)
    parent = space.sample(rng, shape, PROFILES[task].prior)
    child = space.mutate(parent, rng, shape, PROFILES[task].prior)
    assert child != parent
    assert not child.closed_form
    assert space.fits_input(child, shape)


@anything
def test_a_genotype_survives_json(shape: Shape, task: Task, seed: int) -> None:
    drawn = [space.sample(np.random.default_rng(seed), shape, PROFILES[task].prior), *closed_forms(shape)]
    for genotype in drawn:
        assert space.from_json(json.loads(json.dumps(space.to_json(genotype)))) == genotype


@anything
def test_equal_seeds_draw_equal_networks(shape: Shape, task: Task, seed: int) -> None:
    first, second = np.random.default_rng(seed), np.random.default_rng(seed)
    for _ in range(5):
        assert space.sample(first, shape, PROFILES[task].prior) == space.sample(second, shape, PROFILES[task].prior)


@given(st.integers(1, 16), st.integers(8, 6000), st.sampled_from(TASKS))
def test_any_window_has_closed_forms_and_seed_architectures(channels: int, length: int, task: Task) -> None:
    assert closed_forms((channels, length))
    assert smallest((channels, length))
    rng = np.random.default_rng(0)
    if length >= 32:
        assert PROFILES[task].prior.seed_architectures((channels, length))
        assert space.fits_input(space.sample(rng, (channels, length), PROFILES[task].prior), (channels, length))


def test_a_short_window_of_many_electrodes_has_banks_of_a_few_bands() -> None:
    frontends = [genotype.frontend for genotype in closed_forms((8, 52))]
    assert [frontend.bands for frontend in frontends if isinstance(frontend, Bank)] == [4, 3]


@anything
def test_no_bank_has_more_bands_than_its_taps_can_tell_apart(shape: Shape, task: Task, seed: int) -> None:
    rng = np.random.default_rng(seed)
    drawn = [*closed_forms(shape), *(space.sample(rng, shape, PROFILES[task].prior) for _ in range(20))]
    banks = [genotype.frontend for genotype in drawn if isinstance(genotype.frontend, Bank)]
    assert all(bank.bands <= bank.kernel // 2 for bank in banks)


@pytest.mark.parametrize(
    ("genotype", "shape", "classes", "arena", "parameters"),
    [
        (Genotype(None, Stem(12, 128, 32), (ConvBlock("separable", 8, 9, 2),), "average"), (1, 512), 10, 720, 1862),
        (Genotype(None, Stem(8, 128, 32, 2), (ConvBlock("full", 16, 9),), "average"), (1, 512), 10, 656, 2370),
        (
            Genotype(Envelope(40, 20), None, (ConvBlock("full", 24, 3), ConvBlock("full", 32, 3)), "both"),
            (8, 400),
            26,
            3360,
            4626,
        ),
    ],
)
def test_the_networks_known_to_be_good_are_in_the_space(
    genotype: Genotype, shape: Shape, classes: int, arena: int, parameters: int
) -> None:
    cost = plan(shape, space.expand(genotype, shape, classes))
    assert (cost.arena_bytes, cost.parameters) == (arena, parameters)
    assert any(genotype in PROFILES[task].prior.seed_architectures(shape) for task in TASKS)


def test_a_convolution_after_a_logarithm_is_not_padded_with_zeros() -> None:
    genotype = Genotype(Envelope(40, 20), None, (ConvBlock("full", 24, 3), ConvBlock("full", 32, 3)), "both")
    convolutions = [layer for layer in space.expand(genotype, (8, 400), 26) if isinstance(layer, Conv)]
    assert [layer.padding for layer in convolutions] == [0, 1]


def test_a_network_longer_than_its_window_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="does not fit a length of 400"):
        space.expand(Genotype(Envelope(512, 512), None, (), "flat"), (8, 400), 3)
