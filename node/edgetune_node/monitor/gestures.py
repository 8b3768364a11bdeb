"""Turns the verdicts of single windows into signs: one event for each gesture, from rest to rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Final

from edgetune_node.contract import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from edgetune_node.config import SignSection
    from edgetune_node.contract import TimeOrigin

MOST_DISTANCES: Final = 1024
"""So many windows of a sign tell how far it is, however long it is held."""
REST_LIMIT: Final = 2.0
"""Muscles at rest are not always alike: they are unlike rest where they are so many times as far as a sign may be."""


def is_far(distance: float | None, *, resting: bool) -> bool:
    """Whether a window is unlike the sign, or the rest, that it is called; it is not where nobody knows."""
    return distance is not None and distance > (REST_LIMIT if resting else 1.0)


@dataclass(frozen=True, slots=True)
class SignEvent:
    """One recognised sign.

    Attributes
    ----------
    event
        Its identifier.
    class_
        Which sign; ``unknown`` where it is unlike the sign that the network takes it for.
    confidence
        Mean over the windows that said so; 0 of an unknown one.
    start, end
        Time of the first sample of its first window (never before the end of the sign before) and of the last sample of
        its last one; where it passes into another sign without rest, the middle of the first window that said so.
    windows, of
        How many windows said so, of how many that said some sign; of an unknown one how many are what is unknown.
    distance
        Median distance of these windows to the sign over its limit: more than 1 is unknown; None where none was given.
    start_from, end_from
        Whether ``start`` and ``end`` are edges of windows, or when the signal shows that muscles began and ended.
    """

    event: str
    class_: str
    confidence: float
    start: datetime
    end: datetime
    windows: int
    of: int
    distance: float | None = None
    start_from: TimeOrigin = "windows"
    end_from: TimeOrigin = "windows"


@dataclass(slots=True)
class _Tally:
    """What windows of one class said: how many, in a row at the most, the sum of confidence, the first distances."""

    windows: int = 0
    row: int = 0
    confidence: float = 0.0
    distances: list[float] = field(default_factory=list)

    def add(self, other: _Tally) -> None:
        self.windows += other.windows
        self.row = max(self.row, other.row)
        self.confidence += other.confidence
        self.distances += other.distances[: MOST_DISTANCES - len(self.distances)]

    @property
    def middle_distance(self) -> float | None:
        """Their median: where a gesture begins and ends, windows are like nothing."""
        return median(self.distances) if self.distances else None


@dataclass(slots=True)
class _Row:
    """Windows of one class in a row, uncertain ones left out; ``begin`` is the middle of the first."""

    class_: str
    begin: datetime
    tally: _Tally = field(default_factory=_Tally)

    def add(self, confidence: float, distance: float | None) -> None:
        """Count a window."""
        row = self.tally.row + 1
        self.tally.add(_Tally(1, row, confidence, [] if distance is None else [distance]))


@dataclass(slots=True)
class _Run:
    """What happens between two rests.

    Attributes
    ----------
    lasting
        The class of which enough windows came in a row that another would be a new sign.
    rest, doubt
        Windows of rest and uncertain ones since the last that said a sign.
    tally
        What was said before the running rows.
    row, strange
        The windows of one sign in a row that are running, and the strange ones; None after rest.
    """

    start: datetime
    end: datetime
    lasting: str = ""
    rest: int = 0
    doubt: int = 0
    tally: dict[str, _Tally] = field(default_factory=dict)
    row: _Row | None = None
    strange: _Row | None = None

    def close_row(self) -> None:
        """Count the running row."""
        row, self.row = self.row, None
        self._count(row)

    def close_strange(self) -> None:
        """Count the running strange row."""
        row, self.strange = self.strange, None
        self._count(row)

    def _count(self, row: _Row | None) -> None:
        if row is not None:
            self.tally.setdefault(row.class_, _Tally()).add(row.tally)


class SignDetector:
    """Watches one person's verdicts.

    From one rest to the next there is one sign: the class whose windows were surest, if ``min_windows`` in a row said
    so. It is told when it ends: by ``min_windows`` windows of rest, by ``change_windows`` of rest or doubt (class
    ``unknown``, or confidence under ``min_confidence``), by a gap in the samples, or where one class has lasted
    ``change_windows`` in a row and then another does, since people pass from sign to sign without rest. Fewer windows
    of another class are taken for errors of the network. Doubtful windows never count for a sign.

    Where distances are given, a sign is unknown if the median distance of its windows is over the limit. Doubtful
    windows over the limit are strange, and so is what is called rest and is over `REST_LIMIT`: ``min_windows`` in a row
    make an unknown sign where no other one is, and between signs they count as a class of their own.

    Parameters
    ----------
    settings
        The asset's ``[asset.sign]``.
    rest_class
        The class that is no sign.
    new_event_id
        Gives an identifier that was never given before.
    """

    def __init__(self, settings: SignSection, rest_class: str, new_event_id: Callable[[], str]) -> None:
        self._settings = settings
        self._rest = rest_class
        self._new_event_id = new_event_id
        self._run: _Run | None = None
        self._told: datetime | None = None

    @property
    def since(self) -> datetime | None:
        """Start of the first window of the running sign; None while there is none."""
        return None if self._run is None else self._run.start

    def observe(
        self, class_: str, confidence: float, start: datetime, end: datetime, distance: float | None = None
    ) -> SignEvent | None:
        """Count one window's verdict.

        Parameters
        ----------
        class_
            Its class, or ``unknown``.
        confidence
            From 0 to 1.
        start, end
            Time of the window's first and last sample, UTC.
        distance
            Its distance to that class over the limit; None where it is not known.

        Returns
        -------
        SignEvent or None
            The sign that this window ended.
        """
        doubt = class_ == UNKNOWN or not confidence >= self._settings.min_confidence
        resting = class_ == self._rest
        strange = (doubt or resting) and is_far(distance, resting=resting)
        if (doubt or resting) and not strange:
            return self._quiet(rest=not doubt)
        run = self._run
        if run is None:
            run = self._run = _Run(start if self._told is None else max(start, self._told), end)
        run.rest = run.doubt = 0
        middle = start + (end - start) / 2
        if strange:
            row = run.strange = run.strange or _Row(UNKNOWN, middle)
        else:
            run.close_strange()
            if run.row is None or run.row.class_ != class_:
                run.close_row()
                run.row = _Row(class_, middle)
            row = run.row
        row.add(confidence, distance)
        ended = None
        if row.tally.windows >= self._settings.lasting_windows and row.class_ != run.lasting:
            if run.lasting:
                run.end = row.begin
                if strange:
                    run.close_row()
                ended = self._event(run)
                run = self._run = _Run(row.begin, end, row=run.row, strange=run.strange)
            run.lasting = row.class_
        run.end = end
        return ended

    def gap(self) -> SignEvent | None:
        """End the running sign, if there is one: the samples break off here."""
        run, self._run = self._run, None
        if run is None:
            return None
        run.close_row()
        run.close_strange()
        return self._event(run)

    def forget(self) -> None:
        """Let the next sign begin whenever it does: its time stamps do not compare with those before."""
        self._told = None

    def _quiet(self, *, rest: bool) -> SignEvent | None:
        run = self._run
        if run is None:
            return None
        run.close_strange()
        if rest:
            run.close_row()
            run.rest += 1
        else:
            run.doubt += 1
        over = run.rest >= self._settings.min_windows or run.rest + run.doubt >= self._settings.lasting_windows
        return self.gap() if over else None

    def _event(self, run: _Run) -> SignEvent | None:
        long_enough = {name: one for name, one in run.tally.items() if one.row >= self._settings.min_windows}
        if not long_enough:
            return None
        self._told = run.end
        class_ = max(long_enough, key=lambda name: (name != UNKNOWN, long_enough[name].confidence))
        tally = long_enough[class_]
        distance = tally.middle_distance
        known = class_ != UNKNOWN and (distance is None or distance <= 1)
        of = sum(one.windows for name, one in run.tally.items() if name != UNKNOWN or not known)
        return SignEvent(
            event=self._new_event_id(),
            class_=class_ if known else UNKNOWN,
            confidence=tally.confidence / tally.windows if known else 0.0,
            start=run.start,
            end=run.end,
            windows=tally.windows,
            of=of,
            distance=distance,
        )
