"""The signs that were recognised, held against what the person was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgetune_node.contract import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable
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
    offset_s: float = 0.0
    """Where its recording begins in the stream."""

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


@dataclass(frozen=True, slots=True)
class Judged:
    """A sign and what was asked for, with ``outcome`` right, wrong, missed, unknown or false; empty if not judged."""

    recording: str
    asked: str
    at_s: float
    sign: PlayedSign | None
    outcome: str
    earlier_s: float = 0.0
    """By how much the sign's own recording begins earlier, where it goes on from one into the next."""


class SignLog:
    """Notes signs as they are published, and counts them once a recording ends.

    A recording without a cue is held against its label, if that is one of ``classes``; ``rest_class`` is no sign.
    """

    def __init__(self, classes: Iterable[str] = (), rest_class: str = "rest") -> None:
        self._classes, self._rest_class = frozenset(classes), rest_class
        self.signs: list[PlayedSign] = []
        self.judged: list[Judged] = []
        self.unheld: list[str] = []
        self.counted = False
        self.counts = {"right": 0, "wrong": 0, "missed": 0, "unknown": 0}
        self.false = 0
        self.rest_s = 0.0
        self._play: Play | None = None
        self._start_s = 0.0
        self._first = 0
        self._running: list[PlayedSign] = []

    def start(self, play: Play, start_s: float, *, goes_on: bool = False) -> None:
        """Begin with a recording; ``goes_on`` if it follows another one in the same stream."""
        self._running = [sign for sign in self.signs if sign.end_s is None] if goes_on else []
        self._play, self._start_s, self._first = play, start_s, len(self.signs)

    def hear(self, message: Message, now_s: float, origin: datetime) -> None:
        """Count a message, if it is about a sign.

        ``now_s`` is when it was published, in seconds after ``origin``, the time of the first sample of all.
        """
        if message.topic not in {"sign", "sign_start"} or self._play is None:
            return
        event, class_ = str(getattr(message, "event", "")), str(getattr(message, "class_", ""))
        known = next((sign for sign in (*self._running, *self.signs[self._first :]) if sign.event == event), None)
        offset_s = self._start_s if known is None else known.offset_s
        start_s = _seconds(message, "start", now_s, origin, offset_s)
        if known is None:
            decided_s = round(now_s - offset_s, 4)
            known = PlayedSign(event, class_, start_s, None, decided_s, self._play.name, offset_s=offset_s)
            self.signs.append(known)
        if message.topic == "sign":
            known.start_s = start_s
            known.end_s = _seconds(message, "end", now_s, origin, offset_s)
            known.end_class = class_

    def end(self) -> None:
        """Hold the signs of the recording against its cue, else against its label."""
        if self._play is None:
            return
        name, own = self._play.name, self.signs[self._first :]
        spans = self._asked(self._play)
        if spans is None:
            self.judged += [Judged(name, self._play.label, sign.start_s, sign, "") for sign in own]
            self.unheld.append(name)
            return
        self.counted = True
        found: list[Judged] = []
        taken: set[str] = set()
        for class_, start_s, end_s in spans:
            inside = [sign for sign in (*self._running, *own) if self._overlap(sign, start_s, end_s)]
            taken |= {sign.event for sign in inside}
            first = next((sign for sign in inside if sign.class_ != UNKNOWN), inside[0] if inside else None)
            outcome = _outcome(class_, first)
            self.counts[outcome] += 1
            found.append(Judged(name, class_, start_s, first, outcome, self._earlier_s(first)))
            found += [
                Judged(name, class_, each.start_s, each, "", self._earlier_s(each))
                for each in inside
                if each is not first
            ]
        wrong = [sign for sign in own if sign.event not in taken]
        self.false += len(wrong)
        found += [Judged(name, self._rest_class, sign.start_s, sign, "false") for sign in wrong]
        self.judged += sorted(found, key=lambda each: each.at_s)

    def _asked(self, play: Play) -> list[tuple[str, float, float]] | None:
        """Return what was asked for, and count the rest; None where nobody says."""
        cue = play.cue()
        if cue is not None:
            self.rest_s += float((cue.values == 0).sum()) / play.rate_hz
            return cue_spans(cue, play.rate_hz)
        if play.label not in self._classes:
            return None
        if play.label == self._rest_class:
            self.rest_s += play.seconds
            return []
        return [(play.label, 0.0, play.seconds)]

    def _earlier_s(self, sign: PlayedSign | None) -> float:
        return 0.0 if sign is None else self._start_s - sign.offset_s

    def _overlap(self, sign: PlayedSign, start_s: float, end_s: float) -> bool:
        earlier_s = self._earlier_s(sign)
        ended_s = np.inf if sign.end_s is None else sign.end_s - earlier_s
        return sign.start_s - earlier_s < end_s and ended_s > start_s

    @property
    def false_per_minute_of_rest(self) -> float | None:
        """Signs outside every cue, a minute of rest; None without rest."""
        return round(60 * self.false / self.rest_s, 4) if self.rest_s else None


def cue_spans(cue: Cue, rate_hz: float) -> list[tuple[str, float, float]]:
    """Return class, start and end of every stretch in which a class was asked for, in seconds."""
    edges = np.flatnonzero(np.diff(cue.values)) + 1
    starts, ends = [0, *edges.tolist()], [*edges.tolist(), len(cue.values)]
    return [
        (cue.classes[int(cue.values[start]) - 1], start / rate_hz, end / rate_hz)
        for start, end in zip(starts, ends, strict=True)
        if cue.values[start] > 0
    ]


def _seconds(message: Message, name: str, now_s: float, origin: datetime, offset_s: float) -> float:
    """Seconds of a time in a message after the first sample of its recording, which is at ``offset_s``."""
    time = getattr(message, name, None)
    at_s = now_s if time is None else (time - origin).total_seconds()
    return round(at_s - offset_s, 4)


def _outcome(class_: str, first: PlayedSign | None) -> str:
    """Name what became of a cue: its first sign that is known decides."""
    if first is None:
        return "missed"
    if first.class_ == UNKNOWN:
        return "unknown"
    return "right" if first.class_ == class_ else "wrong"
