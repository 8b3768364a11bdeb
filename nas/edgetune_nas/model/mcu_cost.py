"""What a layer list costs as C on a microcontroller, estimated from its shapes and factors measured once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edgetune_nas.card import CoreCost, McuCost
from edgetune_nas.model.arena import arena_bytes, lifetimes
from edgetune_nas.model.cost import plan
from edgetune_nas.model.layers import ClassMax, Conv, Dense, Gram, LpPool
from edgetune_nas.model.mcu_work import (
    kernel_parts,
    model_parts,
    stream_work,
    streamed_bss_bytes,
    tables_bytes,
    window_work,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgetune_nas.card import Cost, Precision
    from edgetune_nas.model.layers import Layer, Shape

FACTOR_SET: Final = "gcc-12.2-O2/1"
"""Name of the factors below: compiler, options, and a version that changes with any of them."""


@dataclass(frozen=True, slots=True)
class Factors:
    """Measured factors of a core.

    Attributes
    ----------
    lanes
        Values that are multiplied by weights together.
    pooled
        Channels whose frames are added up together.
    stack_bytes
        Deepest stack of all networks that were measured.
    place
        Which number of each row of `INSTRUCTIONS`, `MODEL` and `KERNELS` is the core's.
    """

    lanes: int
    pooled: int
    stack_bytes: int
    place: int


FACTORS: Final = {
    "cortex-m4": Factors(lanes=4, pooled=1, stack_bytes=248, place=0),
    "cortex-m33": Factors(lanes=4, pooled=1, stack_bytes=248, place=1),
    "cortex-m55": Factors(lanes=16, pooled=4, stack_bytes=260, place=2),
}
"""By core. ``make bench-mcu BENCH=--factors`` measures and prints the tables: it compiles networks of every kind with
arm-none-eabi-gcc, runs them in qemu, and solves for the factors, none of them negative. Kinds of work without a factor
cost nothing that could be told from others."""
INSTRUCTIONS: Final[Mapping[str, tuple[float, ...]]] = {
    "added": (24.02, 24.02, 24.71),
    "average_read": (1.63, 1.89, 0.00),
    "average_value": (16.74, 15.34, 49.53),
    "changed": (78.05, 77.14, 57.05),
    "filters": (0.00, 0.00, 62.75),
    "frame": (110.31, 106.27, 87.02),
    "framed": (26.35, 28.62, 28.15),
    "grouped_tap": (12.15, 11.58, 10.34),
    "grouped_value": (69.16, 70.35, 71.08),
    "kept": (16.69, 15.83, 15.50),
    "logarithm": (12.55, 12.54, 0.00),
    "maximum_read": (0.00, 0.34, 0.00),
    "maximum_value": (10.05, 9.18, 7.10),
    "moved": (1.69, 1.59, 0.98),
    "padded_value": (57.97, 58.61, 73.82),
    "pooled_value": (0.00, 0.00, 30.64),
    "power_1_read": (12.49, 12.51, 12.02),
    "power_2_read": (13.13, 13.18, 12.90),
    "product": (9.82, 9.58, 8.79),
    "products": (24.47, 24.50, 10.12),
    "pushed": (80.23, 79.63, 85.07),
    "rest": (18.09, 18.40, 28.50),
    "root": (1.65, 1.21, 0.00),
    "row": (42.21, 42.70, 23.50),
    "sample": (25.43, 33.27, 33.70),
    "sample_value": (0.00, 0.00, 0.24),
    "single_tap": (5.74, 5.73, 4.75),
    "sums_row": (0.04, 1.76, 0.39),
    "value": (46.32, 46.69, 33.78),
}
"""Instructions of each kind of work in `edgetune_nas.model.mcu_work`."""
MODEL: Final[Mapping[str, tuple[float, ...]]] = {
    "ClassMax": (36, 35, 35),
    "Conv": (47, 47, 47),
    "Dense": (156, 156, 156),
    "GlobalPool": (19, 18, 18),
    "Gram": (22, 23, 23),
    "Log": (30, 30, 30),
    "LpPool": (17, 17, 17),
    "MaxPool": (42, 43, 43),
    "both": (53, 53, 54),
    "frames": (55, 56, 56),
    "padding": (125, 126, 126),
    "stream": (21, 21, 21),
}
"""Bytes of text that a part of a model adds."""
KERNELS: Final[Mapping[str, tuple[float, ...]]] = {
    "added": (158, 154, 75),
    "always": (1380, 1388, 1447),
    "average": (100, 100, 104),
    "changed": (88, 88, 84),
    "gram": (598, 598, 599),
    "kept": (240, 240, 235),
    "kinds": (78, 78, 76),
    "max": (57, 57, 65),
    "maxima": (93, 93, 105),
    "maximum": (58, 58, 67),
    "moved": (37, 37, 34),
    "pooled": (377, 377, 462),
}
"""Bytes of text that a kernel adds."""


def card_cost(input_shape: Shape, layers: Sequence[Layer], *, precision_deployed: Precision) -> Cost:
    """Return what a card says of the cost: `plan`, and the estimate for microcontrollers."""
    cost = plan(input_shape, layers, precision_deployed=precision_deployed)
    return cost.model_copy(update={"mcu": estimate(input_shape, layers)})


def estimate(input_shape: Shape, layers: Sequence[Layer]) -> McuCost | None:
    """Estimate the cost of a layer list as C; None where the C library has no such networks.

    The first layer must take samples of eight bits, and a dense layer must stand at the end.
    """
    head = [layer for layer in layers[:-1] if not isinstance(layer, ClassMax)]
    if not isinstance(layers[0], Conv | LpPool | Gram) or not head or not isinstance(head[-1], Dense):
        return None
    return McuCost(
        factors=FACTOR_SET,
        bss_bytes=arena_bytes(lifetimes(input_shape, layers)),
        streamed_bss_bytes=streamed_bss_bytes(input_shape, layers),
        cores={name: _core(input_shape, layers, core) for name, core in FACTORS.items()},
    )


def _core(input_shape: Shape, layers: Sequence[Layer], core: Factors) -> CoreCost:
    whole = window_work(input_shape, layers, core.lanes, core.pooled)
    streamed = stream_work(input_shape, layers, core.lanes, core.pooled)
    return CoreCost(
        instructions=_sum(INSTRUCTIONS, whole, core),
        streamed_instructions=_sum(INSTRUCTIONS, streamed, core),
        text_bytes=_text(input_shape, layers, core, streaming=False),
        streamed_text_bytes=_text(input_shape, layers, core, streaming=True),
        stack_bytes=core.stack_bytes,
    )


def _text(input_shape: Shape, layers: Sequence[Layer], core: Factors, *, streaming: bool) -> int:
    kernels = dict.fromkeys(kernel_parts(input_shape, layers, streaming=streaming), 1)
    model = _sum(MODEL, model_parts(input_shape, layers, streaming=streaming), core)
    return tables_bytes(input_shape, layers) + model + _sum(KERNELS, kernels, core)


def _sum(factors: Mapping[str, tuple[float, ...]], counts: Mapping[str, int], core: Factors) -> int:
    return round(sum(factors[name][core.place] * count for name, count in counts.items() if name in factors))
