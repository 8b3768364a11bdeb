"""Plays recordings to the monitor of a node, and notes what it publishes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, Final

import numpy as np

from edgetune_node.cli.backtesting.signs import SignLog
from edgetune_node.clock import EPOCH, from_ns
from edgetune_node.contract import Fault, Topics, iso
from edgetune_node.events import Publisher
from edgetune_node.monitor import SEVERITIES, Asset, CaptureRecorder
from edgetune_signal import Chunk
from edgetune_signal.vibration import indicators

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from edgetune_nas.bundle import Bundle
    from edgetune_node.cli.backtesting.plays import Play, PlayedPiece
    from edgetune_node.config import AssetSection
    from edgetune_node.events import Publish
    from edgetune_node.monitor import Captured

POINT_S: Final = 1.0
"""Seconds of signal that a point of the page stands for, at least."""
ADJOINING: Final = 2.0
"""Samples by which two recordings may be apart and still be one stream."""


class PlayedClock:
    """The time in the recordings."""

    def __init__(self) -> None:
        self.origin: datetime = EPOCH
        self.now_s = 0.0

    def utc(self) -> datetime:
        """Return the time of day."""
        return self.origin + timedelta(seconds=self.now_s)

    def monotonic(self) -> float:
        """Return seconds since the first sample."""
        return self.now_s

    def synced(self) -> bool:
        """Return True: a recording's time is its own."""
        return True


@dataclass(slots=True)
class Event:
    """One fault, from raise to clear; ``raised_s`` and ``cleared_s`` count from the first sample of all.

    ``offset_s`` is where that sample lies in the page, on which recordings that are played apart follow one another.
    """

    event: str
    class_: str
    severity: str
    recording: str
    raised_s: float
    raised_ts: str | None
    cleared_s: float | None = None
    cleared_ts: str | None = None
    signal: Captured | None = None
    offset_s: float = 0.0
    end_s: float = 0.0
    """When it was heard last."""


@dataclass(slots=True)
class PlayedRecording:
    """What happened in a recording; ``raised_s`` is the first raise in it."""

    name: str
    label: str
    seconds: float
    start_s: float
    alarmed: bool = False
    raised_s: float | None = None
    raises: int = 0
    classes: list[str] = field(default_factory=list)
    span_s: float = 0.0
    """With the pauses between snapshots."""


@dataclass(frozen=True, slots=True)
class Point:
    """What the page shows of a second: the largest RMS and kurtosis of the channels, and the largest distance."""

    time_s: float
    rms: float
    kurtosis: float
    distance: float
    event: bool


