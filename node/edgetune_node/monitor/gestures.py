"""Turns the verdicts of single windows into signs: one event for each gesture, from rest to rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Final, TypeAlias

from edgetune_node.contract import UNKNOWN
from edgetune_node.monitor.sign_evidence import END, Rivals, SignEvidence, Votes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from edgetune_node.config import SignSection
    from edgetune_node.contract import TimeOrigin
    from edgetune_node.monitor.inference import Verdict

MOST_DISTANCES: Final = 1024
"""Windows of a sign whose distances are remembered, however long it is held."""
MOST_PENDING: Final = 1024
"""Windows that are remembered while it is not decided which sign they belong to."""
REST_LIMIT: Final = 2.0
"""Muscles at rest are not always alike: they are unlike rest where they are so many times as far as a sign may be."""


def is_far(distance: float | None, *, resting: bool) -> bool:
    """Whether a window is unlike the sign, or the rest, that it is called; it is not where nobody knows."""
    return distance is not None and distance > (REST_LIMIT if resting else 1.0)


@dataclass(frozen=True, slots=True)
class SignStart:
    """A sign that has begun.

    Attributes
    ----------
    event
        Its identifier, also that of the `SignEvent` that follows.
    class_
        Which sign it is by now; ``unknown`` where it is unlike that sign. The end may correct it.
    confidence
        Mean over the windows that said so; 0 of an unknown one.
    start, start_from
        As in `SignEvent`.
    distance
        Median distance of these windows; None where none was given.
    """

    event: str
    class_: str
    confidence: float
    start: datetime
    distance: float | None = None
    start_from: TimeOrigin = "windows"


@dataclass(frozen=True, slots=True)
class SignEvent:
    """One recognised sign, when it has ended.

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


Told: TypeAlias = SignStart | SignEvent


@dataclass(frozen=True, slots=True)
class _Heard:
    """A window: ``says`` is the sign that it names, `UNKNOWN` if it is strange, empty if it names none."""

    says: str
    verdict: Verdict
    start: datetime
    end: datetime

    @property
    def middle(self) -> datetime:
        return self.start + (self.end - self.start) / 2


@dataclass(slots=True)
class _Tally:
    """Windows of one class, the sum of their confidence, the first distances."""

    windows: int = 0
    confidence: float = 0.0
    distances: list[float] = field(default_factory=list)

    @property
    def distance(self) -> float | None:
        """Median of the distances: where a gesture begins and ends, windows are like nothing."""
        return median(self.distances) if self.distances else None

    @property
    def unknown(self) -> bool:
        """Whether the windows are unlike the sign that they name."""
        return self.distance is not None and self.distance > 1


@dataclass(slots=True)
class _Run:
    """A sign that has begun.

    Attributes
    ----------
    class_
        What it is taken for now.
    pending
        Windows that are its own, or those of another sign into which it passes.
    resting, rest_windows, quiet
        Evidence of rest, windows since that began to grow, and windows since the last that named a sign.
    """

    event: str
    class_: str
    start: datetime
    end: datetime
    tally: dict[str, _Tally] = field(default_factory=dict)
    behind: dict[str, float] = field(default_factory=dict)
    pending: list[_Heard] = field(default_factory=list)
    resting: float = 0.0
    rest_windows: int = 0
    quiet: int = 0

    def windows(self, name: str) -> int:
        """Return the number of counted windows that named a sign."""
        return self.tally[name].windows if name in self.tally else 0


def _mostly_far(windows: Iterable[_Heard], name: str) -> bool:
    """Whether windows are unlike the sign that they name."""
    distances = [one.verdict.distance for one in windows if one.says == name and one.verdict.distance is not None]
    return name == UNKNOWN or (bool(distances) and median(distances) > 1)


