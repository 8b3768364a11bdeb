"""Turns the verdicts of single windows into episodes: one event from raise to clear, debounced by time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from edgetune_node.contract import NOVEL, UNKNOWN
from edgetune_node.errors import Refused
from edgetune_node.monitor.alarm_state import AlarmChange, AlarmState, moved_back
from edgetune_node.monitor.severity import LEVEL, NO_SIGNS, SeverityHold, most_severe
from edgetune_node.monitor.shelving import ShelfClock, ShelvedClass
from edgetune_node.monitor.votes import ROUNDING, Cadence, VoteWindow

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from edgetune_node.config import AlarmSection
    from edgetune_node.contract import Severity
    from edgetune_node.monitor.alarm_state import ChangeKind
    from edgetune_node.monitor.severity import PhysicalSigns

RAISE_SHARE: Final = 0.8
"""Share of the judged time of ``raise_after_s`` that must be faulty. One event a play came of 34 recordings of growing
faults for 1 to 10 s; 0.5 raises on networks that err half the time, 1 never raises on a network that errs at all."""
CLEAR_SHARE: Final = 0.2
"""Share of the judged time of ``clear_after_s`` up to which it is healthy again; see `RAISE_SHARE`."""
RUN_SHARE: Final = 0.5
"""Share of a run of votes that must be of one kind, else the run is over and the next vote begins another."""
LASTING: Final = 10
"""A run in which fewer than one window in so many has a vote raises nothing: rare errors of a network that is sure of
little else must not add up to a fault over hours."""


@dataclass(slots=True)
class _Run:
    """Votes since the first of one kind, mostly of that kind."""

    since: datetime
    kind_s: float = 0.0
    voted_s: float = 0.0
    elapsed_s: float = 0.0


class Alarm:
    """Watches one machine's verdicts.

    A window whose class is ``unknown``, or whose confidence is under ``min_confidence``, is no vote: it neither raises
    nor clears. Every other window is a vote, for a fault or for health; classes whose configured severity is ``none``
    count as healthy. A vote stands for the time since the one before, and at most for a fifth of what is looked at.

    - A fault that lasts for ``raise_after_s``, with `RAISE_SHARE` of that time voting for faults, is raised. Its class
      is the one with most votes (of equals, the one seen last).
    - The event ends, or is latched where ``latch`` is set and nobody has acknowledged it, when it would not have been
      raised again for ``clear_after_s`` and at most `CLEAR_SHARE` of that time votes for faults.
    - Within the event the class is revised when at most `CLEAR_SHARE` of the fault votes are for it, to ``novel`` only
      when that lasts for ``clear_after_s``. The severity rises at once and falls only after ``clear_after_s``;
      ``novel`` never lowers it.

    Parameters
    ----------
    settings
        The asset's ``[asset.alarm]``.
    healthy_class
        The class that is no fault.
    new_event_id
        Gives an identifier that was never given before.
    restored
        Last state before the node stopped.
    hop_s
        Seconds from one window to the next of an unbroken stream.
    """

    def __init__(
        self,
        settings: AlarmSection,
        healthy_class: str,
        new_event_id: Callable[[], str],
        restored: AlarmState | None = None,
        *,
        hop_s: float = 1.0,
    ) -> None:
        self._settings = settings
        self._healthy = healthy_class
        self._new_event_id = new_event_id
        self._cadence = Cadence(hop_s)
        self._recent = VoteWindow(settings.raise_after_s)
        self._long = VoteWindow(settings.clear_after_s)
        self._sick: _Run | None = None
        self._well: _Run | None = None
        self._last_fault: datetime | None = None
        self._shelf_clock = ShelfClock()
        self._state = restored or AlarmState(active=False, event=None, class_=healthy_class, severity="none")
        if not self._state.active:
            self._state = replace(self._state, class_=healthy_class)
        self._hold = SeverityHold(settings.clear_after_s, self._state.severity)
        self._known: Severity = self._state.severity

    @property
    def state(self) -> AlarmState:
        """The condition as it stands, with the newest vote counted."""
        return self._state

    @property
    def suspected(self) -> bool:
        """Whether a fault is active, or the last votes are mostly for one that is not raised yet."""
        return self._state.active or self._sick is not None

    def observe(
        self, class_: str, confidence: float, time: datetime, signs: PhysicalSigns = NO_SIGNS
    ) -> AlarmChange | None:
        """Count one window's verdict.

        Parameters
        ----------
        class_
            Its class, or ``unknown``.
        confidence
            From 0 to 1.
        time
            Of the window's last sample, UTC.
        signs
            What the vibration says of the severity.

        Returns
        -------
        AlarmChange or None
            What to publish now.
        """
        self._cadence.hear(time.timestamp())
        raise_s = self._cadence.seconds(self._settings.raise_after_s)
        if self._sick is not None:
            self._sick.elapsed_s += raise_s
        if class_ == UNKNOWN or not confidence >= self._settings.min_confidence:
            return None
        self._set_back(time)
        fault = None if self._is_healthy(class_) else class_
        self._vote(fault, confidence, raise_s, time)
        self._state = self._counted(self._state)
        if self._state.active and fault is not None:
            self._state = replace(self._state, last_seen=time)
        change = self._decide(fault, signs, time)
        if change is not None:
            self._state = change.state
        return change

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
        Refused
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
        Refused
            There is no such class to shelve or to take off the shelf, or too many are shelved.
        """
        state = self._state
        if class_ is None:
            if not state.active:
                raise Refused("no fault is active; name the class that is to be shelved")
            class_ = state.class_
        if self._is_healthy(class_):
            raise Refused(f"class {class_!r} is no fault; there is nothing to shelve")
        shelves = self._shelf_clock.put(state.shelves, ShelvedClass(class_, until, by, comment), time, now_s)
        self._state = self._marked(replace(state, shelves=shelves))
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
        shelves = self._shelf_clock.pass_time(self._state.shelves, time, now_s)
        if shelves == self._state.shelves:
            return None
        self._state = replace(self._state, shelves=shelves)
        return self._state

    # ---- rules -------------------------------------------------------------------------------------------------

    def _decide(self, fault: str | None, signs: PhysicalSigns, time: datetime) -> AlarmChange | None:
        state = self._state
        present = self._present()
        if not state.active:
            return AlarmChange("raised", self._raised(signs)) if present else None
        if present and fault is not None:
            self._well = None
        if state.latched:
            state = replace(state, latched=False) if present else state
        elif self._gone():
            if self._settings.latch and not state.acknowledged:
                return AlarmChange("latched", replace(state, latched=True))
            return AlarmChange("cleared", self._ended(state, time))
        revised = self._revised(state, time) if present else state
        graded, risen = self._graded(revised, signs)
        kinds: dict[ChangeKind, bool] = {
            "risen": risen,
            "revised": revised.class_ != state.class_,
            "fallen": graded.severity != state.severity,
            "returned": state.latched != self._state.latched,
        }
        self._state = graded
        return next((AlarmChange(kind, graded) for kind, is_so in kinds.items() if is_so), None)

    def _present(self) -> bool:
        """Whether a fault has lasted long enough to be raised."""
        run = self._sick
        lasts = run is not None and run.voted_s >= self._recent.span_s * (1 - ROUNDING)
        return lasts and self._recent.full and self._recent.faulty >= RAISE_SHARE - ROUNDING

    def _gone(self) -> bool:
        """Whether the fault has been away long enough to be cleared."""
        run = self._well
        lasts = run is not None and run.voted_s >= self._long.span_s * (1 - ROUNDING)
        return lasts and self._long.faulty <= CLEAR_SHARE + ROUNDING

    def _raised(self, signs: PhysicalSigns) -> AlarmState:
        assert self._sick is not None  # noqa: S101 - what is present has a run of votes
        class_ = self._recent.candidates()[0][0]
        state = AlarmState(
            active=True,
            event=self._new_event_id(),
            class_=class_,
            severity="none",
            first_seen=self._sick.since,
            last_seen=self._last_fault,
            class_since=self._sick.since,
            shelves=self._state.shelves,
        )
        self._well = None
        self._hold.start("none")
        self._known = "none"
        return self._marked(self._counted(self._graded(state, signs)[0]))

    def _revised(self, state: AlarmState, time: datetime) -> AlarmState:
        rival = self._recent.candidates()[0][0]
        windows = [self._recent, self._long] if rival == NOVEL else [self._recent]  # a known class goes on in doubt
        left = max(dict(window.candidates()).get(state.class_, 0.0) for window in windows)
        if rival == state.class_ or left > CLEAR_SHARE + ROUNDING:
            return state
        return self._marked(self._counted(replace(state, class_=rival, class_since=time)))

    def _graded(self, state: AlarmState, signs: PhysicalSigns) -> tuple[AlarmState, bool]:
        usual: Severity = "alarm"
        if state.class_ == NOVEL:
            usual = "watch" if signs.unseen_mode else "warning"
        by_class = self._settings.severity.get(state.class_, usual)
        if state.class_ == NOVEL:  # what is unlike everything known is not less severe than what it was before
            by_class = most_severe(by_class, self._known)
        self._known = by_class
        reasons = {"class": by_class, **signs.reasons}
        worst = most_severe(*reasons.values())
        risen = self._hold.hear(worst, self._cadence.seconds(self._settings.clear_after_s))
        severity = self._hold.severity
        if severity == state.severity and LEVEL[worst] < LEVEL[severity]:
            return state, False
        because = tuple(name for name, each in reasons.items() if LEVEL[each] >= LEVEL[severity])
        return replace(state, severity=severity, severity_from=because), risen

    def _ended(self, state: AlarmState, time: datetime) -> AlarmState:
        self._sick = None  # the next event begins with its own first vote
        cleared = time if state.last_seen is None else max(time, state.last_seen)  # a sensor's clock may be ahead
        return self._counted(
            replace(
                state,
                active=False,
                class_=self._healthy,
                severity="none",
                severity_from=(),
                class_since=None,
                shelved_class=None,
                cleared=cleared,
                latched=False,
            )
        )

    def _marked(self, state: AlarmState) -> AlarmState:
        """Keep an event on the shelf whatever its class is revised to."""
        if state.active and any(shelf.class_ == state.class_ for shelf in state.shelves):
            return replace(state, shelved_class=state.class_)
        return state

    # ---- counting ----------------------------------------------------------------------------------------------

    def _vote(self, fault: str | None, confidence: float, raise_s: float, time: datetime) -> None:
        """Count a vote, and the runs of sickness and health it belongs to."""
        clear_s = self._cadence.seconds(self._settings.clear_after_s)
        run = self._sick
        if run is not None and run.elapsed_s >= max(self._recent.span_s, LASTING * (run.voted_s + raise_s)):
            self._sick = None
            self._recent.clear()
        self._recent.add(fault, confidence, raise_s)
        self._long.add(fault, confidence, clear_s)
        self._sick = _run(self._sick, raise_s, time, same=fault is not None)
        self._well = _run(self._well, clear_s, time, same=fault is None) if self._state.active else None
        if fault is not None:
            self._last_fault = time

    def _counted(self, state: AlarmState) -> AlarmState:
        """Bring the votes and the confidence of a state up to date."""
        votes, of = self._recent.votes
        candidates = self._recent.candidates() if state.active else ()
        return replace(
            state,
            votes=votes,
            of=of,
            candidates=candidates or state.candidates if state.active else (),
            confidence=self._recent.confidence(state.class_ if state.active else None),
        )

    def _set_back(self, time: datetime) -> None:
        """Bring what is remembered before ``time``, where the clock was set back behind it."""
        self._state = moved_back(self._state, time)
        for run in (self._sick, self._well):
            if run is not None and run.since > time:
                run.since = time

    def _is_healthy(self, class_: str) -> bool:
        return class_ == self._healthy or self._settings.severity.get(class_) == "none"


def _run(run: _Run | None, seconds: float, time: datetime, *, same: bool) -> _Run | None:
    """Count a vote in a run; return None where the run is over and the vote begins no other."""
    if run is None:
        if not same:
            return None
        run = _Run(time)
        run.elapsed_s = seconds
    run.voted_s += seconds
    run.kind_s += seconds if same else 0.0
    return run if run.kind_s >= RUN_SHARE * run.voted_s else None