class Backtest:
    """A monitor that is played to.

    Parameters
    ----------
    section
        The asset's configuration.
    bundle
        The model.
    each
        Whether it begins anew for each recording; else it goes on from one to the next, as a node does.
    """

    def __init__(self, section: AssetSection, bundle: Bundle, *, each: bool) -> None:
        self._section = section
        self._bundle = bundle
        self.each = each
        self.for_signs = section.task == "sign"
        self.classes = tuple(bundle.card.classes)
        self._numbers = count(1)
        self._known_time = False
        self.events: list[Event] = []
        self.recordings: list[PlayedRecording] = []
        self.points: list[Point] = []
        self.signs = SignLog(bundle.card.classes, section.healthy_class)
        self.signal_seconds = 0.0
        self._offset_s = self._end_s = 0.0
        self._begin()

    def run(self, plays: Iterable[Play]) -> None:
        """Play one file after the other."""
        first_ns: int | None = None
        for play in plays:
            self._known_time = play.time_ns > 0
            if self.each or first_ns is None:
                first_ns = play.time_ns
                self.finish()
                self._begin()
                self._clock.origin = from_ns(play.time_ns)
            start_s = max(self._end_s, (play.time_ns - first_ns) / 1e9)
            self._play(play, start_s)

    def _begin(self) -> None:
        """Begin with a monitor that has heard nothing."""
        self._offset_s += self._end_s
        self._clock = PlayedClock()
        self._publisher = Publisher(Topics("edgetune", "backtest"), "backtest", self._clock)
        self._asset = Asset(self._section, self._publisher, lambda: f"event-{next(self._numbers)}")
        self._captures = CaptureRecorder(self._section)
        self._asset.swap(self._bundle, None)
        self._sequence = 0
        self._end_s = 0.0
        self._active: Event | None = None

    def _play(self, play: Play, start_s: float) -> None:
        recording = PlayedRecording(play.name, play.label, play.seconds, self._offset_s + start_s, span_s=play.span_s)
        self.recordings.append(recording)
        self.signal_seconds += play.seconds
        rpm = play.shaft_rpm if play.shaft_rpm and self._section.machine.bearing is not None else None
        self._asset.context_arrived(json.dumps({"shaft_rpm": rpm}).encode())
        self.signs.start(play, start_s, goes_on=self._sequence > 0)
        apart = self._sequence > 0 and abs(start_s - self._end_s) * play.rate_hz > ADJOINING
        between = self._sequence > 0 and play.time_ns == 0
        point: list[PlayedPiece] = []
        for piece in play.pieces():
            at_s = start_s + piece.start_s
            gap = piece.gap or (piece.start_s == 0 and (apart or between or play.snapshots) and self._sequence > 0)
            self._listen(piece, at_s, play, recording, gap=gap)
            point.append(piece)
            if play.snapshots or sum(each.samples.shape[1] for each in point) >= POINT_S * play.rate_hz:
                self._point(point, start_s)
                point = []
        if point:
            self._point(point, start_s)
        self.signs.end()

    def _listen(self, piece: PlayedPiece, at_s: float, play: Play, recording: PlayedRecording, *, gap: bool) -> None:
        origin_ns = round(self._clock.origin.timestamp() * 1e9)
        time_ns = origin_ns + round(at_s * 1e9)
        chunk = Chunk(piece.samples, time_ns, play.rate_hz, self._sequence, gap=gap)
        self._sequence += 1
        self._clock.now_s = self._end_s = at_s + piece.samples.shape[1] / play.rate_hz
        published = [*self._asset.listen(chunk), *self._asset.tick()]
        self._captures.push(chunk)
        self._captures.faults(published, lambda: self._asset.recent.chunks, self._clock.now_s)
        self._captured()
        shown_s = at_s if play.snapshots else self._end_s
        for each in published:
            self._note(each, shown_s, recording)
        if self._active is not None:
            recording.alarmed = True
            self._active.end_s = self._offset_s + self._end_s
            if self._active.class_ not in recording.classes:
                recording.classes.append(self._active.class_)

    def _note(self, published: Publish, at_s: float, recording: PlayedRecording) -> None:
        message = published.message
        if not isinstance(message, Fault):
            self.signs.hear(message, self._clock.now_s, self._clock.origin)
            return
        now = iso(self._clock.utc()) if self._known_time else None
        active = self._active
        if active is not None and (not message.active or message.event != active.event):
            active.cleared_s, active.cleared_ts = at_s, now
            self._active = None
        if not message.active or message.event is None:
            return
        class_ = message.class_ or ""
        if self._active is None:
            self._active = Event(message.event, class_, message.severity, recording.name, at_s, now)
            self._active.offset_s = self._offset_s
            self.events.append(self._active)
            recording.raises += 1
            recording.raised_s = at_s if recording.raised_s is None else recording.raised_s
        self._active.class_ = class_
        self._active.severity = max(self._active.severity, message.severity, key=_level)

    def _captured(self) -> None:
        for captured in self._captures.take():
            for event in self.events:
                if event.event == captured.wanted.event and event.signal is None:
                    event.signal = captured

    def finish(self) -> None:
        """Keep what there is of the signal of an event that has just been raised."""
        self._captures.end()
        self._captured()

    def _point(self, pieces: list[PlayedPiece], start_s: float) -> None:
        samples = np.concatenate([piece.samples for piece in pieces], axis=1)
        found = indicators(samples, self._section.unit, self._section.rate_hz)
        distances = self._asset.trend.take_distances()
        self.points.append(
            Point(
                self._offset_s + start_s + pieces[0].start_s,
                float(np.nanmax(found.rms)),
                float(np.max(np.nan_to_num(found.kurtosis))),
                max(distances, default=float("nan")),
                self._active is not None,
            )
        )


def _level(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else -1
