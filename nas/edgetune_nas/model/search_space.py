"""The space of networks: a small genotype, the layers it expands to, and how to sample and mutate it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from edgetune_nas.model.hum import hum_layers
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
    Shape,
    Softmax,
    shapes,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator
    from numpy.typing import NDArray

VERSION = 14
"""Counts changes of the space, its sampling and its training; a journal of another version cannot be resumed."""

FILTERS = (4, 6, 8, 12, 16, 24, 32)
BLOCK_KERNELS = (3, 5, 7, 9)
MAX_TAPS, MAX_STRIDE, MAX_BLOCKS = 256, 64, 3
MIN_BANK_TAPS = 8

BlockKind: TypeAlias = Literal["full", "separable", "linear"]
Mix: TypeAlias = Literal["each", "ring"]
Head: TypeAlias = Literal["average", "max", "both", "flat"]


@dataclass(frozen=True, slots=True)
class Bank:
    """Fixed cosine filter bank, then pooling over ``frame`` outputs every ``hop`` (0: all of them), then log.

    ``low`` is the share of the spectrum that it leaves out at its lower end, where hum, unbalance and the mounting
    speak louder than what is to be heard.
    """

    bands: int
    kernel: int
    stride: int
    p: Literal[1, 2] = 1
    frame: int = 0
    hop: int = 1
    low: float = 0.0


@dataclass(frozen=True, slots=True)
class Envelope:
    """Rectified (``p`` 1) or squared (``p`` 2) average of the raw samples in frames, then log."""

    kernel: int
    stride: int
    p: Literal[1, 2] = 1


@dataclass(frozen=True, slots=True)
class Together:
    """Several channels together: a mix of them, their differences in time too, then levels and correlations.

    ``mix`` takes each channel (``each``), or with them the sums and differences of neighbours in a ring (``ring``).
    ``differences`` adds as many orders of those from each sample to the next. ``correlate`` ends in a `Gram`, otherwise
    the rectified average of every ``stride``-th sample and its logarithm.
    """

    mix: Mix
    differences: Literal[0, 1, 2]
    correlate: bool
    stride: int = 1


@dataclass(frozen=True, slots=True)
class Stem:
    """Trained convolution over raw samples: long, strided, padded by half its taps; ``pool`` 1 is none."""

    filters: int
    kernel: int
    stride: int
    pool: int = 1


@dataclass(frozen=True, slots=True)
class ConvBlock:
    """Convolution between stem and head.

    ``full`` is one convolution; ``separable`` is depthwise then 1x1, each with ReLU; ``linear`` is the same without
    the ReLU in between. ``stride`` belongs to the first convolution, ``pool`` (1: none) follows the last.
    """

    kind: BlockKind
    filters: int
    kernel: int
    stride: int = 1
    pool: int = 1


Frontend: TypeAlias = Bank | Envelope | Together


@dataclass(frozen=True, slots=True)
class Genotype:
    """One network of the space; without stem and blocks it is a closed form (frontend and linear discriminant).

    ``mains`` is the frequency of a hum that is taken off first, in cycles a sample (`hum_taps`); 0 takes off none.
    """

    frontend: Frontend | None
    stem: Stem | None
    blocks: tuple[ConvBlock, ...]
    head: Head
    mains: float = 0.0

    @property
    def closed_form(self) -> bool:
        """Its weights are solved for rather than trained."""
        return self.stem is None and not self.blocks


def to_json(genotype: Genotype) -> dict[str, Any]:
    """Return a genotype as a plain JSON value."""
    value = asdict(genotype)
    return {"front": value.pop("frontend"), **value}


def from_json(value: dict[str, Any]) -> Genotype:
    """Return the genotype of a value that `to_json` returned."""
    front = value["front"]
    return Genotype(
        frontend=None if front is None else _frontend_from_json(front),
        stem=None if value["stem"] is None else Stem(**value["stem"]),
        blocks=tuple(ConvBlock(**block) for block in value["blocks"]),
        head=value["head"],
        mains=value["mains"],
    )


def _frontend_from_json(value: dict[str, Any]) -> Frontend:
    kind = Bank if "bands" in value else Together if "mix" in value else Envelope
    return kind(**value)


def expand(genotype: Genotype, input_shape: Shape, classes: int, kinds: tuple[int, ...] = ()) -> tuple[Layer, ...]:
    """Return the layers of ``genotype`` from the raw window to class probabilities.

    The log's offset depends on the signal's level, so the fit replaces it (`frontend.fit_frontend`). A closed form
    has a row of its dense layer for each kind if a class has several of the ``kinds``.

    Raises
    ------
    ValueError
        When a layer does not fit what stands before it (a kernel longer than its input).
    """
    layers = hum_layers(genotype.mains, input_shape[0]) + _frontend_layers(genotype.frontend, input_shape[0])
    if genotype.stem is not None:
        stem = genotype.stem
        layers.append(Conv(stem.filters, stem.kernel, stem.stride, padding=stem.kernel // 2))
        layers += _pool_layers(stem.pool)
    channels = shapes(input_shape, tuple(layers))[-1][0] if layers else input_shape[0]
    for index, block in enumerate(genotype.blocks):
        padded = index > 0 or genotype.frontend is None  # zeros are far from a frontend's logs, so these are not padded
        layers += _block_layers(block, channels, padding=block.kernel // 2 if padded else 0)
        channels = block.filters
    shape = shapes(input_shape, tuple(layers))[-1] if layers else input_shape
    if genotype.head != "flat":
        layers.append(GlobalPool(genotype.head))
    elif shape[1] > 1:
        layers.append(Flatten())
    if genotype.closed_form and max(kinds, default=1) > 1:
        layers += [Dense(sum(kinds)), ClassMax(kinds), Softmax()]
    else:
        layers += [Dense(classes), Softmax()]
    shapes(input_shape, tuple(layers))
    return tuple(layers)


def _frontend_layers(frontend: Frontend | None, channels: int) -> list[Layer]:
    match frontend:
        case None:
            return []
        case Together():
            end: list[Layer] = [Gram(1.0)] if frontend.correlate else [LpPool(0, 1), Log(1.0)]
            return [*_mix_layers(frontend, channels), *end]
        case Envelope():
            return [LpPool(frontend.kernel, frontend.stride, frontend.p), Log(1.0)]
        case Bank():
            bank = Conv(
                frontend.bands * channels,
                frontend.kernel,
                frontend.stride,
                groups=channels,
                norm=False,
                relu=False,
                frozen=True,
                low=frontend.low,
            )
            return [bank, LpPool(frontend.frame, frontend.hop, frontend.p), Log(1.0)]


def _mix_layers(frontend: Together, channels: int) -> list[Layer]:
    """Return a frozen convolution with a tap more than orders of differences; none where it changes nothing."""
    kernel = frontend.differences + 1
    mixes, groups = np.ones((1, 1)), channels
    if frontend.mix == "ring":
        mixes, groups = ring(channels), 1
    elif kernel == frontend.stride == 1:
        return []
    in_time = np.array([[0.0, 0.0, 1.0], [0.0, -1.0, 1.0], [1.0, -2.0, 1.0]])[:kernel, -kernel:]
    own = np.einsum("mc,dt->dmct", mixes, in_time).reshape(-1, mixes.shape[1], kernel)
    taps = np.tile(own, (groups, 1, 1))
    layer = Conv(len(taps), kernel, frontend.stride, groups=groups, norm=False, relu=False, frozen=True)
    return [replace(layer, taps=tuple(taps.ravel().tolist()))]


def ring(channels: int) -> NDArray[np.float64]:
    """Return the channels, and the sums and differences of neighbours in a ring, ``(mixes, channels)``."""
    each = np.eye(channels)
    following = np.roll(each, -1, axis=0)[: channels if channels > 2 else 1]  # noqa: PLR2004 - two have one neighbour
    first = each[: len(following)]
    return np.concatenate([each, (first + following) / 2**0.5, (first - following) / 2**0.5])


def _block_layers(block: ConvBlock, channels: int, padding: int) -> list[Layer]:
    if block.kind == "full":
        layers: list[Layer] = [Conv(block.filters, block.kernel, block.stride, padding)]
    else:
        relu = block.kind == "separable"
        depthwise = Conv(channels, block.kernel, block.stride, padding, groups=channels, relu=relu)
        layers = [depthwise, Conv(block.filters, 1)]
    return layers + _pool_layers(block.pool)


def _pool_layers(pool: int) -> list[Layer]:
    return [MaxPool(pool, pool)] if pool > 1 else []


@dataclass(frozen=True, slots=True)
class Prior:
    """Prior knowledge of a task's networks, before anything is evaluated.

    Attributes
    ----------
    closed_forms
        Closed forms for windows of ``(channels, length)``, in two parts: those asked first, and all others.
    seed_architectures
        Trained networks that did well on such data, scaled to windows of ``(channels, length)``.
    first_layer_odds
        Chances that a drawn network begins with a trained stem, a fixed filter bank, and an envelope; their sum is 1.
    mains
        Frequency of a hum that half of the drawn networks take off, in cycles a sample; 0 where none does.
    """

    closed_forms: Callable[[Shape], tuple[tuple[Genotype, ...], ...]]
    seed_architectures: Callable[[Shape], tuple[Genotype, ...]]
    first_layer_odds: tuple[float, float, float]
    mains: float = 0.0


def sample(rng: Generator, input_shape: Shape, prior: Prior) -> Genotype:
    """Draw a trained network."""
    for _ in range(_TRIES):
        frontend = _sample_frontend(rng, input_shape[1], rng.choice(3, p=prior.first_layer_odds))
        stem = _sample_stem(rng, input_shape[1]) if frontend is None else None
        blocks = tuple(_sample_block(rng) for _ in range(_integer(rng, range(0 if stem else 1, MAX_BLOCKS + 1))))
        head: Head = ("average", "average", "max", "both", "flat")[_integer(rng, range(5))]
        genotype = Genotype(frontend, stem, blocks, head, prior.mains and prior.mains * _integer(rng, range(2)))
        if fits_input(genotype, input_shape):
            return genotype
    return prior.seed_architectures(input_shape)[0]


def mutate(genotype: Genotype, rng: Generator, input_shape: Shape, prior: Prior) -> Genotype:
    """Return a neighbour of ``genotype``: one part replaced, or one number moved by one step."""
    for _ in range(_TRIES):
        other = _mutated(genotype, rng, input_shape, prior)
        if other != genotype and not other.closed_form and fits_input(other, input_shape):
            return other
    return sample(rng, input_shape, prior)


_TRIES = 64


def _mutated(genotype: Genotype, rng: Generator, input_shape: Shape, prior: Prior) -> Genotype:
    blocks = genotype.blocks
    move = _integer(rng, range(7 if prior.mains else 6))
    if move == 6:  # noqa: PLR2004 - the moves are numbered
        return replace(genotype, mains=prior.mains - genotype.mains)
    at = _integer(rng, range(len(blocks))) if blocks else 0
    if move == 0:
        return replace(genotype, head=sample(rng, input_shape, prior).head)
    if move == 1 and len(blocks) < MAX_BLOCKS:
        return replace(genotype, blocks=(*blocks[:at], _sample_block(rng), *blocks[at:]))
    if move == 2 and blocks:  # noqa: PLR2004 - the moves are numbered
        return replace(genotype, blocks=(*blocks[:at], *blocks[at + 1 :]))
    if move in (3, 4) and blocks:
        return replace(genotype, blocks=(*blocks[:at], _block_step(blocks[at], rng), *blocks[at + 1 :]))
    if genotype.stem is not None:
        return replace(genotype, stem=_stem_step(genotype.stem, rng))
    kind = 1 if isinstance(genotype.frontend, Bank) else 2
    return replace(genotype, frontend=_sample_frontend(rng, input_shape[1], kind))


def _block_step(block: ConvBlock, rng: Generator) -> ConvBlock:
    match _integer(rng, range(4)):
        case 0:
            return replace(block, filters=_neighbour(rng, FILTERS, block.filters))
        case 1:
            return replace(block, kernel=_neighbour(rng, BLOCK_KERNELS, block.kernel))
        case 2:
            return replace(block, stride=3 - block.stride)
        case _:
            kinds: tuple[BlockKind, ...] = ("full", "separable", "linear")
            return replace(block, kind=kinds[_integer(rng, range(3))])


def _stem_step(stem: Stem, rng: Generator) -> Stem:
    match _integer(rng, range(4)):
        case 0:
            return replace(stem, filters=_neighbour(rng, FILTERS, stem.filters))
        case 1:
            return replace(stem, kernel=_neighbour(rng, (16, 32, 64, 128, MAX_TAPS), stem.kernel))
        case 2:
            return replace(stem, stride=_neighbour(rng, (4, 8, 16, 32, MAX_STRIDE), stem.stride))
        case _:
            return replace(stem, pool=3 - stem.pool)


def _sample_frontend(rng: Generator, length: int, kind: int) -> Bank | Envelope | None:
    if kind == 0:
        return None
    p: Literal[1, 2] = 1 if rng.random() < 0.7 else 2  # noqa: PLR2004 - rectifying is the usual way
    if kind == 1:
        kernel = max(MIN_BANK_TAPS, power_of_two(length / (4, 8, 16)[_integer(rng, range(3))], 128))
        stride = max(1, kernel // (2, 4)[_integer(rng, range(2))])
        outputs = (length - kernel) // stride + 1
        frame = max(1, outputs // (4, 8, 14)[_integer(rng, range(3))])
        bands = min((8, 12, 16, 24)[_integer(rng, range(4))], kernel // 2)
        return Bank(bands, kernel, stride, p, frame, max(1, frame // 2))
    frame = max(2, length // (32, 20, 16, 10, 8)[_integer(rng, range(5))])
    return Envelope(frame, frame if rng.random() < 0.5 else max(1, frame // 2), p)  # noqa: PLR2004 - a fair coin


def _sample_stem(rng: Generator, length: int) -> Stem:
    longest = power_of_two(length / 2, MAX_TAPS)
    kernel = max(3, longest >> _integer(rng, range(4)))
    stride = max(1, min(MAX_STRIDE, kernel // (2, 4, 8)[_integer(rng, range(3))]))
    return Stem(FILTERS[_integer(rng, range(len(FILTERS)))], kernel, stride, (1, 1, 2)[_integer(rng, range(3))])


def _sample_block(rng: Generator) -> ConvBlock:
    kinds: tuple[BlockKind, ...] = ("full", "separable", "linear")
    return ConvBlock(
        kinds[_integer(rng, range(3))],
        FILTERS[_integer(rng, range(len(FILTERS)))],
        BLOCK_KERNELS[_integer(rng, range(4))],
        stride=(1, 1, 2)[_integer(rng, range(3))],
        pool=(1, 1, 1, 2)[_integer(rng, range(4))],
    )


def fits_input(genotype: Genotype, input_shape: Shape) -> bool:
    """Return whether every layer fits a window of ``input_shape``."""
    try:
        expand(genotype, input_shape, 2)
    except ValueError:
        return False
    return True


def _neighbour(rng: Generator, choices: tuple[int, ...], value: int) -> int:
    index = min(range(len(choices)), key=lambda i: abs(choices[i] - value))
    step = 1 if rng.random() < 0.5 else -1  # noqa: PLR2004 - a fair coin
    return choices[min(len(choices) - 1, max(0, index + step))]


def _integer(rng: Generator, choices: range) -> int:
    return int(rng.integers(choices.start, choices.stop))


def power_of_two(value: float, most: int) -> int:
    """Return the largest power of two up to ``value`` and ``most``; at least 1."""
    return min(most, 1 << max(0, math.floor(math.log2(max(1.0, value)))))
