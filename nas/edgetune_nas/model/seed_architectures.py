"""Architectures that a search evaluates first: closed forms, and trained networks that did well on such data before."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from edgetune_nas.model.frontend import split_frontend
from edgetune_nas.model.hum import hum_taps
from edgetune_nas.model.layers import shapes
from edgetune_nas.model.search_space import (
    FILTERS,
    MAX_STRIDE,
    MAX_TAPS,
    MIN_BANK_TAPS,
    Bank,
    ConvBlock,
    Envelope,
    Genotype,
    Stem,
    Together,
    expand,
    fits_input,
    power_of_two,
)

if TYPE_CHECKING:
    from edgetune_nas.model.layers import Layer, Shape
    from edgetune_nas.model.search_space import Prior

MOST_HUM_SHARE = 0.25
"""Share of a window that the filter against hum may be long. What is left behind a longer one is too short."""
LOW = 0.05
"""Share of the spectrum, from 0 Hz, that some banks leave out: hum and unbalance lie there."""
MOST_TAPS = {16: 64, 4: 8, 3: 8}
"""Most taps of a bank by its number of bands. With more, the bands leave gaps: robust in float, not in int8."""


def closed_forms(input_shape: Shape) -> tuple[Genotype, ...]:
    """List fixed frontends with a linear discriminant, from rich to tiny, sized by the window's length alone.

    A bank's taps are an eighth and a quarter of the window, at most 128: a filter then still spans many cycles of its
    band. Many overlapping bands without the lowest hold best when the machine's load changes. Three or four bands tell
    a gesture where the window is too short for more. An envelope's frames are about an eighth of the window.
    """
    length = input_shape[1]
    taps = [k for k in (power_of_two(length / 8, 128), power_of_two(length / 4, 128)) if k >= MIN_BANK_TAPS]
    frontends: list[Bank | Envelope] = []
    for kernel in dict.fromkeys(taps):
        fine = kernel // 4
        sizes = [
            (40, fine // 2, LOW), (36, fine, LOW), (24, fine, LOW), (24, fine, 0.0),
            (16, fine, 0.0), (8, 2 * fine, 0.0), (6, kernel, 0.0), (4, fine // 2, 0.0), (3, fine // 2, 0.0),
        ]  # fmt: skip
        frontends += [
            Bank(bands, kernel, stride, low=low)
            for bands, stride, low in sizes
            if bands <= kernel // 2 and kernel <= MOST_TAPS.get(bands, kernel)
        ]
    for parts, overlap in ((10, 2), (16, 1), (8, 1), (5, 1), (3, 1), (1, 1)):
        kernel = max(1, length // parts)
        frontends.append(Envelope(kernel, max(1, kernel // overlap)))
    genotypes = (Genotype(frontend, None, (), "flat") for frontend in frontends)
    return tuple(genotype for genotype in genotypes if fits_input(genotype, input_shape))


LONG_WINDOW = 128
"""Samples from which on correlations of second differences are asked too.

