"""Fit the factors of the card's ``mcu`` part to networks of every kind that are compiled and run.

Run by ``make bench-mcu BENCH=--factors``, which prints the tables of ``edgetune_nas.model.mcu_cost``.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from bundles import write_random
from scipy.optimize import nnls

from edgetune_nas.mcu import write_library
from edgetune_nas.model import Conv, Dense, Flatten, GlobalPool, Gram, Log, LpPool, MaxPool, Softmax, expand
from edgetune_nas.model.mcu_cost import FACTORS
from edgetune_nas.model.mcu_work import kernel_parts, model_parts, stream_work, tables_bytes, window_work
from edgetune_nas.model.search_space import (
    Bank,
    ConvBlock,
    Envelope,
    Genotype,
    Prior,
    Stem,
    Together,
    mutate,
    sample,
)
from edgetune_nas.model.seed_architectures import (
    emg_networks,
    gesture_closed_forms,
    vibration_closed_forms,
    vibration_networks,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edgetune_nas.mcu.cores import Figures
    from edgetune_nas.model import Layer, Shape

ONE, FEW, LONG = (1, 512), (8, 50), (8, 200)


@dataclass(frozen=True, slots=True)
class Measured:
    """A network, how it was run, and its figures by core."""

    shape: Shape
    layers: tuple[Layer, ...]
    streaming: bool
    figures: dict[str, Figures]


def networks() -> Iterator[tuple[Shape, tuple[Layer, ...]]]:
    """Networks in which each kind of work is large once, and those that searches find."""
    genotypes: list[tuple[Shape, Genotype]] = [
        (ONE, Genotype(None, Stem(12, 128, 32), (), "average")),
        (ONE, Genotype(None, Stem(6, 64, 16), (ConvBlock("full", 8, 3, 1),), "both")),
        (ONE, Genotype(None, Stem(16, 32, 8), (ConvBlock("separable", 16, 5),), "max")),
        (ONE, Genotype(Bank(48, 128, 32), None, (), "flat")),
        (ONE, Genotype(Bank(16, 64, 32, 2), None, (), "flat")),
        (FEW, Genotype(Envelope(10, 5), None, (ConvBlock("full", 24, 3),), "both")),
        (LONG, Genotype(Envelope(50, 50), None, (), "flat")),
        (LONG, Genotype(Envelope(40, 20), None, (ConvBlock("full", 24, 3), ConvBlock("full", 32, 3)), "both")),
        (FEW, Genotype(Together("ring", 1, correlate=False), None, (), "flat")),
        (FEW, Genotype(Together("each", 1, correlate=True), None, (), "flat")),
        (LONG, Genotype(Together("each", 0, correlate=True), None, (), "flat")),
        (FEW, Genotype(Together("ring", 2, correlate=False), None, (), "flat")),
    ]
    for shape, genotype in genotypes:
        yield shape, expand(genotype, shape, 6)
        if shape != LONG:
            yield shape, expand(genotype, shape, 10, (2, 1, 2, 1, 2, 1, 1, 2, 1, 1))
    end = Dense(5), Softmax()
    yield ONE, (Conv(8, 9, 4, 4), MaxPool(2, 2), Conv(16, 5), MaxPool(2, 2), GlobalPool("average"), *end)
    yield ONE, (Conv(8, 16, 8), Conv(8, 5, groups=8), Conv(12, 1), GlobalPool("max"), *end)
    yield ONE, (Conv(8, 16, 8), Conv(16, 5, groups=4), LpPool(4, 4), Flatten(), *end)
    yield ONE, (Conv(4, 100, 20, 50), GlobalPool("both"), *end)
    yield LONG, (Conv(20, 7, 2), GlobalPool("average"), *end)
    yield LONG, (LpPool(20, 10, 2), Log(1.0), Conv(10, 3), Flatten(), *end)
    yield LONG, (Conv(8, 3, groups=8), LpPool(0, 1, 2), Log(1.0), Flatten(), *end)
    yield ONE, (LpPool(51, 51), Log(1.0), Conv(4, 3), GlobalPool("average"), *end)
    yield (2, 256), (LpPool(32, 16, 2), Log(1.0), Conv(8, 3), Conv(8, 3, groups=8), GlobalPool("max"), *end)
    yield (2, 256), (Conv(16, 32, 8, groups=2), LpPool(2, 1, 2), Log(1.0), Conv(8, 9, 2), GlobalPool("max"), *end)
    yield FEW, (Conv(32, 8, 2, groups=8), LpPool(1, 1, 2), Log(1.0), Conv(32, 7, groups=32), GlobalPool("max"), *end)
    for shape in ((4, 100), (12, 60)):
        yield shape, (Conv(shape[0], 1), Gram(0.5), *end)
    rng = np.random.default_rng(100)
    for shape in ((1, 512), (3, 128), (8, 50), (8, 400)):
        seeds = (vibration_closed_forms, vibration_networks) if shape[0] < 8 else (gesture_closed_forms, emg_networks)
        prior = Prior(*seeds, (0.4, 0.3, 0.3))
        for _ in range(2):
            yield shape, expand(mutate(sample(rng, shape, prior), rng, shape, prior), shape, 6)
    yield ONE, (Conv(10, 30, 30), LpPool(0, 1), Log(1.0), Flatten(), *end)


def measure(folder: Path) -> Iterator[Measured]:
    """Compile and run each network, with random weights."""
    for index, (shape, layers) in enumerate(networks()):
        bundle, x = write_random(folder, shape, layers)
        for streaming in (False, True):
            report = write_library(bundle, folder / f"{index}-{streaming}", streaming=streaming, x=x[:8], name="m")
            figures = {name: each for name, (each, _) in report.cores.items() if each is not None}
            yield Measured(shape, layers, streaming, figures)


def fit(rows: Sequence[Mapping[str, float]], wanted: Sequence[float], *, relative: bool) -> dict[str, float]:
    """Return factors, none negative, with the least squares of the (relative) errors."""
    names = sorted({name for row in rows for name in row})
    matrix = np.array([[row.get(name, 0) for name in names] for row in rows], float)
    target = np.array(wanted, float)
    weight = 1 / target if relative else np.ones(len(target))
    found, _ = nnls(matrix * weight[:, None], target * weight, maxiter=10_000)
    error = matrix @ found / target - 1
    say(f"# errors: {100 * error.min():+.1f} to {100 * error.max():+.1f} %")
    return dict(zip(names, found, strict=True))


def main() -> None:
    """Print the tables of factors, and how far each fit is from what was counted."""
    with tempfile.TemporaryDirectory(prefix="edgetune-factors-") as folder:
        found = list(measure(Path(folder)))
    say(f"# {len(found)} libraries")
    tables: dict[str, list[dict[str, float]]] = {"INSTRUCTIONS": [], "MODEL": [], "KERNELS": []}
    for name, core in FACTORS.items():
        say(f"# {name}")
        work = [
            (stream_work if each.streaming else window_work)(each.shape, each.layers, core.lanes, core.pooled)
            for each in found
        ]
        figures = [each.figures[name] for each in found]
        tables["INSTRUCTIONS"].append(fit(work, [each.instructions or 0 for each in figures], relative=True))
        parts = [model_parts(each.shape, each.layers, streaming=each.streaming) for each in found]
        own = [
            each.model_text_bytes - tables_bytes(one.shape, one.layers)
            for one, each in zip(found, figures, strict=True)
        ]
        tables["MODEL"].append(fit(parts, own, relative=False))
        kernels = [dict.fromkeys(kernel_parts(each.shape, each.layers, streaming=each.streaming), 1) for each in found]
        shared = [each.text_bytes - each.model_text_bytes for each in figures]
        tables["KERNELS"].append(fit(kernels, shared, relative=False))
        say(f"# stack_bytes={max(each.stack_bytes or 0 for each in figures)}")
    for table, of_cores in tables.items():
        say(f"{table} = {{")
        for name in sorted({name for factors in of_cores for name in factors}):
            row = [f"{factors.get(name, 0.0):.{2 if table == 'INSTRUCTIONS' else 0}f}" for factors in of_cores]
            if any(map(float, row)):
                say(f'    "{name}": ({", ".join(row)}),')
        say("}")


def say(*words: object) -> None:
    """Print a line."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")


if __name__ == "__main__":
    main()
