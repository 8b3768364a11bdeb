"""Classes of faults that nobody wants to be alarmed by for a time: put on the shelf, and taken off in time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from edgetune_node.errors import Refused

if TYPE_CHECKING:
    from datetime import datetime

MOST_SHELVED = 16
LONGEST_SHELVED_S = 604_800.0
"""Seconds that a class may be shelved at most: a week."""
SET_S = 2.0
"""A clock that is off by more was set, not slewed."""


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


Shelves = tuple[ShelvedClass, ...]


class ShelfClock:
    """Ends what was shelved by monotonic time, so that a clock that is set makes no shelf longer or shorter."""

    def __init__(self) -> None:
        self._ends_s: dict[str, float] = {}

    def put(self, shelves: Shelves, shelf: ShelvedClass, time: datetime, now_s: float | None) -> Shelves:
        """Put a class on the shelf, or take it off where its time is not after ``time``.

        Raises
        ------
        Refused
            The class is not shelved, or too many are.
        """
        class_, until = shelf.class_, shelf.until
        others = tuple(each for each in shelves if each.class_ != class_)
        if until > time:
            if len(others) >= MOST_SHELVED:
                raise Refused(f"{MOST_SHELVED} classes are shelved, the most there may be; end one (seconds: 0) first")
            others = (*others, replace(shelf, seconds=(until - time).total_seconds()))
        elif len(others) == len(shelves):
            raise Refused(f"class {class_!r} is not shelved")
        self._ends_s.pop(class_, None)
        if now_s is not None and until > time:
            self._ends_s[class_] = now_s + (until - time).total_seconds()
        return others

    def pass_time(self, shelves: Shelves, time: datetime, now_s: float) -> Shelves:
        """Return what is still shelved at ``time`` (UTC) and ``now_s`` (monotonic), its end moved with the clock."""
        kept = []
        for shelf in shelves:
            longest_s = LONGEST_SHELVED_S if shelf.seconds is None else shelf.seconds
            left_s = min((shelf.until - time).total_seconds(), longest_s)
            left_s = self._ends_s.setdefault(shelf.class_, now_s + left_s) - now_s
            if left_s > 0:
                until = time + timedelta(seconds=left_s)
                moved = abs((until - shelf.until).total_seconds()) > SET_S
                kept.append(replace(shelf, until=until) if moved else shelf)
            else:
                del self._ends_s[shelf.class_]
        return tuple(kept)
