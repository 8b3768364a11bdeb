"""``make bench-once``: simulated machines whose classes were recorded once each, as `edgetune demo` records them.

Nothing but later parts of the same recordings tells candidates apart there. The model is asked about what the machine
does afterwards, in the conditions that it has learned.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from edgetune_nas.bundle import load_bundle
from edgetune_nas.card import Budget
from edgetune_nas.search import search
from edgetune_node.demo.play import FLASH_BYTES, MACS, RAM_BYTES
from edgetune_node.demo.scenes import SIMULATED_CONDITIONS, SIMULATED_SPEC
from edgetune_signal import Recording
from edgetune_signal.datasets import Dataset, recordings_dataset
from edgetune_signal.recordings import held_out_start
from edgetune_signal.simulators import BearingSimulator

WINDOW = 512
"""Samples of a window and of a hop, as in the demo."""
LIVE_SECONDS = 20.0
PAUSE_SECONDS = 1.0


def machine(seed: int, take_seconds: float) -> tuple[Dataset, Dataset]:
    """Return a take of each class, and what the machine does later."""
    simulator = BearingSimulator(rate_hz=SIMULATED_SPEC.rate_hz, seed=seed)
    parts = [_takes(simulator, seconds, name) for name, seconds in (("take", take_seconds), ("live", LIVE_SECONDS))]
    return parts[0], parts[1]


def _takes(simulator: BearingSimulator, seconds: float, name: str) -> Dataset:
    found = []
    for label, condition in SIMULATED_CONDITIONS.items():
        simulator.select(condition)
        simulator.generate(round(PAUSE_SECONDS * SIMULATED_SPEC.rate_hz))
        samples = simulator.generate(round(seconds * SIMULATED_SPEC.rate_hz))
        held_out = held_out_start(samples.shape[1], 0, 1)
        found.append(
            Recording(samples, SIMULATED_SPEC.rate_hz, label, "g", group=f"{label} {name}", held_out_from=held_out)
        )
    return recordings_dataset(found, WINDOW, WINDOW)


def main() -> None:
    """Search for every machine and print what its model gets right afterwards."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--machines", type=int, default=5)
    parser.add_argument("--take-seconds", type=float, default=5.0, help="how long each class is recorded")
    parser.add_argument("--seconds", type=float, default=30.0, help="each search has, 30 as in the demo")
    options = parser.parse_args()
    table = Table(title=f"each class recorded once for {options.take_seconds:g} s")
    for name in ("machine", "right later %", "card said %", "arena B", "layers"):
        table.add_column(name)
    budget = Budget(ram_bytes=RAM_BYTES, flash_bytes=FLASH_BYTES, macs=MACS, search_seconds=options.seconds)
    later = []
    for seed in range(options.machines):
        learned, live = machine(seed, options.take_seconds)
        with tempfile.TemporaryDirectory(prefix="edgetune-once-") as out:
            found = search(learned, task="fault", budget=budget, out=Path(out))
            right = load_bundle(found.bundle).classifier.probabilities(live.x).argmax(axis=1) == live.label
        card = found.card
        said = f"{card.metrics.accuracy:.1%} ({card.metrics.accuracy_low:.1%}-{card.metrics.accuracy_high:.1%})"
        table.add_row(str(seed), f"{100 * right.mean():.1f}", said, str(card.cost.arena_bytes), "; ".join(card.layers))
        later.append(right.mean())
    Console(width=200).print(table)
    Console().print(f"mean {np.mean(later):.1%}, worst {min(later):.1%}")


if __name__ == "__main__":
    main()
