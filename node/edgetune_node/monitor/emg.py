"""Watches one person's muscles: features over seconds, which gesture is made, and when exactly it began and ended."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from math import isfinite, nan
from typing import TYPE_CHECKING, Any

from edgetune_node.clock import from_ns
from edgetune_node.monitor.gestures import SignDetector
from edgetune_signal import Activity, IndicatorBuffer, emg_features
from edgetune_signal.stream import RATE_OFF

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from edgetune_node.config import AssetSection
    from edgetune_node.monitor.gestures import SignEvent
    from edgetune_node.monitor.inference import Verdict
    from edgetune_signal import Chunk, Window

SHORTEST_S = 1.0
BY_THE_SECOND = ("waveform_length", "zero_crossings", "median_frequency_hz")
REMEMBERED_S = 1.0
"""Stream remembered beyond the windows that decide about an end, for activity that begins before its first window."""


class MuscleWatch:
    """Hears the samples and verdicts of one person.

    Parameters
    ----------
    settings
        The asset's configuration.
    new_event_id
        Gives an identifier that was never given before.
    """

    def __init__(self, settings: AssetSection, new_event_id: Callable[[], str]) -> None:
        self._settings = settings
        window = settings.window
        self._length = timedelta(seconds=(window.length - 1) / settings.rate_hz)
        self._buffer = IndicatorBuffer(settings.spec, seconds=max(SHORTEST_S, settings.emg_s))
        self._signs = SignDetector(settings.sign, settings.healthy_class, new_event_id)
        decisive_s = (2 * window.length + settings.sign.min_windows * window.hop) / settings.rate_hz
        self._activity = Activity(settings.rate_hz, window.hop, decisive_s + REMEMBERED_S)
        self._began: datetime | None = None
        self._ended: datetime | None = None
        self._last = float("-inf")

    def push(self, chunk: Chunk) -> None:
        """Take in samples."""
        self._buffer.push(chunk)

    def look(self, now: float, *, rate_off: bool = False) -> dict[str, Any] | None:
        """Give the fields of `Emg`, where it is time to; None where it is not, or samples are missing.

        With ``rate_off`` samples come at another rate than is configured: what is told by the second is null then.
        """
        if now - self._last < self._settings.emg_s:
            return None
        samples = self._buffer.samples()
        if samples is None:
            return None
        self._last = now
        found = asdict(emg_features(samples, self._settings.unit, self._settings.rate_hz))
        if rate_off:
            found |= dict.fromkeys(BY_THE_SECOND, (nan,) * self._settings.channels)
            found["quality"] = (*found["quality"], RATE_OFF)
        return {name: _rounded(value) if isinstance(value, tuple) else value for name, value in found.items()}

    def observe(self, verdict: Verdict, window: Window) -> dict[str, Any] | None:
        """Count one window's verdict; give the fields of `Sign` for the sign that it ended."""
        self._activity.push(window)
        end = from_ns(window.time_ns)
        before = self._signs.since
        event = self._signs.observe(verdict.class_, verdict.confidence, end - self._length, end, verdict.distance)
        fields = None if event is None else self._timed(event, by_rest=self._signs.since is None)
        if self._signs.since is None:
            if verdict.class_ == self._settings.healthy_class:
                self._activity.rest(window)
        elif self._signs.since != before:
            self._began = None if event is not None else self._onset(window.time_ns)
        return fields

    def gap(self) -> dict[str, Any] | None:
        """End the running sign, if there is one: samples are missing, or time stamps are others, from here on."""
        event = self._signs.gap()
        fields = None if event is None else self._timed(event, by_rest=False)
        self._signs.forget()
        self._began = self._ended = None
        return fields

    def _onset(self, inside_ns: int) -> datetime | None:
        began = self._activity.began(inside_ns)
        found = None if began is None else from_ns(began)
        return None if found is None or (self._ended is not None and found <= self._ended) else found

    def _timed(self, event: SignEvent, *, by_rest: bool) -> dict[str, Any]:
        """Say when the muscles began and ended where the signal tells, else when the windows did."""
        start = event.start if self._began is None else self._began
        last_window = event.end - self._length
        ended = self._activity.ended(round(last_window.timestamp() * 1e9)) if by_rest else None
        end = event.end if ended is None or from_ns(ended) <= start else from_ns(ended)
        self._ended = end
        return {
            "event": event.event,
            "class_": event.class_,
            "confidence": round(event.confidence, 4),
            "start": start,
            "start_from": "windows" if self._began is None else "signal",
            "end": end,
            "end_from": "windows" if ended is None or end == event.end else "signal",
            "windows": event.windows,
            "of": event.of,
            "distance": None if event.distance is None else round(event.distance, 4),
        }


def _rounded(values: tuple[Any, ...]) -> list[Any]:
    """Give numbers as JSON has them, null for none, and names as they are."""
    return [_digits(value) if isinstance(value, float) else value for value in values]


def _digits(value: float) -> float | None:
    return round(value, 4) if isfinite(value) else None
