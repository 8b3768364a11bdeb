"""The signs that were recognised, held against what the person was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgetune_node.contract import UNKNOWN

if TYPE_CHECKING:
    from datetime import datetime

    from edgetune_node.cli.backtesting.plays import Cue, Play
    from edgetune_node.contract import Message


@dataclass(slots=True)
class PlayedSign:
    """One sign; seconds count from the first sample of its recording."""

    event: str
    class_: str
    start_s: float
    end_s: float | None
    decided_s: float
    recording: str
    end_class: str | None = None

    def fields(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "event": self.event,
            "class": self.class_,
            "start_s": self.start_s,
            "end_s": self.end_s,
            "decided_s": self.decided_s,
            "recording": self.recording,
            "end_class": self.end_class,
        }


class SignLog:
    """Notes signs as they are published, and counts them once a recording ends."""

    def __init__(self) -> None:
        self.signs: list[PlayedSign] = []
        self.cued = False
        self.counts = {"right": 0, "wrong": 0, "missed": 0, "unknown": 0}
        self.false = 0
        self.rest_s = 0.0
        self._play: Play | None = None
        self._start_s = 0.0
        self._first = 0

    def start(self, play: Play, start_s: float) -> None:
        """Begin with a recording."""
        self._play, self._start_s, self._first = play, start_s, len(self.signs)

    def hear(self, message: Message, now_s: float, origin: datetime) -> None:
        """Count a message, if it is about a sign.

        ``now_s`` is when it was published, in seconds after ``origin``, the time of the first sample of all.
        """
        if message.topic not in {"sign", "sign_start"} or self._play is None:
            return
        event, class_ = str(getattr(message, "event", "")), str(getattr(message, "class_", ""))
        known = next((sign for sign in self.signs[self._first :] if sign.event == event), None)
        start_s = self._seconds(message, "start", now_s, origin)
        if known is None:
            known = PlayedSign(event, class_, start_s, None, round(now_s - self._start_s, 4), self._play.name)
            self.signs.append(known)
        if message.topic == "sign":
            known.start_s = start_s
            known.end_s = self._seconds(message, "end", now_s, origin)
            known.end_class = class_

    def end(self) -> None:
        """Hold the signs of the recording against its cue, where it has one."""
        cue = None if self._play is None else self._play.cue()
        if cue is None or self._play is None:
            return
        self.cued = True
        signs = self.signs[self._first :]
        spans = cue_spans(cue, self._play.rate_hz)
        self.rest_s += float((cue.values == 0).sum()) / self._play.rate_hz
        taken: set[str] = set()
        for class_, start_s, end_s in spans:
            inside = [sign for sign in signs if sign.start_s < end_s and (sign.end_s or np.inf) > start_s]
            taken |= {sign.event for sign in inside}
            self.counts[_outcome(class_, inside)] += 1
        self.false += sum(sign.event not in taken for sign in signs)

    @property
    def false_per_minute_of_rest(self) -> float | None:
        """Signs outside every cue, a minute of rest; None without rest."""
        return round(60 * self.false / self.rest_s, 4) if self.rest_s else None

    def _seconds(self, message: Message, name: str, now_s: float, origin: datetime) -> float:
        """Seconds of a time in a message after the first sample of the recording."""
        time = getattr(message, name, None)
        at_s = now_s if time is None else (time - origin).total_seconds()
        return round(at_s - self._start_s, 4)


def cue_spans(cue: Cue, rate_hz: float) -> list[tuple[str, float, float]]:
    """Return class, start and end of every stretch in which a class was asked for, in seconds."""
    edges = np.flatnonzero(np.diff(cue.values)) + 1
    starts, ends = [0, *edges.tolist()], [*edges.tolist(), len(cue.values)]
    return [
        (cue.classes[int(cue.values[start]) - 1], start / rate_hz, end / rate_hz)
        for start, end in zip(starts, ends, strict=True)
        if cue.values[start] > 0
    ]


def _outcome(class_: str, inside: list[PlayedSign]) -> str:
    """Name what became of a cue: its first sign that is known decides."""
    if not inside:
        return "missed"
    known = [sign for sign in inside if sign.class_ != UNKNOWN]
    if not known:
        return "unknown"
    return "right" if known[0].class_ == class_ else "wrong"
