"""Bundles as C on emulated microcontroller cores: memory, instructions, equality. Run by ``make bench-mcu``.

Without bundles it takes networks of the search space with random weights: what they cost does not depend on weights.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from bundles import write_network
from rich.console import Console
from rich.table import Table

from edgetune_nas.card import InputSpec
from edgetune_nas.mcu import write_library
from edgetune_nas.model import Conv, Dense, Network, expand, frontend_weights, output_shape, split_frontend
from edgetune_nas.model.search_space import Bank, ConvBlock, Envelope, Genotype, Stem, Together

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgetune_nas.model import Shape

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
    options = parser.parse_args()
    table = Table(title="bytes, and instructions a window")
    for heading in ("model", "way", "arena", "core", "bss", "stack", "text", "instructions", "a MAC", "worst", "equal"):
        table.add_column(heading, no_wrap=True)
    with tempfile.TemporaryDirectory(prefix="edgetune-bench-") as folder:
        made = [(each.name[-8:], each) for each in options.bundles] or list(_made(Path(folder), quick=options.quick))
        for name, bundle in made:
            for streaming in (False, True):
                out = Path(folder, f"{bundle.name}-{streaming}")
                fields = write_library(bundle, out, streaming=streaming, name="model").fields()
                here = f"{fields['windows'] - (fields['outputs_differ'] or 0)} of {fields['windows']}"
                way = "streamed" if streaming else "stored"
                for core, figures in fields["cores"].items():
                    count = figures["instructions"]
                    table.add_row(
                        *(name, way, str(fields["arena_bytes"]), core.removeprefix("cortex-")),
                        *(str(figures[key]) for key in ("bss_bytes", "stack_bytes", "text_bytes")),
                        *(str(count), "-" if count is None else f"{count / fields['macs']:.2f}"),
                        *(str(figures["worst_instructions"]), here),
                    )
    Console(width=140).print(table)


def _made(folder: Path, *, quick: bool) -> Iterator[tuple[str, Path]]:
    for name in QUICK if quick else SHAPES:
        shape, genotype = SHAPES[name]
        rng = np.random.default_rng(0)
        layers = expand(genotype, shape, 6)
        frontend, rest = split_frontend(layers)
        weights = list(frontend_weights(frontend))
        before = shape
        for layer in layers:
            inputs, before = before[0], output_shape(layer, before)
            if layer in rest and len(weights) < len(layers):
                own = {}
                if isinstance(layer, Conv | Dense):
                    filters = before[0]
                    taps = (inputs // layer.groups, layer.kernel) if isinstance(layer, Conv) else (inputs,)
                    scale = np.prod(taps) ** -0.5
                    own["weight"] = (rng.normal(size=(filters, *taps)) * scale).astype(np.float32)
                    own["bias"] = rng.normal(size=filters).astype(np.float32)
                weights.append(own)
        x = rng.normal(size=(64, *shape)) * np.exp(rng.normal(size=(64, 1, 1)))
        spec = InputSpec(channels=shape[0], length=shape[1], rate_hz=1000.0, unit="g")
        network = Network(shape, layers, tuple(weights))
        card = write_network(folder, network, x.astype(np.float32), classes=list("abcdef"), input_spec=spec)
        yield name, folder / f"model-{card.id}"


if __name__ == "__main__":
    main()