Chosen on the people of the examination: they gained 1 point in windows of 250 samples, and lost up to 0.4 in those of
50, too few for so many correlations. First differences gained 1 to 3 in both, those over more samples nothing.
"""
MOST_PAIRS = 1024
"""Features of a `Together` at most: solving for more takes seconds, and more memory than the windows."""
MOST_IN_RING = 16
"""Channels whose neighbours are mixed at most: more electrodes are a grid, and every mix reads all of them."""


def channels_together(input_shape: Shape) -> tuple[Genotype, ...]:
    """List closed forms of how several channels act together; none for one channel."""
    if input_shape[0] == 1:
        return ()
    fronts = [
        Together("each", 0, correlate=True),
        Together("each", 1, correlate=True),
        *([Together("each", 2, correlate=True)] if input_shape[1] >= LONG_WINDOW else []),
        *(
            Together("ring", 1, correlate=False, stride=stride)
            for stride in (1, 2, 4)
            if input_shape[0] <= MOST_IN_RING
        ),
    ]
    genotypes = (Genotype(front, None, (), "flat") for front in fronts)
    return tuple(
        each for each in genotypes if fits_input(each, input_shape) and _features(each, input_shape) <= MOST_PAIRS
    )


def _features(genotype: Genotype, input_shape: Shape) -> int:
    frontend, _ = split_frontend(expand(genotype, input_shape, 2))
    channels, length = shapes(input_shape, frontend)[-1]
    return channels * length


def kind_frontend(input_shape: Shape) -> tuple[Layer, ...]:
    """Return the frontend whose levels tell recordings apart; none where windows are too short for it."""
    bank = _bank(input_shape[1], 128, 4, 48, 1)
    if bank is None:
        return ()
    return split_frontend(expand(Genotype(bank, None, (), "flat"), input_shape, 2))[0]


def gesture_closed_forms(input_shape: Shape) -> tuple[tuple[Genotype, ...], ...]:
    """List how electrodes act together first, then `closed_forms`."""
    return channels_together(input_shape), closed_forms(input_shape)


def vibration_closed_forms(input_shape: Shape) -> tuple[tuple[Genotype, ...], ...]:
    """List banks of many bands first, then how axes act together and `closed_forms`.

    Over bearing rigs and gearboxes, 48 and 64 bands of 128 and 256 taps were better than anything with fewer
    bands. More taps or bands brought nothing.
    """
    length = input_shape[1]
    banks = [_bank(length, taps, 4, bands, p) for taps, bands in ((256, 64), (128, 48)) for p in (2, 1)]
    many = tuple(Genotype(bank, None, (), "flat") for bank in dict.fromkeys(banks) if bank is not None)
    others = (*channels_together(input_shape), *closed_forms(input_shape))
    return many, tuple(each for each in others if each not in many)


def _bank(length: int, taps: int, overlap: int, bands: int, p: Literal[1, 2]) -> Bank | None:
    """Return a bank whose filters take at most half a window; None where that leaves too few taps for the bands."""
    kernel = power_of_two(length / 2, taps)
    return Bank(bands, kernel, kernel // overlap, p) if bands <= kernel // 2 else None


def with_mains(prior: Prior, mains: float, input_shape: Shape, *, heard: bool) -> Prior:
    """Return ``prior`` with networks that take a hum off: each closed form both ways, and half of the drawn networks.

    Seed architectures do so where the hum is ``heard`` in the data. Nothing changes if the filter is longer than
    `MOST_HUM_SHARE` of a window, or if the hum lies above half the sampling rate.
    """
    if not 0 < mains < 0.5 or len(hum_taps(mains)) > MOST_HUM_SHARE * input_shape[1]:  # noqa: PLR2004 - Nyquist
        return prior

    def without_hum(genotypes: tuple[Genotype, ...], shape: Shape) -> tuple[Genotype, ...]:
        left = shape[1] - len(hum_taps(mains)) + 1
        others = [replace(each, mains=mains) for each in genotypes]
        for index, each in enumerate(others):
            if isinstance(each.frontend, Envelope) and each.frontend.kernel > left:
                others[index] = replace(each, frontend=replace(each.frontend, kernel=left, stride=left))
        return tuple(other for other in others if fits_input(other, shape))

    def closed_forms(shape: Shape) -> tuple[tuple[Genotype, ...], ...]:
        return tuple((*part, *without_hum(part, shape)) for part in prior.closed_forms(shape))

    def seed_architectures(shape: Shape) -> tuple[Genotype, ...]:
        known = prior.seed_architectures(shape)
        return without_hum(known, shape) if heard else known

    return replace(prior, closed_forms=closed_forms, seed_architectures=seed_architectures, mains=mains)


def vibration_networks(input_shape: Shape) -> tuple[Genotype, ...]:
    """Return long strided stems on raw vibration, scaled to the window."""
    taps = power_of_two(input_shape[1] / 4, MAX_TAPS)
    stride = max(1, min(MAX_STRIDE, taps // 4))
    found = (
        Genotype(None, Stem(12, taps, stride), (ConvBlock("separable", 8, 9, 2),), "average"),
        Genotype(None, Stem(12, taps, stride), (ConvBlock("separable", 16, 9, 2),), "average"),
        Genotype(None, Stem(8, taps, stride, 2), (ConvBlock("full", 16, 9),), "average"),
        Genotype(None, Stem(12, taps, stride), (ConvBlock("full", 16, 5),), "both"),
    )
    return tuple(genotype for genotype in found if fits_input(genotype, input_shape))


def emg_networks(input_shape: Shape) -> tuple[Genotype, ...]:
    """Return convolutions on envelopes of muscle signals, scaled to the window."""
    sizes = ((10, 2), (16, 1), (8, 2), (12, 2))
    kernels = [(max(2, input_shape[1] // parts), overlap) for parts, overlap in sizes]
    envelopes = [Envelope(kernel, max(1, kernel // overlap)) for kernel, overlap in kernels]
    found = (
        *(Genotype(each, None, (ConvBlock("full", 24, 3), ConvBlock("full", 32, 3)), "both") for each in envelopes),
        *(Genotype(each, None, (ConvBlock("full", 32, 3), ConvBlock("full", 32, 3)), "both") for each in envelopes[:2]),
        Genotype(envelopes[0], None, (ConvBlock("full", 16, 3), ConvBlock("full", 24, 3)), "both"),
    )
    return tuple(genotype for genotype in found if fits_input(genotype, input_shape))


def smallest(input_shape: Shape) -> tuple[Genotype, ...]:
    """Return trained networks at the small end of the space; if none of them fits a budget, no network does."""
    stride = min(MAX_STRIDE, max(1, input_shape[1] // 2))
    taps = (16, 32, 64)
    found = (Genotype(None, Stem(FILTERS[0], min(k, input_shape[1]), stride), (), "average") for k in taps)
    return tuple(genotype for genotype in found if fits_input(genotype, input_shape))
