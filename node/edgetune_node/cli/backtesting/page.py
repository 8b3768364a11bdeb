"""The page of a backtest: indicators and distance over time, the limit, the events, and the evidence of each."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgetune_nas.bundle import ACCENT, INK, QUIET, figure_of, image, page, plain_decades, table
from edgetune_node.cli.recordings_report.pictures import picture, time_unit
from edgetune_node.clock import from_ns
from edgetune_signal import Recording

if TYPE_CHECKING:
    from edgetune_node.cli.backtesting.run import Backtest, Event
    from edgetune_node.config import AssetSection

MOST_POINTS: Final = 1200
MOST_PICTURES: Final = 12
MOST_ROWS: Final = 300
FAULTY: Final = "#b91c1c"
LIMIT: Final = 1.0
"""Of the distance: beyond it a window is unlike everything known."""


def backtest_page(title: str, backtest: Backtest, figures: dict[str, Any], section: AssetSection) -> str:
    """Write the page."""
    body = [f"<h1>Backtest</h1><p class='lead'>{escape(title)}</p><p>{escape(_summary(figures))}</p>"]
    if backtest.points and not backtest.each:
        body.append(f"<h2>Over time</h2><figure>{_over_time(backtest)}<figcaption>{_CAPTION}</figcaption></figure>")
    body.append(f"<h2>Events</h2>{_rows(figures['events'], 'No fault was raised.')}")
    for event in [each for each in backtest.events if each.signal is not None][:MOST_PICTURES]:
        drawing, caption = picture(_signal(event, section), section.machine)
        heading = f"{event.event}: {event.class_} ({event.severity}), {event.recording}, {event.raised_s:.1f} s"
        body.append(f"<h3>{escape(heading)}</h3><figure>{drawing}<figcaption>{escape(caption)}</figcaption></figure>")
    if "signs" in figures:
        body.append(f"<h2>Signs</h2>{_rows(figures['signs'], 'No sign was recognised.')}")
    body.append(f"<h2>Recordings</h2>{_rows(figures['recordings'], '')}")
    return page("Backtest", body)


_CAPTION: Final = (
    "Each point is the largest value of its time; shaded while a fault is active; the distance's limit is 1."
)


def _summary(figures: dict[str, Any]) -> str:
    told = f"{len(figures['events'])} events in {figures['signal_seconds']:.0f} s of signal."
    rate = figures["false_alarms_per_month"]
    if rate is None:
        return f"{told} No recording is of the healthy class, so there is no rate of false alarms."
    low, high = figures["false_alarms_per_month_low"], figures["false_alarms_per_month_high"]
    return (
        f"{told} In {figures['healthy_seconds']:.0f} s of the healthy class faults were raised at a rate of {rate:g} a "
        f"month (95 % interval {low:g} to {high:g}); the less healthy signal, the wider the interval."
    )


def _over_time(backtest: Backtest) -> str:
    points = backtest.points
    time = np.array([point.time_s for point in points])
    unit, length_s = time_unit(float(time[-1] - time[0]))
    drawn = {
        "RMS": np.array([point.rms for point in points]),
        "kurtosis": np.array([point.kurtosis for point in points]),
        "distance": np.array([point.distance for point in points]),
    }
    drawn = {name: values for name, values in drawn.items() if np.isfinite(values).any()}
    figure, axes = figure_of(7.5, 1.7 * len(drawn), rows=len(drawn))
    for row, (name, values) in zip(axes, drawn.items(), strict=True):
        row.plot(*_coarser(time / length_s, values), color=INK, linewidth=0.8)
        row.set_ylabel(name)
        if name == "distance":
            row.axhline(LIMIT, color=QUIET, linestyle="--", linewidth=1)
            row.set_yscale("log")
            plain_decades(row.yaxis)
        for event in backtest.events:
            end_s = float(time[-1]) if event.cleared_s is None else event.cleared_s
            row.axvspan(event.raised_s / length_s, end_s / length_s, color=FAULTY, alpha=0.15, linewidth=0)
            row.axvline(event.raised_s / length_s, color=FAULTY, linewidth=0.8)
        starts = [recording.start_s / length_s for recording in backtest.recordings]
        if 1 < len(starts) <= MOST_PICTURES:
            row.vlines(starts, 0, 1, color=ACCENT, linewidth=0.4, linestyle=":", transform=row.get_xaxis_transform())
    axes[-1].set_xlabel(f"{unit} since the first sample")
    return image(figure)


def _coarser(time: Any, values: Any) -> tuple[Any, Any]:
    """Return at most `MOST_POINTS` points; of several that fall together the largest."""
    step = -(-len(values) // MOST_POINTS)
    starts = np.arange(0, len(values), step)
    return time[starts], np.fmax.reduceat(values, starts)


def _rows(rows: list[dict[str, Any]], empty: str) -> str:
    if not rows:
        return f"<p>{empty}</p>"
    shown = [[_shown(value) for value in row.values()] for row in rows[:MOST_ROWS]]
    left = f"<p>and {len(rows) - MOST_ROWS} more</p>" if len(rows) > MOST_ROWS else ""
    return table([list(rows[0]), *shown]) + left


def _shown(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else ""
    return ", ".join(value) if isinstance(value, list) else value


def _signal(event: Event, section: AssetSection) -> Recording:
    assert event.signal is not None  # noqa: S101 - asked before
    samples = np.concatenate([chunk.samples for chunk in event.signal.chunks], axis=1)[:, -event.signal.samples :]
    first = event.signal.chunks[0]
    return Recording(
        np.nan_to_num(samples).astype(np.float32, copy=False),
        section.rate_hz,
        event.class_ or "fault",
        section.unit,
        first.time_ns if from_ns(first.time_ns).year > 1970 else 0,  # noqa: PLR2004 - a time that is not known
    )