class SignDetector:
    """Watches one person's verdicts.

    A sign begins when the evidence for it reaches ``start_evidence`` over at least ``min_windows`` windows, once rest
    was heard (see `SignEvidence`). It ends by evidence of rest over ``min_windows``, by ``change_windows`` of rest or
    doubt (class ``unknown``, or confidence under ``min_confidence``), by a gap in the samples, or where it has lasted
    ``change_windows`` and then another sign does, since people pass from sign to sign without rest. It is the class
    that was most probable over all of its windows, so that a start that proved wrong is corrected. Doubtful windows
    never count for a sign.

    Where distances are given, a sign is unknown if the median distance of its windows is over the limit. Doubtful
    windows over the limit are strange, and so is what is called rest and is over `REST_LIMIT`: they are evidence for an
    unknown sign.

    Parameters
    ----------
    settings
        The asset's ``[asset.sign]``.
    rest_class
        The class that is no sign.
    new_event_id
        Returns an identifier that was never used before.
    hop_s
        Seconds from one window to the next.
    """

    def __init__(self, settings: SignSection, rest_class: str, new_event_id: Callable[[], str], hop_s: float) -> None:
        self._settings = settings
        self._rest = rest_class
        self._new_event_id = new_event_id
        self._votes = Votes(rest_class, hop_s)
        self._evidence = SignEvidence(self._votes)
        self._rivals = Rivals(self._votes)
        self._before: list[_Heard] = []
        self._run: _Run | None = None
        self._told: datetime | None = None

    @property
    def running(self) -> str | None:
        """Class of the running sign as it is taken for now; None while there is none."""
        return None if self._run is None else self._run.class_

    @property
    def unheard(self) -> int:
        """Number of windows for which no sign could begin, since rest has not been heard; 0 once it has."""
        return self._evidence.unheard

    def observe(self, verdict: Verdict, start: datetime, end: datetime) -> list[Told]:
        """Count one window's verdict; return what began or ended with it.

        Parameters
        ----------
        verdict
            What the network says, with the probabilities of all classes and the distance over the limit.
        start, end
            Time of the window's first and last sample, UTC.
        """
        if not self._evidence.armed(verdict.shares):
            return []
        doubt = verdict.class_ == UNKNOWN or not verdict.confidence >= self._settings.min_confidence
        resting = verdict.class_ == self._rest
        strange = (doubt or resting) and is_far(verdict.distance, resting=resting)
        says = UNKNOWN if strange else "" if doubt or resting else verdict.class_
        heard = _Heard(says, verdict, start, end)
        if self._run is None:
            return self._may_begin(heard, doubtful=doubt)
        self._count_rest(self._run, heard)
        return self._may_change(self._run, heard) or self._may_end(self._run)

    def gap(self) -> SignEvent | None:
        """End the running sign, if there is one: the samples break off here."""
        run, self._run = self._run, None
        self._clear()
        return None if run is None else self._event(run, run.pending)

    def forget(self) -> None:
        """Let the next sign begin whenever it does: its time stamps do not compare with those before."""
        self._told = None

    # ---- between signs -------------------------------------------------------------------------------------------

    def _may_begin(self, heard: _Heard, *, doubtful: bool) -> list[Told]:
        evidence, verdict = self._evidence, heard.verdict
        far = is_far(verdict.distance, resting=verdict.class_ == self._rest)
        strange = True if heard.says == UNKNOWN else None if doubtful or far else False
        evidence.add(verdict.shares, doubtful=doubtful, strange=UNKNOWN, is_strange=strange)
        self._before.append(heard)
        del self._before[: len(self._before) - min(evidence.longest, MOST_PENDING)]
        for name in evidence.ready(self._settings.start_evidence, UNKNOWN):
            mine = self._before[-evidence.windows(name) :]
            if sum(one.says == name for one in mine) >= self._settings.min_windows:
                return [self._begin(name, mine, None)]
        return []

    def _begin(self, name: str, mine: list[_Heard], start: datetime | None) -> SignStart:
        first = next(one.start for one in mine if one.says) if start is None else start
        if start is None and self._told is not None:
            first = max(first, self._told)
        self._clear()
        last = next(one.end for one in reversed(mine) if one.says)
        run = self._run = _Run(self._new_event_id(), name, first, last)
        self._count(run, mine)
        tally = run.tally[name]
        known = name != UNKNOWN and not tally.unknown
        confidence = tally.confidence / tally.windows if known else 0.0
        return SignStart(run.event, name if known else UNKNOWN, confidence, first, tally.distance)

    def _clear(self) -> None:
        self._evidence.clear()
        self._rivals.clear()
        self._before.clear()

    # ---- inside a sign -------------------------------------------------------------------------------------------

    def _count_rest(self, run: _Run, heard: _Heard) -> None:
        run.pending.append(heard)
        vote = -self._votes.full if heard.says == UNKNOWN else self._votes.of_rest(heard.verdict.shares)
        if heard.says:
            run.end = heard.end
        run.quiet = 0 if heard.says or vote < 0 else run.quiet + 1
        run.resting = max(0.0, run.resting + vote)
        run.rest_windows = run.rest_windows + 1 if run.resting > 0 else 0

    def _may_change(self, run: _Run, heard: _Heard) -> list[Told]:
        """Let the sign pass into another, or be another one than was thought, where the evidence for that suffices."""
        lasting = self._settings.lasting_windows
        far = is_far(heard.verdict.distance, resting=False)
        self._rivals.add(heard.verdict.shares, heard.says, run.class_, strange=UNKNOWN, far=far)
        for name in self._rivals.over(self._settings.start_evidence):
            since = self._rivals.windows(name)
            theirs = run.pending[-since:]
            if sum(one.says == name for one in theirs) < lasting:
                continue
            before = run.pending[:-since]
            self._count(run, before)
            before_unknown = run.class_ == UNKNOWN or (run.class_ in run.tally and run.tally[run.class_].unknown)
            if run.windows(run.class_) < lasting or (before_unknown and _mostly_far(theirs, name)):
                self._count(run, theirs)
                run.class_, run.pending = name, []
                self._rivals.clear()
                return []
            begin = next(one.middle for one in theirs if one.says)
            run.end = begin
            ended = self._event(run, [])
            return [*([ended] if ended else []), self._begin(name, theirs, begin)]
        keep = min(self._rivals.longest, MOST_PENDING)
        settled = len(run.pending) - keep
        if settled > 0:
            self._count(run, run.pending[:settled])
            del run.pending[:settled]
        return []

    def _may_end(self, run: _Run) -> list[Told]:
        least = self._settings.min_windows
        by_rest = run.resting >= END and run.rest_windows >= least
        if not by_rest and run.quiet < self._settings.lasting_windows:
            return []
        ended = self.gap()
        return [ended] if ended else []

    def _count(self, run: _Run, windows: Iterable[_Heard]) -> None:
        for one in windows:
            if not one.says:
                continue
            verdict = one.verdict
            tally = run.tally.setdefault(one.says, _Tally())
            tally.windows += 1
            tally.confidence += verdict.confidence
            if verdict.distance is not None and len(tally.distances) < MOST_DISTANCES:
                tally.distances.append(verdict.distance)
            if one.says != UNKNOWN:
                for name, votes in self._votes.behind(verdict.shares).items():
                    run.behind[name] = run.behind.get(name, 0.0) + votes

    def _event(self, run: _Run, rest: Iterable[_Heard]) -> SignEvent | None:
        self._count(run, rest)
        enough = [name for name, one in run.tally.items() if one.windows >= self._settings.min_windows]
        if not enough:
            return None
        self._told = run.end
        class_ = max(enough, key=lambda name: (name != UNKNOWN, run.behind.get(name, 0.0), run.tally[name].confidence))
        tally = run.tally[class_]
        known = class_ != UNKNOWN and not tally.unknown
        of = sum(one.windows for name, one in run.tally.items() if name != UNKNOWN or not known)
        return SignEvent(
            event=run.event,
            class_=class_ if known else UNKNOWN,
            confidence=tally.confidence / tally.windows if known else 0.0,
            start=run.start,
            end=run.end,
            windows=tally.windows,
            of=of,
            distance=tally.distance,
        )
