"""What an alarm says of a machine: its condition, and what has become of it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Literal

from edgetune_node.contract import UNKNOWN
from edgetune_node.monitor.shelving import ShelvedClass

if TYPE_CHECKING:
    from datetime import datetime

    from edgetune_node.contract import Fault, Severity

ChangeKind = Literal["raised", "risen", "fallen", "revised", "latched", "returned", "cleared"]


@dataclass(frozen=True, slots=True)
class AlarmState:
    """A machine's debounced condition, as topic ``fault`` says it.

    Attributes
    ----------
    active
        Whether there is a fault, present or latched.
    event
        Names one episode from raise to clear; while not ``active`` the last one, None if there was none.
    class_
        The fault's class, which may be revised within the event; the healthy class while not ``active``.
    severity
        ``watch``, ``warning``, ``alarm`` or ``danger``; ``none`` while not ``active``.
    severity_from
        Reasons for the severity: ``class``, ``zone``, ``growth``, ``physics``.
    first_seen, last_seen
        Of the episode: time of its first vote, and of the last fault vote while it was active.
        Where the clock is set back behind them they go with it: `last_seen` is never before `first_seen`.
    cleared
        When it ended; None while ``active``.
    class_since
        Since when it has its class; None while not ``active``.
    candidates
        Faults voted for in the last ``raise_after_s`` with their shares of the fault votes.
    votes, of
        Fault votes (of any class) among the windows judged in the last ``raise_after_s``.
    confidence
        Mean confidence of those for the event's class, for the healthy class while not ``active``.
    latched
        The fault is no longer present and stays active only until somebody acknowledges it.
    acknowledged, acknowledged_by, acknowledged_at, comment
        Who has seen this occurrence, when, and what they said.
    shelves
        Classes that are shelved, the one that was shelved last at the end.
    shelved_class
        Class by which the event was shelved; it stays so when its class is revised.
    """

    active: bool
    event: str | None
    class_: str
    severity: Severity
    severity_from: tuple[str, ...] = ()
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    cleared: datetime | None = None
    class_since: datetime | None = None
    candidates: tuple[tuple[str, float], ...] = ()
    votes: int = 0
    of: int = 0
    confidence: float | None = None
    latched: bool = False
    acknowledged: bool = False
    acknowledged_by: str | None = None
    acknowledged_at: datetime | None = None
    comment: str | None = None
    shelves: tuple[ShelvedClass, ...] = ()
    shelved_class: str | None = None

    @property
    def shelved(self) -> bool:
        """Whether a fault is active and is shelved, by its class or by the one it was shelved as."""
        names = {self.class_, self.shelved_class}
        return self.active and any(shelf.class_ in names for shelf in self.shelves)

    @classmethod
    def from_message(cls, message: Fault) -> AlarmState:
        """Return the state in a published message."""
        values = {item.name: getattr(message, item.name) for item in fields(cls) if hasattr(message, item.name)}
        values["class_"] = message.class_ or UNKNOWN
        values["severity"] = message.severity if message.active else "none"
        values["shelved_class"] = message.shelves[-1].class_ if message.shelved else None
        values["severity_from"] = tuple(message.severity_from)
        values["candidates"] = tuple((each.class_, each.share) for each in message.candidates)
        return cls(**{**values, "shelves": tuple(ShelvedClass(**dict(shelf)) for shelf in message.shelves)})


@dataclass(frozen=True, slots=True)
class AlarmChange:
    """Something to publish: what has become of the event, and the state with it."""

    kind: ChangeKind
    state: AlarmState


def moved_back(state: AlarmState, time: datetime) -> AlarmState:
    """Bring an active event's times before ``time``; where all of it would be later, it keeps its duration."""
    first, last = state.first_seen, state.last_seen
    if not state.active or first is None or last is None or last <= time:
        return state
    since = state.class_since
    moved = first if first <= time else first - (last - time)
    if since is not None:
        since = max(moved, min(since, since - (last - time) if since > time else since))
    return replace(state, first_seen=moved, last_seen=time, class_since=since)
