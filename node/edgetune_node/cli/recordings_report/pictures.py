"""Pictures of recordings: signal, spectrum and envelope spectrum of one, and how many change over time."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from edgetune_nas.bundle import ACCENT, INK, QUIET, figure_of, image, plain_decades
from edgetune_node.cli.recordings_report.figures import LOOKED_AT_S, condition_of
from edgetune_signal.vibration import HARMONICS, amplitude_spectrum, defect_orders, envelope_spectrum, kurtosis_band

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from edgetune_node.cli.recordings_report.figures import RecordingFigures
    from edgetune_node.config import MachineSection
    from edgetune_signal import Condition, Recording

    Float64 = NDArray[np.float64]

COLUMNS = 600
"""Points a line has at most."""
MOST_POINTS = 500
COLOURS = {"bpfo": "#b91c1c", "bpfi": "#1d4ed8", "bsf2": "#a16207", "ftf": "#7e22ce"}
UNITS_S = {"days": 86_400.0, "hours": 3600.0, "minutes": 60.0, "seconds": 1.0}
TRENDS = {"rms": "RMS", "kurtosis": "kurtosis", "velocity_rms_mm_s": "velocity, mm/s"}


def picture(recording: Recording, section: MachineSection) -> tuple[str, str]:
    """Draw a recording's loudest channel, or the one whose defect lines are clearest; with a caption."""
    condition = condition_of(recording, section)
    rms = np.nan_to_num(condition.indicators.rms)
    channel = condition.channel if condition.lines else int(np.argmax(rms))
    samples = recording.samples[channel].astype(np.float64)
    unit = f", {recording.unit}" if recording.unit else ""
    figure, (time, spectrum, envelope) = figure_of(7.5, 6.0, rows=3)
    _draw_signal(time, samples, recording.rate_hz)
    time.set_ylabel(f"signal{unit}")
    frequency, amplitude = amplitude_spectrum(samples, recording.rate_hz)
    frequency, amplitude = coarser(frequency, amplitude)
    spectrum.semilogy(frequency, np.maximum(amplitude, 1e-12), color=INK, linewidth=0.7)
    plain_decades(spectrum.yaxis)
    spectrum.set_xlabel("Hz")
    spectrum.set_ylabel(f"amplitude{unit}")
    told = _draw_envelope(envelope, samples, recording.rate_hz, condition, section)
    envelope.set_ylabel(f"envelope{unit}")
    match = condition.match
    stands_out = "" if match is None else f"; {match.defect} stands out, {match.over_floor:.1f} times the floor"
    where = f"channel {channel + 1} of {recording.samples.shape[0]}" if recording.samples.shape[0] > 1 else ""
    return image(figure), ", ".join(each for each in (where, told) if each) + stands_out


def trend_picture(figures: Sequence[RecordingFigures]) -> str | None:
    """Draw indicators over the time of the recordings, a colour a class; None where there are not two times."""
    dated = [each for each in figures if each.time is not None]
    thinned = dated[:: -(-len(dated) // MOST_POINTS)] if dated else []
    moments = [datetime.fromisoformat(str(each.time)) for each in thinned]
    if len(set(moments)) < 2:  # noqa: PLR2004 - one time is no trend
        return None
    first = min(moments)
    unit, length_s = time_unit((max(moments) - first).total_seconds())
    elapsed = [(moment - first).total_seconds() / length_s for moment in moments]
    drawn = [name for name in TRENDS if any(getattr(each, name) is not None for each in thinned)]
    figure, axes = figure_of(7.5, 1.6 * len(drawn), rows=len(drawn))
    for row, name in zip(axes, drawn, strict=True):
        for label in sorted({each.label for each in thinned}):
            points = [
                (after, getattr(each, name))
                for after, each in zip(elapsed, thinned, strict=True)
                if each.label == label and getattr(each, name) is not None
            ]
            row.plot(*zip(*points, strict=True), ".", label=label) if points else None
        row.set_ylabel(TRENDS[name])
    axes[-1].set_xlabel(f"{unit} since {first:%Y-%m-%d %H:%M:%S} UTC")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, loc="outside upper center", ncols=6, fontsize=8)
    return image(figure)


def time_unit(span_s: float) -> tuple[str, float]:
    """Return the largest unit that a span holds at least twice, with its length in seconds."""
    return next(((name, unit_s) for name, unit_s in UNITS_S.items() if span_s >= 2 * unit_s), ("seconds", 1.0))


def coarser(x: Float64, y: Float64) -> tuple[Float64, Float64]:
    """Return at most `COLUMNS` points; of several that fall together the highest, so that no line is lost."""
    step = -(-len(y) // COLUMNS)
    whole = len(y) // step * step
    starts = np.arange(0, whole, step)
    highest = y[:whole].reshape(-1, step).max(axis=1)
    return x[starts], highest


def _draw_signal(axes: Axes, samples: Float64, rate_hz: float) -> None:
    step = -(-len(samples) // COLUMNS)
    whole = len(samples) // step * step
    columns = samples[:whole].reshape(-1, step)
    seconds = np.arange(len(columns)) * step / rate_hz
    axes.fill_between(seconds, columns.min(axis=1), columns.max(axis=1), color=ACCENT, linewidth=0.6)
    axes.set_xlabel("s")


def _draw_envelope(axes: Axes, samples: Float64, rate_hz: float, condition: Condition, section: MachineSection) -> str:
    """Draw the envelope spectrum with the lines that defects would leave; say which band it is of."""
    first = samples[: max(2, round(LOOKED_AT_S * rate_hz))]
    orders = section.machine.orders
    shaft_hz = None if condition.shaft is None else condition.shaft.rpm / 60
    wanted = {} if orders is None or not shaft_hz else defect_orders(orders)
    highest = (HARMONICS + 0.2) * max(wanted.values()) * shaft_hz if wanted and shaft_hz else rate_hz / 20
    band = condition.band_hz or section.envelope_band_hz or kurtosis_band(first, rate_hz, highest)
    try:
        found = None if band is None else envelope_spectrum(first, rate_hz, band)
    except ValueError:  # a configured band that this rate or length does not have
        found = None
    if found is None:
        axes.text(0.5, 0.5, "no band of the signal is wide enough", color=QUIET, ha="center", transform=axes.transAxes)
        return "no envelope spectrum"
    frequency = found.step_hz * np.arange(len(found.amplitude), dtype=np.float64)
    shown = frequency <= highest
    axes.plot(*coarser(frequency[shown], found.amplitude[shown]), color=INK, linewidth=0.7)
    for name, order in wanted.items():
        for harmonic in range(1, HARMONICS + 1):
            label = f"{name} {order:.3f}" if harmonic == 1 else None
            position = harmonic * order * (shaft_hz or 0.0)
            axes.axvline(position, color=COLOURS[name], linestyle=":", linewidth=0.9, label=label)
    if wanted:
        axes.legend(frameon=False, fontsize=7, ncols=4, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)
    axes.set_xlabel("Hz")
    marked = f"; lines of defects at {60 * (shaft_hz or 0):.0f} rpm" if wanted else ""
    return f"envelope of {found.band_hz[0]:.0f} to {found.band_hz[1]:.0f} Hz{marked}"
