"""The space of networks: a small genotype, the layers it expands to, and how to sample and mutate it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from edgetune_nas.layers import (
    Conv,
    Dense,
    Flatten,
    GlobalPool,
    Layer,
    Log,
    LpPool,
    MaxPool,
    Shape,
    Softmax,
    shapes,
)

if TYPE_CHECKING:
    from numpy.random import Generator

    from edgetune_nas.card import Task

VERSION = 8
"""Counts changes of the space, its sampling and its training; a journal of another version cannot be resumed."""

LOW = 0.05
FILTERS = (4, 6, 8, 12, 16, 24, 32)
BLOCK_KERNELS = (3, 5, 7, 9)
MAX_TAPS, MAX_STRIDE, MAX_BLOCKS = 256, 64, 3

BlockKind: TypeAlias = Literal["full", "separable", "linear"]
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
class Stem:
    """Trained convolution over raw samples: long, strided, padded by half its taps; ``pool`` 1 is none."""

    filters: int
    kernel: int
    stride: int
    pool: int = 1


@dataclass(frozen=True, slots=True)
class Block:
    """Convolution between stem and head.

    ``full`` is one convolution; ``separable`` is depthwise then 1x1, each with ReLU; ``linear`` is the same without
    the ReLU in between. ``stride`` belongs to the first convolution, ``pool`` (1: none) follows the last.
    """

    kind: BlockKind
    filters: int
    kernel: int
    stride: int = 1
    pool: int = 1


@dataclass(frozen=True, slots=True)
class Genotype:
    """One network of the space; without stem and blocks it is a closed form (front and linear discriminant)."""

    front: Bank | Envelope | None
    stem: Stem | None
    blocks: tuple[Block, ...]
    head: Head

    @property
    def closed_form(self) -> bool:
        """Whether its weights are solved for rather than trained."""
        return self.stem is None and not self.blocks


def to_json(genotype: Genotype) -> dict[str, Any]:
    """Plain JSON value of a genotype."""
    return asdict(genotype)


def from_json(value: dict[str, Any]) -> Genotype:
    """Genotype of a value that `to_json` gave."""
    front = value["front"]
    return Genotype(
        front=None if front is None else Bank(**front) if "bands" in front else Envelope(**front),
        stem=None if value["stem"] is None else Stem(**value["stem"]),
        blocks=tuple(Block(**block) for block in value["blocks"]),
        head=value["head"],
    )


def expand(genotype: Genotype, input_shape: Shape, classes: int) -> tuple[Layer, ...]:
    """Layers of ``genotype`` from the raw window to class probabilities.

    The log's offset depends on the signal's level, so whoever fits the network replaces it (`closed_form.fit_front`).

    Raises
    ------
    ValueError
        When a layer does not fit what stands before it (a kernel longer than its input).
    """
    layers = _front_layers(genotype.front, input_shape[0])
    if genotype.stem is not None:
        stem = genotype.stem
        layers.append(Conv(stem.filters, stem.kernel, stem.stride, padding=stem.kernel // 2))
        layers += _pool_layers(stem.pool)
    channels = shapes(input_shape, tuple(layers))[-1][0] if layers else input_shape[0]
    for index, block in enumerate(genotype.blocks):
        padded = index > 0 or genotype.front is None  # zeros are far from a front's logs, so these are not padded
        layers += _block_layers(block, channels, padding=block.kernel // 2 if padded else 0)
        channels = block.filters
    shape = shapes(input_shape, tuple(layers))[-1] if layers else input_shape
    if genotype.head != "flat":
        layers.append(GlobalPool(genotype.head))
    elif shape[1] > 1:
        layers.append(Flatten())
    layers += [Dense(classes), Softmax()]
    shapes(input_shape, tuple(layers))
    return tuple(layers)


def _front_layers(front: Bank | Envelope | None, channels: int) -> list[Layer]:
    match front:
        case None:
            return []
        case Envelope():
            return [LpPool(front.kernel, front.stride, front.p), Log(1.0)]
        case Bank():
            bank = Conv(
                front.bands * channels,
                front.kernel,
                front.stride,
                groups=channels,
                norm=False,
                relu=False,
                frozen=True,
                low=front.low,
            )
            return [bank, LpPool(front.frame, front.hop, front.p), Log(1.0)]


def _block_layers(block: Block, channels: int, padding: int) -> list[Layer]:
    if block.kind == "full":
        layers: list[Layer] = [Conv(block.filters, block.kernel, block.stride, padding)]
    else:
        relu = block.kind == "separable"
        depthwise = Conv(channels, block.kernel, block.stride, padding, groups=channels, relu=relu)
        layers = [depthwise, Conv(block.filters, 1)]
    return layers + _pool_layers(block.pool)


def _pool_layers(pool: int) -> list[Layer]:
    return [MaxPool(pool, pool)] if pool > 1 else []


def closed_forms(input_shape: Shape) -> tuple[Genotype, ...]:
    """List fixed fronts with a linear discriminant, from rich to tiny, sized by the window's length alone.

    A bank's taps are an eighth and a quarter of the window (at most 128, so that a filter still spans many cycles of
    its band); many overlapping bands without the lowest hold best when the machine's load changes, three or four tell
    a sign where the window is too short for more. An envelope's frames are an eighth of the window and near.
    """
    length = input_shape[1]
    taps = [k for k in (_power_of_two(length / 8, 128), _power_of_two(length / 4, 128)) if k >= MIN_BANK_TAPS]
    fronts: list[Bank | Envelope] = []
    for kernel in dict.fromkeys(taps):
        fine = kernel // 4
        sizes = [
            (40, fine // 2, LOW), (36, fine, LOW), (24, fine, LOW), (24, fine, 0.0),
            (16, fine, 0.0), (8, 2 * fine, 0.0), (6, kernel, 0.0), (4, fine // 2, 0.0), (3, fine // 2, 0.0),
        ]  # fmt: skip
        fronts += [
            Bank(bands, kernel, stride, low=low)
            for bands, stride, low in sizes
            if bands <= kernel // 2 and kernel <= MOST_TAPS.get(bands, kernel)
        ]
    for parts, overlap in ((10, 2), (16, 1), (8, 1), (5, 1), (3, 1), (1, 1)):
        kernel = max(1, length // parts)
        fronts.append(Envelope(kernel, max(1, kernel // overlap)))
    genotypes = (Genotype(front, None, (), "flat") for front in fronts)
    return tuple(genotype for genotype in genotypes if fits_input(genotype, input_shape))


def anchors(input_shape: Shape, task: Task) -> tuple[Genotype, ...]:
    """Networks that a search starts from: the shapes that are known to be good, scaled to the window."""
    length = input_shape[1]
    if task == "sign":
        sizes = ((10, 2), (16, 1), (8, 2), (12, 2))
        kernels = [(max(2, length // parts), overlap) for parts, overlap in sizes]
        fronts = [Envelope(kernel, max(1, kernel // overlap)) for kernel, overlap in kernels]
        found = [
            *(Genotype(front, None, (Block("full", 24, 3), Block("full", 32, 3)), "both") for front in fronts),
            *(Genotype(front, None, (Block("full", 32, 3), Block("full", 32, 3)), "both") for front in fronts[:2]),
            Genotype(fronts[0], None, (Block("full", 16, 3), Block("full", 24, 3)), "both"),
        ]
    else:
        taps = _power_of_two(length / 4, MAX_TAPS)
        stride = max(1, min(MAX_STRIDE, taps // 4))
        found = [
            Genotype(None, Stem(12, taps, stride), (Block("separable", 8, 9, 2),), "average"),
            Genotype(None, Stem(12, taps, stride), (Block("separable", 16, 9, 2),), "average"),
            Genotype(None, Stem(8, taps, stride, 2), (Block("full", 16, 9),), "average"),
            Genotype(None, Stem(12, taps, stride), (Block("full", 16, 5),), "both"),
        ]
    return tuple(genotype for genotype in found if fits_input(genotype, input_shape))


def smallest(input_shape: Shape) -> tuple[Genotype, ...]:
    """Trained networks at the small end of the space, by which a hopeless budget is told."""
    stride = min(MAX_STRIDE, max(1, input_shape[1] // 2))
    taps = (16, 32, 64)
    found = (Genotype(None, Stem(FILTERS[0], min(k, input_shape[1]), stride), (), "average") for k in taps)
    return tuple(genotype for genotype in found if fits_input(genotype, input_shape))


def sample(rng: Generator, input_shape: Shape, task: Task) -> Genotype:
    """Draw a trained network; raw stems lead for vibration, envelopes for muscle."""
    chances = {"fault": (0.75, 0.2, 0.05), "sign": (0.15, 0.05, 0.8)}[task]
    for _ in range(_TRIES):
        front = _sample_front(rng, input_shape[1], rng.choice(3, p=chances))
        stem = _sample_stem(rng, input_shape[1]) if front is None else None
        blocks = tuple(_sample_block(rng) for _ in range(_integer(rng, range(0 if stem else 1, MAX_BLOCKS + 1))))
        head: Head = ("average", "average", "max", "both", "flat")[_integer(rng, range(5))]
        genotype = Genotype(front, stem, blocks, head)
        if fits_input(genotype, input_shape):
            return genotype
    return anchors(input_shape, task)[0]


def mutate(genotype: Genotype, rng: Generator, input_shape: Shape, task: Task) -> Genotype:
    """Return a neighbour of ``genotype``: one part replaced, or one number moved by one step."""
    for _ in range(_TRIES):
        other = _mutated(genotype, rng, input_shape, task)
        if other != genotype and not other.closed_form and fits_input(other, input_shape):
            return other
    return sample(rng, input_shape, task)


_TRIES = 64
MIN_BANK_TAPS = 8
MOST_TAPS = {16: 64, 4: 8, 3: 8}
"""Of more taps than these, so few bands leave gaps between them: steady in float, not in int8."""


def _mutated(genotype: Genotype, rng: Generator, input_shape: Shape, task: Task) -> Genotype:
    blocks = genotype.blocks
    move = _integer(rng, range(6))
    at = _integer(rng, range(len(blocks))) if blocks else 0
    if move == 0:
        return replace(genotype, head=sample(rng, input_shape, task).head)
    if move == 1 and len(blocks) < MAX_BLOCKS:
        return replace(genotype, blocks=(*blocks[:at], _sample_block(rng), *blocks[at:]))
    if move == 2 and blocks:  # noqa: PLR2004 - the moves are numbered
        return replace(genotype, blocks=(*blocks[:at], *blocks[at + 1 :]))
    if move in (3, 4) and blocks:
        return replace(genotype, blocks=(*blocks[:at], _block_step(blocks[at], rng), *blocks[at + 1 :]))
    if genotype.stem is not None:
        return replace(genotype, stem=_stem_step(genotype.stem, rng))
    kind = 1 if isinstance(genotype.front, Bank) else 2
    return replace(genotype, front=_sample_front(rng, input_shape[1], kind))


def _block_step(block: Block, rng: Generator) -> Block:
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


def _sample_front(rng: Generator, length: int, kind: int) -> Bank | Envelope | None:
    if kind == 0:
        return None
    p: Literal[1, 2] = 1 if rng.random() < 0.7 else 2  # noqa: PLR2004 - rectifying is the usual way
    if kind == 1:
        kernel = max(MIN_BANK_TAPS, _power_of_two(length / (4, 8, 16)[_integer(rng, range(3))], 128))
        stride = max(1, kernel // (2, 4)[_integer(rng, range(2))])
        outputs = (length - kernel) // stride + 1
        frame = max(1, outputs // (4, 8, 14)[_integer(rng, range(3))])
        bands = min((8, 12, 16, 24)[_integer(rng, range(4))], kernel // 2)
        return Bank(bands, kernel, stride, p, frame, max(1, frame // 2))
    frame = max(2, length // (32, 20, 16, 10, 8)[_integer(rng, range(5))])
    return Envelope(frame, frame if rng.random() < 0.5 else max(1, frame // 2), p)  # noqa: PLR2004 - a fair coin


def _sample_stem(rng: Generator, length: int) -> Stem:
    longest = _power_of_two(length / 2, MAX_TAPS)
    kernel = max(3, longest >> _integer(rng, range(4)))
    stride = max(1, min(MAX_STRIDE, kernel // (2, 4, 8)[_integer(rng, range(3))]))
    return Stem(FILTERS[_integer(rng, range(len(FILTERS)))], kernel, stride, (1, 1, 2)[_integer(rng, range(3))])


def _sample_block(rng: Generator) -> Block:
    kinds: tuple[BlockKind, ...] = ("full", "separable", "linear")
    return Block(
        kinds[_integer(rng, range(3))],
        FILTERS[_integer(rng, range(len(FILTERS)))],
        BLOCK_KERNELS[_integer(rng, range(4))],
        stride=(1, 1, 2)[_integer(rng, range(3))],
        pool=(1, 1, 1, 2)[_integer(rng, range(4))],
    )


def fits_input(genotype: Genotype, input_shape: Shape) -> bool:
    """Whether every layer fits a window of ``input_shape``."""
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


def _power_of_two(value: float, most: int) -> int:
    return min(most, 1 << max(0, math.floor(math.log2(max(1.0, value)))))
