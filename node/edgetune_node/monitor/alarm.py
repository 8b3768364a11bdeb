"""Turns the verdicts of single windows into one debounced fault: N-of-M votes with hysteresis."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from edgetune_node.contract import NOVEL, UNKNOWN
from edgetune_node.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from edgetune_node.config import AlarmSection
    from edgetune_node.contract import Fault

MOST_SHELVED = 16
LONGEST_SHELVED_S = 604_800.0
"""Seconds that a class may be shelved at most: a week."""
SET_S = 2.0
"""A clock that is off by more was set, not slewed."""
LASTING = 10
"""A vote counts towards a new fault for so many times ``window`` windows, those without a vote included: rare errors of
a network that is sure of little else must not add up to a fault over hours."""


@dataclass(frozen=True, slots=True)
class ShelvedClass:
    """A class whose faults nobody wants to be alarmed by for a time: until when, who said so, why, and for how long.

    ``until`` is by the clock as it is now: where that is set, it is moved. ``seconds`` is None where it was not told.
    """

    class_: str
    until: datetime
    by: str
    comment: str = ""
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class AlarmState:
    """A machine's debounced condition, as topic ``fault`` says it.

    Attributes
    ----------
    active
        Whether there is a fault, present or latched.
    event
        Names one occurrence from raise to clear; while not ``active`` the last one, None if there was none.
    class_
        The fault's class; the healthy class while not ``active``.
    severity
        ``warning`` or ``alarm``; ``none`` while not ``active``.
    first_seen, last_seen
        Of the occurrence: time of its oldest vote when it was raised, and of the last fault vote while it was active.
        Where the clock is set back behind them they go with it: `last_seen` is never before `first_seen`.
    cleared
        When it ended; None while ``active``.
    votes, of
        Fault votes (of any class) among the last votes, at most ``window`` of them.
    confidence
        Mean confidence of the last votes for the event's class, for the healthy class while not ``active``.
    latched
        The fault is no longer present and stays active only until somebody acknowledges it.
    acknowledged, acknowledged_by, acknowledged_at, comment
        Who has seen this occurrence, when, and what they said.
    shelves
        Classes that are shelved, the one that was shelved last at the end.
    """

    active: bool
    event: str | None
    class_: str
    severity: Literal["none", "warning", "alarm"]
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    cleared: datetime | None = None
    votes: int = 0
    of: int = 0
    confidence: float | None = None
    latched: bool = False
    acknowledged: bool = False
    acknowledged_by: str | None = None
    acknowledged_at: datetime | None = None
    comment: str | None = None
    shelves: tuple[ShelvedClass, ...] = ()

    @property
    def shelved(self) -> bool:
        """Whether a fault is active and its class is shelved."""
        return self.active and any(shelf.class_ == self.class_ for shelf in self.shelves)

    @classmethod
    def from_message(cls, message: Fault) -> AlarmState:
        """Return the state in a published message."""
        values = {item.name: getattr(message, item.name) for item in fields(cls)}
        return cls(**{**values, "shelves": tuple(ShelvedClass(**dict(shelf)) for shelf in message.shelves)})


@dataclass(frozen=True, slots=True)
class _Vote:
    fault: str | None
    """Class of the fault; None for a healthy vote."""
    confidence: float
    time: datetime | None
    window: int = 0
    """How many windows there were before it."""


class Alarm:
    """Watches one machine's verdicts.

    A window whose class is ``unknown``, or whose confidence is under ``min_confidence``, is no vote: it neither raises
    nor clears. Every other window is a vote, for a fault or for health; classes whose configured severity is ``none``
    count as healthy. Of the last ``window`` votes

    - ``votes`` or more for faults, all of the last `LASTING` times ``window`` windows, raise the most frequent fault
      class (of equals, the one seen last);
    - fewer than ``clear_votes`` for faults end it, or latch it where ``latch`` is set and nobody has acknowledged it;
    - ``votes`` or more for one other class, while the active one holds fewer, end the event and start a new one, even
      where the old one was latched: one topic holds one event, and the machine stays in fault.

    When a latched fault comes back with the same class, it is the same event again.

    Parameters
    ----------
    settings
        The asset's ``[asset.alarm]``.
    healthy_class
        The class that is no fault.
    new_event_id
        Gives an identifier that was never given before.
    restored
        Last state before the node stopped. A present fault goes on with the votes it had, so the first healthy window
        after a restart does not end it.
    """

    def __init__(
        self,
        settings: AlarmSection,
        healthy_class: str,
        new_event_id: Callable[[], str],
        restored: AlarmState | None = None,
    ) -> None:
        self._settings = settings
        self._healthy = healthy_class
        self._new_event_id = new_event_id
        self._windows = 0
        self._votes: deque[_Vote] = deque(maxlen=settings.window)
        self._ends_s: dict[str, float] = {}
        self._state = restored or AlarmState(active=False, event=None, class_=healthy_class, severity="none")
        if restored is not None and restored.active and not restored.latched:
            confidence = restored.confidence or 0.0
            self._votes.extend([_Vote(None, confidence, None)] * (restored.of - restored.votes))
            self._votes.extend([_Vote(restored.class_, confidence, restored.last_seen)] * restored.votes)

    @property
    def state(self) -> AlarmState:
        """The condition as it stands, with the newest vote counted."""
        return self._state

    def observe(self, class_: str, confidence: float, time: datetime) -> list[AlarmState]:
        """Count one window's verdict.

        Parameters
        ----------
        class_
            Its class, or ``unknown``.
        confidence
            From 0 to 1.
        time
            Of the window's last sample, UTC.

        Returns
        -------
        list of AlarmState
            States to publish now, in order: none mostly; a raise, a latch or a clear; for a change of class the end of
            the old event and the start of the new one.
        """
        self._windows += 1
        if class_ == UNKNOWN or not confidence >= self._settings.min_confidence:
            return []
        fault = None if self._is_healthy(class_) else class_
        self._set_back(time)
        oldest = self._windows - LASTING * self._settings.window
        while not self._state.active and self._votes and self._votes[0].window < oldest:
            self._votes.popleft()
        self._votes.append(_Vote(fault, confidence, time, self._windows))
        self._state = self._counted(self._state)
        if self._state.active and fault is not None:
            self._state = replace(self._state, last_seen=time)
        changes = self._decide(time)
        if changes:
            self._state = changes[-1]
        return changes

    def acknowledge(self, event: str | None, by: str, comment: str, time: datetime) -> AlarmState:
        """Note that a person has seen the fault; a latched one ends with that.

        Parameters
        ----------
        event
            The event that is meant, or None for whichever is active.
        by, comment
            Who, and what they say about it.
        time
            When, UTC.

        Returns
        -------
        AlarmState
            The state to publish.

        Raises
        ------
        ValueError
            No fault is active, another one is, or somebody has acknowledged it already.
        """
        state = self._state
        if not state.active:
            ended = f"; event {state.event} has ended" if state.event is not None else ""
            raise Refused(f"no fault is active{ended}; there is nothing to acknowledge")
        if event is not None and event != state.event:
            raise Refused(f"event {event!r} is not active; the active one is {state.event!r} ({state.class_})")
        if state.acknowledged:
            raise Refused(f"event {state.event!r} is already acknowledged by {state.acknowledged_by}")
        state = replace(state, acknowledged=True, acknowledged_by=by, acknowledged_at=time, comment=comment)
        self._state = self._ended(state, time) if state.latched else state
        return self._state

    def shelve(
        self,
        class_: str | None,
        until: datetime,
        by: str,
        comment: str,
        time: datetime,
        now_s: float | None = None,
    ) -> AlarmState:
        """Let nobody be alarmed by faults of one class for a time; they are raised and cleared as ever.

        Parameters
        ----------
        class_
            The class, or None for that of the active fault.
        until
            When it ends, UTC; an end that is not after ``time`` takes the class off the shelf at once.
        by, comment
            Who, and why.
        time, now_s
            Now, UTC and monotonic; without the latter the time counts from the next `unshelve` on.

        Returns
        -------
        AlarmState
            The state to publish.

        Raises
        ------
        ValueError
            There is no such class to shelve or to take off the shelf, or too many are shelved.
        """
        state = self._state
        if class_ is None:
            if not state.active:
                raise Refused("no fault is active; name the class that is to be shelved")
            class_ = state.class_
        if self._is_healthy(class_):
            raise Refused(f"class {class_!r} is no fault; there is nothing to shelve")
        others = tuple(shelf for shelf in state.shelves if shelf.class_ != class_)
        if until > time:
            if len(others) >= MOST_SHELVED:
                raise Refused(f"{MOST_SHELVED} classes are shelved, the most there may be; end one (seconds: 0) first")
            others = (*others, ShelvedClass(class_, until, by, comment, (until - time).total_seconds()))
        elif len(others) == len(state.shelves):
            raise Refused(f"class {class_!r} is not shelved")
        self._ends_s.pop(class_, None)
        if now_s is not None and until > time:
            self._ends_s[class_] = now_s + (until - time).total_seconds()
        self._state = replace(state, shelves=others)
        return self._state

    def unshelve(self, time: datetime, now_s: float) -> AlarmState | None:
        """Take off the shelf what has been there for its time, and move the end of the rest where the clock was set.

        Parameters
        ----------
        time
            Now, UTC.
        now_s
            Now, monotonic. By this a class stays on the shelf no longer than it was put there for, nor, after a
            restart, than that from the first call on.

        Returns
        -------
        AlarmState or None
            The state to publish; None where nothing changed.
        """
        kept = []
        for shelf in self._state.shelves:
            longest_s = LONGEST_SHELVED_S if shelf.seconds is None else shelf.seconds
            left_s = min((shelf.until - time).total_seconds(), longest_s)
            left_s = self._ends_s.setdefault(shelf.class_, now_s + left_s) - now_s
            if left_s > 0:
                until = time + timedelta(seconds=left_s)
                moved = abs((until - shelf.until).total_seconds()) > SET_S
                kept.append(replace(shelf, until=until) if moved else shelf)
            else:
                del self._ends_s[shelf.class_]
        if tuple(kept) == self._state.shelves:
            return None
        self._state = replace(self._state, shelves=tuple(kept))
        return self._state

    # ---- rules -------------------------------------------------------------------------------------------------

    def _decide(self, time: datetime) -> list[AlarmState]:
        state, settings = self._state, self._settings
        if not state.active:
            return [self._raised(self._most_frequent())] if state.votes >= settings.votes else []
        rival = self._most_frequent()
        holds = self._votes_for(state.class_) >= settings.votes
        if not holds and self._votes_for(rival) >= settings.votes:
            return [self._ended(state, time), self._raised(rival)]
        if state.latched:
            return [replace(state, latched=False)] if holds else []
        if state.votes >= settings.clear_votes:
            return []
        if settings.latch and not state.acknowledged:
            return [replace(state, latched=True)]
        return [self._ended(state, time)]

    def _raised(self, class_: str | None) -> AlarmState:
        assert class_ is not None  # noqa: S101 - a fault is raised by votes for one
        return self._counted(
            AlarmState(
                active=True,
                event=self._new_event_id(),
                class_=class_,
                severity=self._settings.severity.get(class_, "warning" if class_ == NOVEL else "alarm"),
                first_seen=next(vote.time for vote in self._votes if vote.fault == class_),
                last_seen=next(vote.time for vote in reversed(self._votes) if vote.fault is not None),
                shelves=self._state.shelves,
            )
        )

    def _ended(self, state: AlarmState, time: datetime) -> AlarmState:
        cleared = time if state.last_seen is None else max(time, state.last_seen)  # a sensor's clock may be ahead
        return self._counted(
            replace(state, active=False, class_=self._healthy, severity="none", cleared=cleared, latched=False)
        )

    def _set_back(self, time: datetime) -> None:
        """Bring what is remembered before ``time``, where the clock was set back behind it."""
        self._state = _set_back(self._state, time)
        newest = max((vote.time for vote in self._votes if vote.time is not None), default=time)
        if newest > time:
            back = newest - time
            kept = [vote if vote.time is None else replace(vote, time=vote.time - back) for vote in self._votes]
            self._votes = deque(kept, maxlen=self._votes.maxlen)

    # ---- counting ----------------------------------------------------------------------------------------------

    def _counted(self, state: AlarmState) -> AlarmState:
        """Bring the votes and the confidence of a state up to date."""
        wanted = state.class_ if state.active else None
        confidences = [vote.confidence for vote in self._votes if vote.fault == wanted]
        return replace(
            state,
            votes=sum(vote.fault is not None for vote in self._votes),
            of=len(self._votes),
            confidence=sum(confidences) / len(confidences) if confidences else None,
        )

    def _most_frequent(self) -> str | None:
        """Fault class with most votes; the one seen last among equals."""
        counts = Counter(vote.fault for vote in reversed(self._votes) if vote.fault is not None)
        return max(counts, key=lambda fault: counts[fault], default=None)

    def _votes_for(self, fault: str | None) -> int:
        return sum(vote.fault == fault for vote in self._votes if vote.fault is not None)

    def _is_healthy(self, class_: str) -> bool:
        return class_ == self._healthy or self._settings.severity.get(class_) == "none"


def _set_back(state: AlarmState, time: datetime) -> AlarmState:
    """Bring an active event's times before ``time``; where all of it would be later, it keeps its duration."""
    first, last = state.first_seen, state.last_seen
    if not state.active or first is None or last is None or last <= time:
        return state
    return replace(state, first_seen=first if first <= time else first - (last - time), last_seen=time)
