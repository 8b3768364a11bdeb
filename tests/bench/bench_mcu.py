"""Bundles as C on emulated microcontroller cores: memory, instructions, equality. Run by ``make bench-mcu``.

Without bundles: networks of the search space with random weights; their figures do not depend on weights.
``--trained`` searches networks of 720 B for CWRU and of 3.5 KiB for Italian signs, and compares every window.
``EDGETUNE_DATA`` names the folder of recordings; without it ``../shared/data`` is taken.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import bench_search
import mcu_factors
from bundles import write_random
from real_data import ABSENT, DATA
from rich.console import Console
from rich.table import Table

from edgetune_nas.card import Budget
from edgetune_nas.mcu import write_library
from edgetune_nas.model import expand
from edgetune_nas.model.search_space import Bank, ConvBlock, Envelope, Genotype, Stem, Together
from edgetune_nas.worker import DataSource, Job, SearchDone, SearchJob
from edgetune_signal import load_dataset

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from edgetune_nas.model import Shape

Made: TypeAlias = "tuple[str, Path, NDArray[np.float32] | None]"
"""A name, a bundle, and windows to compare on."""
TRAINED_BYTES = (720, 3584)

BEARING, ARMBAND = (1, 512), (8, 50)
SHAPES: dict[str, tuple[Shape, Genotype]] = {
    "stem 128/32 x 12": (BEARING, Genotype(None, Stem(12, 128, 32), (), "average")),
    "stem, separable, both": (BEARING, Genotype(None, Stem(12, 128, 32), (ConvBlock("separable", 16, 5),), "both")),
    "bank of 48": (BEARING, Genotype(Bank(48, 128, 32), None, (), "flat")),
    "envelope, convolution": (ARMBAND, Genotype(Envelope(10, 5), None, (ConvBlock("full", 24, 3),), "both")),
    "levels of a ring": (ARMBAND, Genotype(Together("ring", 1, correlate=False), None, (), "flat")),
    "correlations": (ARMBAND, Genotype(Together("each", 1, correlate=True), None, (), "flat")),
}
QUICK = ("stem 128/32 x 12", "correlations")


def main() -> None:
    """Print a row for each bundle, way and core."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", nargs="*", type=Path, help="folders of bundles; without, networks of the space")
    parser.add_argument("--quick", action="store_true", help="two networks alone")
    parser.add_argument("--factors", action="store_true", help="fit the factors of the card's estimate, eight minutes")
    parser.add_argument("--trained", action="store_true", help="networks trained on recordings, four minutes")
    options = parser.parse_args()
    if options.factors:
        mcu_factors.main()
        return
    headings = (
        "model",
        "way",
        "arena",
        "core",
        "bss",
        "stack",
        "text",
        "the model's",
        "instructions",
        "a MAC",
        "worst",
    )
    table = Table(title="bytes, and instructions a window")
    for heading in (*headings, "equal"):
        table.add_column(heading, no_wrap=True)
    with tempfile.TemporaryDirectory(prefix="edgetune-bench-") as name:
        folder = Path(name)
        if options.trained:
            made = _trained(folder)
        elif options.bundles:
            made = ((each.name[-8:], each, None) for each in options.bundles)
        else:
            made = _made(folder, quick=options.quick)
        for each in made:
            for row in _rows(folder, *each):
                table.add_row(*row)
    Console(width=150).print(table)


def _rows(folder: Path, name: str, bundle: Path, x: NDArray[np.float32] | None) -> Iterator[tuple[str, ...]]:
    for streaming in (False, True):
        out = folder / f"{bundle.name}-{streaming}"
        fields = write_library(bundle, out, streaming=streaming, x=x, name="model").fields()
        here = f"{fields['windows'] - (fields['outputs_differ'] or 0)} of {fields['windows']}"
        way = "streamed" if streaming else "stored"
        for core, figures in fields["cores"].items():
            count = figures["instructions"]
            yield (
                *(name, way, str(fields["arena_bytes"]), core.removeprefix("cortex-")),
                *(str(figures[key]) for key in ("bss_bytes", "stack_bytes", "text_bytes", "model_text_bytes")),
                *(str(count), "-" if count is None else f"{count / fields['macs']:.2f}"),
                *(str(figures["worst_instructions"]), here),
            )


def _trained(folder: Path) -> Iterator[Made]:
    if not DATA.is_dir():
        raise SystemExit(ABSENT)
    for case in bench_search.CASES:
        if case.ram_bytes not in TRAINED_BYTES:
            continue
        source = DataSource(path=DATA / case.file, converter=case.converter)
        budget = Budget(ram_bytes=case.ram_bytes, search_seconds=120)
        job = Job(data=source, task=case.task, budget=budget, out=folder / str(case.ram_bytes))
        *_, last = SearchJob.start(job).events()
        if not isinstance(last, SearchDone):
            raise SystemExit(f"{case.name}: {last}")
        dataset = load_dataset(DATA / case.file, converter=case.converter)
        yield f"{case.name.split(',')[0]}, {case.ram_bytes} B", last.bundle, dataset.x


def _made(folder: Path, *, quick: bool) -> Iterator[Made]:
    for name in QUICK if quick else SHAPES:
        shape, genotype = SHAPES[name]
        yield name, write_random(folder, shape, expand(genotype, shape, 6))[0], None


if __name__ == "__main__":
    main()
