"""What indicators cost per second of signal, one core: vibration and surface EMG. Run by ``make bench``."""

from __future__ import annotations

import itertools
import statistics
import time
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from edgetune_node.config.settings import AssetSection
from edgetune_node.monitor.emg import EmgMonitor
from edgetune_node.monitor.inference import Verdict
from edgetune_signal import (
    DEEP_GROOVE_6205,
    BearingSimulator,
    Machine,
    ShaftSpeed,
    StreamSpec,
    Window,
    diagnose,
    emg_features,
)
from edgetune_signal.emg.features import envelope
from edgetune_signal.stream.quality import window_quality
from edgetune_signal.vibration.condition_indicators import indicators
from edgetune_signal.vibration.defects import defect_lines
from edgetune_signal.vibration.envelope import envelope_spectrum, kurtosis_band
from edgetune_signal.vibration.shaft_speed import estimate_shaft_hz
from edgetune_signal.vibration.velocity import velocity_rms

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgetune_signal.stream.types import Samples

RATE, CHANNELS = 25_600, 3
EMG_RATE, EMG_CHANNELS, HOP = 2000, 8, 100
BAND = (2000.0, 4000.0)
ORDERS = DEEP_GROOVE_6205.orders()


def seconds_of(work: Callable[[], object]) -> float:
    """Median processor time over about half a second, whatever else the machine does."""
    work()
    took = []
    until = time.perf_counter() + 0.5
    while time.perf_counter() < until:
        started = time.process_time()
        work()
        took.append(time.process_time() - started)
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
    show(f"cost of one second of {CHANNELS} channels at {RATE / 1000:g} kHz, one core", works)
    muscles = np.random.default_rng(0).normal(0, 20, (EMG_CHANNELS, EMG_RATE)).astype(np.float32)
    emg: dict[str, Callable[[], object]] = {
        "EMG features": lambda: emg_features(muscles, "uV", EMG_RATE),
        "of them the envelope": lambda: envelope(muscles, EMG_RATE),
        "windows to signs, begin and end (20 a second)": Signs(muscles),
    }
    show(f"cost of one second of {EMG_CHANNELS} channels at {EMG_RATE / 1000:g} kHz, one core", emg)


class Signs:
    """A second of windows after the other, each with one sign."""

    def __init__(self, second: Samples) -> None:
        length = EMG_RATE // 4
        settings = AssetSection(
            id="arm", task="sign", channels=EMG_CHANNELS, rate_hz=EMG_RATE, window={"length": length, "hop": HOP}
        )
        self._watch = EmgMonitor(settings, lambda: "e")
        self._windows = itertools.count()
        self._cut = np.lib.stride_tricks.sliding_window_view(np.tile(second, 2), length, axis=1).transpose(1, 0, 2)
        self._second(louder=1.0)
        self._second(louder=1.0)

    def __call__(self) -> None:
        """Two thirds of a gesture, one of rest."""
        self._second(louder=10.0)

    def _second(self, louder: float) -> None:
        for at in range(0, EMG_RATE, HOP):
            number = next(self._windows)
            gesture = louder > 1 and 3 * at < 2 * EMG_RATE
            window = Window(self._cut[at] * (louder if gesture else 1), number * HOP * 10**9 // EMG_RATE, number)
            self._watch.observe(Verdict("fist" if gesture else "rest", 0.9), window)


def show(title: str, works: dict[str, Callable[[], object]]) -> None:
    """Print a table."""
    table = Table(title=title)
    for name in ("indicator", "ms", "times real time"):
        table.add_column(name, justify="left" if name == "indicator" else "right")
    for name, work in works.items():
        took = seconds_of(work)
        table.add_row(name, f"{1e3 * took:.2f}", f"{1 / took:,.0f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
