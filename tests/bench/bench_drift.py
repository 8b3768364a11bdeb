"""How often a steady machine is said to have changed, and how soon a changing one. Run by ``make bench``.

Of every minute of the simulated machine one second is generated, as the node looks at it; minutes follow one another as
they would, so that speed and slip wander. The network's confidence is left out: there is no network here.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from edgetune_nas.novelty.detector import Novelty, fit_novelty
from edgetune_node.config.settings import AssetSection
from edgetune_node.monitor.drift import DriftMonitor
from edgetune_signal import BearingSimulator, Machine, StreamSpec, diagnose

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

RATE, LENGTH, WINDOWS = 12_000, 512, 23
SECTION = AssetSection(id="a", rate_hz=RATE, window={"length": LENGTH, "hop": 60 * RATE})
SPEC = StreamSpec(1, RATE, "g")


def windows(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cut a second."""
    return samples[:, : WINDOWS * LENGTH].reshape(1, WINDOWS, LENGTH).swapaxes(0, 1)


def detector() -> Novelty:
    """Learn the machine as a calibration would, from a minute."""
    machine = BearingSimulator(rate_hz=RATE, seed=99)
    x = np.concatenate([windows(machine.generate(RATE).astype(np.float32)) for _ in range(60)])
    return fit_novelty(x[::2], np.zeros(len(x[::2]), int), x[1::2])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("hours", nargs="?", type=int, default=24, help="of the simulated machine")
    hours = parser.parse_args().hours
    novelty = detector()
    table = Table(title=f"drift, over {hours} h of a simulated machine after half an hour of baseline")
    for name in ("machine", "suggestions", "after", "why"):
        table.add_column(name, justify="right" if name in ("suggestions", "after") else "left")
    stories: dict[str, Callable[[int], float]] = {
        "steady": lambda _: 0.0,
        "steady, another one": lambda _: 0.0,
        "an inner race that wears from nothing to slight": lambda minute: minute / (60 * hours),
    }
    for seed, (name, share) in enumerate(stories.items()):
        sound = BearingSimulator(rate_hz=RATE, seed=seed)
        worn = BearingSimulator(rate_hz=RATE, seed=seed, condition="inner_slight")
        watch = DriftMonitor(SECTION)
        watch.swap("model")
        told: list[tuple[int, str]] = []
        for minute in range(-35, 60 * hours):
            part = share(max(0, minute))
            samples = sound.generate(RATE)
            if part:
                samples = (1 - part) ** 0.5 * samples + part**0.5 * worn.generate(RATE)
            second = samples.astype(np.float32)
            watch.look(diagnose(second, SPEC, Machine()))
            watch.hear(1.0, float(novelty.distances(windows(second)).mean()) / novelty.limit)
            told += [(minute, reason) for reason in watch.reasons if reason not in {each for _, each in told}]
        first = f"{told[0][0] / 60:.1f} h" if told else "-"
        table.add_row(name, str(len(told)), first, told[0][1].split(" since")[0] if told else "")
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
