"""Computes features of one person's muscles over seconds, and finds which gesture was made from when to when."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from edgetune_node.clock import from_ns
from edgetune_node.contract import Emg
from edgetune_node.monitor.gestures import SignDetector, SignEvent
from edgetune_signal import Activity, IndicatorBuffer, electrode_faults, emg_features
from edgetune_signal.stream import HUM, RATE_OFF, hum_share

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from edgetune_node.config import AssetSection
    from edgetune_node.monitor.gestures import SignStart, Told
    from edgetune_node.monitor.inference import Verdict
    from edgetune_signal import Chunk, ElectrodeFault, Window
    from edgetune_signal.stream import Samples

HUM_FLAGGED = 0.2
"""Share of the power from which on the signal is flagged. At rest a weak hum is more of it than in a gesture."""
SHORTEST_S = 1.0
REMEMBERED_S = 3.0
"""Stream remembered beyond the windows that decide about an end, for activity that began before a sign was sure."""


class EmgMonitor:
    """Turns the samples and verdicts of one person into features and signs.

    Parameters
    ----------
    settings
        The asset's configuration.
    new_event_id
        Returns an identifier that was never used before.

    Attributes
    ----------
    electrodes
        What is wrong with each channel, as the last features were computed; empty before.
    """

    def __init__(self, settings: AssetSection, new_event_id: Callable[[], str]) -> None:
        self._settings = settings
        window = settings.window
        self._length = timedelta(seconds=(window.length - 1) / settings.rate_hz)
        self._buffer = IndicatorBuffer(settings.spec, seconds=max(SHORTEST_S, settings.emg_s))
        hop_s = window.hop / settings.rate_hz
        self._signs = SignDetector(settings.sign, settings.healthy_class, new_event_id, hop_s)
        decisive_s = (2 * window.length + settings.sign.min_windows * window.hop) / settings.rate_hz
        self._activity = Activity(settings.rate_hz, window.hop, decisive_s + REMEMBERED_S)
        self.electrodes: tuple[tuple[ElectrodeFault, ...], ...] = ()
        self._began: datetime | None = None
        self._ended: datetime | None = None
        self._last = float("-inf")

    def push(self, chunk: Chunk) -> None:
        """Buffer samples."""
        self._buffer.push(chunk)

    def look(self, now: float, *, rate_off: bool = False) -> Emg | None:
        """Return the features, if they are due; None if they are not, or samples are missing.

        With ``rate_off`` samples come at another rate than is configured. Features by the second are null then.
        """
        if now - self._last < self._settings.emg_s:
            return None
        samples = self._buffer.samples()
        if samples is None:
            return None
        self._last = now
        rate_hz = self._settings.rate_hz
        self.electrodes = electrode_faults(samples, rate_hz, self._settings.clip_level)
        found = emg_features(samples, self._settings.unit, self._settings.rate_hz)
        timed = found.waveform_length, found.zero_crossings, found.median_frequency_hz
        nothing: list[float | None] = [None] * self._settings.channels
        waveform_length, zero_crossings, median_frequency_hz = (
            nothing if rate_off else _rounded(values) for values in timed
        )
        return Emg(
            rms=_rounded(found.rms),
            mean_absolute=_rounded(found.mean_absolute),
            envelope=_rounded(found.envelope),
            waveform_length=waveform_length,
            zero_crossings=zero_crossings,
            median_frequency_hz=median_frequency_hz,
            unit=found.unit,
            seconds=found.seconds,
            quality=[*found.quality, *([RATE_OFF] if rate_off else [HUM] if self._hums(samples) else [])],
            electrodes=[list(each) for each in self.electrodes],
        )

    def _hums(self, samples: Samples) -> bool:
        return hum_share(samples[np.newaxis], self._settings.mains_hz / self._settings.rate_hz) >= HUM_FLAGGED

    @property
    def running(self) -> str | None:
        """Class of the running sign as it is taken for now; None while there is none."""
        return self._signs.running

    @property
    def unheard_s(self) -> float:
        """Seconds for which no sign could begin, since rest has not been heard; 0 once it has."""
        return self._signs.unheard * self._settings.window.hop / self._settings.rate_hz

    def observe(self, verdict: Verdict, window: Window) -> list[Told]:
        """Count one window's verdict; return what began or ended with it."""
        self._activity.push(window)
        end = from_ns(window.time_ns)
        told = self._signs.observe(verdict, end - self._length, end)
        timed: list[Told] = []
        for each in told:
            if isinstance(each, SignEvent):
                timed.append(self._timed(each, by_rest=len(told) == 1))
            else:
                self._began = self._onset(window.time_ns) if len(told) == 1 else None
                timed.append(self._begun(each))
        if self._signs.running is None and verdict.class_ == self._settings.healthy_class:
            self._activity.rest(window)
        return timed

    def gap(self) -> SignEvent | None:
        """End the running sign, if there is one: samples are missing, or time stamps are others, from here on."""
        event = self._signs.gap()
        sign = None if event is None else self._timed(event, by_rest=False)
        self._signs.forget()
        self._began = self._ended = None
        return sign

    def _onset(self, inside_ns: int) -> datetime | None:
        began = self._activity.began(inside_ns)
        found = None if began is None else from_ns(began)
        return None if found is None or (self._ended is not None and found <= self._ended) else found

    def _begun(self, sign: SignStart) -> SignStart:
        return replace(
            sign,
            confidence=round(sign.confidence, 4),
            start=sign.start if self._began is None else self._began,
            start_from="windows" if self._began is None else "signal",
            distance=None if sign.distance is None else round(sign.distance, 4),
        )

    def _timed(self, event: SignEvent, *, by_rest: bool) -> SignEvent:
        """Return the sign with the times at which the muscles began and ended, if the signal shows them."""
        start = event.start if self._began is None else self._began
        last_window = event.end - self._length
        ended = self._activity.ended(round(last_window.timestamp() * 1e9)) if by_rest else None
        end = event.end if ended is None or from_ns(ended) <= start else from_ns(ended)
        self._ended = end
        return replace(
            event,
            confidence=round(event.confidence, 4),
            start=start,
            start_from="windows" if self._began is None else "signal",
            end=end,
            end_from="windows" if ended is None or end == event.end else "signal",
            distance=None if event.distance is None else round(event.distance, 4),
        )


def _rounded(values: tuple[float, ...]) -> list[float | None]:
    """Return numbers as JSON has them, with null for what is none."""
    return [round(value, 4) if isfinite(value) else None for value in values]
