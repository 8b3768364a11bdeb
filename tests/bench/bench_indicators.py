"""What the indicators cost, per second of signal: three channels at 25.6 kHz, one core. Run by ``make bench``."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from edgetune_signal import DEEP_GROOVE_6205, BearingSimulator, Machine, ShaftSpeed, StreamSpec, diagnose
from edgetune_signal.defects import defect_lines
from edgetune_signal.envelope import envelope_spectrum, kurtosis_band
from edgetune_signal.indicators import indicators
from edgetune_signal.quality import window_quality
from edgetune_signal.shaft_speed import estimate_shaft_hz
from edgetune_signal.velocity import velocity_rms

if TYPE_CHECKING:
    from collections.abc import Callable

RATE, CHANNELS = 25_600, 3
BAND = (2000.0, 4000.0)
ORDERS = DEEP_GROOVE_6205.orders()


def seconds_of(work: Callable[[], object]) -> float:
    """Median over about half a second."""
    work()
    took = []
    until = time.perf_counter() + 0.5
    while time.perf_counter() < until:
        started = time.perf_counter()
        work()
        took.append(time.perf_counter() - started)
    return statistics.median(took)


def main() -> None:
    """Print the table."""
    samples = BearingSimulator(rate_hz=RATE, channels=CHANNELS, condition="inner_moderate").generate(RATE)
    wide = samples.astype(float)
    spectra = [envelope_spectrum(channel, RATE, BAND) for channel in wide]
    spec = StreamSpec(CHANNELS, RATE, "g")
    works: dict[str, Callable[[], object]] = {
        "quality flags": lambda: window_quality(samples, None),
        "RMS, peak, crest, kurtosis (with flags)": lambda: indicators(samples, "g", RATE),
        "velocity RMS": lambda: velocity_rms(samples, "g", RATE),
        "band by spectral kurtosis": lambda: [kurtosis_band(channel, RATE, 490) for channel in wide],
        "envelope spectrum": lambda: [envelope_spectrum(channel, RATE, BAND) for channel in wide],
        "defect lines": lambda: [defect_lines(spectrum, 30.0, ORDERS) for spectrum in spectra],
        "shaft speed": lambda: [estimate_shaft_hz(channel, RATE, (20, 39)) for channel in wide],
        "everything, speed known": lambda: diagnose(
            samples, spec, Machine(ORDERS, None, None, (1.4, 2.8, 4.5)), ShaftSpeed(1797, "config")
        ),
    }
    table = Table(title=f"cost of one second of {CHANNELS} channels at {RATE / 1000:g} kHz, one core")
    for name in ("indicator", "ms", "times real time"):
        table.add_column(name, justify="left" if name == "indicator" else "right")
    for name, work in works.items():
        took = seconds_of(work)
        table.add_row(name, f"{1e3 * took:.2f}", f"{1 / took:,.0f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
