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
"""Name of `FACTORS`: compiler, options, and a version that changes with any factor."""


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
    instructions
        Instructions of each kind of work in `edgetune_nas.model.mcu_work`.
    model, kernels
        Bytes of text that a part of a model, or a kernel, adds.
    """

    lanes: int
    pooled: int
    stack_bytes: int
    instructions: Mapping[str, float]
    model: Mapping[str, float]
    kernels: Mapping[str, float]


FACTORS: Final[dict[str, Factors]] = {
    "cortex-m4": Factors(
        lanes=4,
        pooled=1,
        stack_bytes=248,
        instructions={
            "added": 24.02,
            "average_read": 1.63,
            "average_value": 16.74,
            "changed": 78.05,
            "frame": 110.31,
            "framed": 26.35,
            "grouped_tap": 12.15,
            "grouped_value": 69.16,
            "kept": 16.69,
            "logarithm": 12.55,
            "maximum_value": 10.05,
            "moved": 1.69,
            "padded_value": 57.97,
            "power_1_read": 12.49,
            "power_2_read": 13.13,
            "product": 9.82,
            "products": 24.47,
            "pushed": 80.23,
            "rest": 18.09,
            "root": 1.65,
            "row": 42.21,
            "sample": 25.43,
            "single_tap": 5.74,
            "sums_row": 0.04,
            "value": 46.32,
        },
        model={
            "ClassMax": 36,
            "Conv": 47,
            "Dense": 156,
            "GlobalPool": 19,
            "Gram": 22,
            "Log": 30,
            "LpPool": 17,
            "MaxPool": 42,
            "both": 53,
            "frames": 55,
            "padding": 125,
            "stream": 21,
        },
        kernels={
            "added": 158,
            "always": 1380,
            "average": 100,
            "changed": 88,
            "gram": 598,
            "kept": 240,
            "kinds": 78,
            "max": 57,
            "maxima": 93,
            "maximum": 58,
            "moved": 37,
            "pooled": 377,
        },
    ),
    "cortex-m33": Factors(
        lanes=4,
        pooled=1,
        stack_bytes=248,
        instructions={
            "added": 24.02,
            "average_read": 1.89,
            "average_value": 15.34,
            "changed": 77.14,
            "frame": 106.27,
            "framed": 28.62,
            "grouped_tap": 11.58,
            "grouped_value": 70.35,
            "kept": 15.83,
            "logarithm": 12.54,
            "maximum_read": 0.34,
            "maximum_value": 9.18,
            "moved": 1.59,
            "padded_value": 58.61,
            "power_1_read": 12.51,
            "power_2_read": 13.18,
            "product": 9.58,
            "products": 24.5,
            "pushed": 79.63,
            "rest": 18.4,
            "root": 1.21,
            "row": 42.7,
            "sample": 33.27,
            "single_tap": 5.73,
            "sums_row": 1.76,
            "value": 46.69,
        },
        model={
            "ClassMax": 35,
            "Conv": 47,
            "Dense": 156,
            "GlobalPool": 18,
            "Gram": 23,
            "Log": 30,
            "LpPool": 17,
            "MaxPool": 43,
            "both": 53,
            "frames": 56,
            "padding": 126,
            "stream": 21,
        },
        kernels={
            "added": 154,
            "always": 1388,
            "average": 100,
            "changed": 88,
            "gram": 598,
            "kept": 240,
            "kinds": 78,
            "max": 57,
            "maxima": 93,
            "maximum": 58,
            "moved": 37,
            "pooled": 377,
        },
    ),
    "cortex-m55": Factors(
        lanes=16,
        pooled=4,
        stack_bytes=260,
        instructions={
            "added": 24.71,
            "average_value": 49.53,
            "changed": 57.05,
            "filters": 62.75,
            "frame": 87.02,
            "framed": 28.15,
            "grouped_tap": 10.34,
            "grouped_value": 71.08,
            "kept": 15.5,
            "maximum_value": 7.1,
            "moved": 0.98,
            "padded_value": 73.82,
            "pooled_value": 30.64,
            "power_1_read": 12.02,
            "power_2_read": 12.9,
            "product": 8.79,
            "products": 10.12,
            "pushed": 85.07,
            "rest": 28.5,
            "row": 23.5,
            "sample": 33.7,
            "sample_value": 0.24,
            "single_tap": 4.75,
            "sums_row": 0.39,
            "value": 33.78,
        },
        model={
            "ClassMax": 35,
            "Conv": 47,
            "Dense": 156,
            "GlobalPool": 18,
            "Gram": 23,
            "Log": 30,
            "LpPool": 17,
            "MaxPool": 43,
            "both": 54,
            "frames": 56,
            "padding": 126,
            "stream": 21,
        },
        kernels={
            "added": 75,
            "always": 1447,
            "average": 104,
            "changed": 84,
            "gram": 599,
            "kept": 235,
            "kinds": 76,
            "max": 65,
            "maxima": 105,
            "maximum": 67,
            "moved": 34,
            "pooled": 462,
        },
    ),
}
"""By core. ``make bench-mcu BENCH=--factors`` measures and prints them: it compiles networks of every kind with
arm-none-eabi-gcc, runs them in qemu, and solves for the factors, none of them negative. Kinds of work without a factor
cost nothing that could be told from others."""


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
        cores={name: _core(input_shape, layers, factors) for name, factors in FACTORS.items()},
    )


def _core(input_shape: Shape, layers: Sequence[Layer], factors: Factors) -> CoreCost:
    whole = window_work(input_shape, layers, factors.lanes, factors.pooled)
    streamed = stream_work(input_shape, layers, factors.lanes, factors.pooled)
    return CoreCost(
        instructions=_sum(factors.instructions, whole),
        streamed_instructions=_sum(factors.instructions, streamed),
        text_bytes=_text(input_shape, layers, factors, streaming=False),
        streamed_text_bytes=_text(input_shape, layers, factors, streaming=True),
        stack_bytes=factors.stack_bytes,
    )


def _text(input_shape: Shape, layers: Sequence[Layer], factors: Factors, *, streaming: bool) -> int:
    kernels = dict.fromkeys(kernel_parts(input_shape, layers, streaming=streaming), 1)
    model = _sum(factors.model, model_parts(input_shape, layers, streaming=streaming))
    return tables_bytes(input_shape, layers) + model + _sum(factors.kernels, kernels)


def _sum(factors: Mapping[str, float], counts: Mapping[str, int]) -> int:
    return round(sum(factors.get(name, 0.0) * count for name, count in counts.items()))
