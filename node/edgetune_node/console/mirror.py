"""What was last said on each topic, ready to be sent to a page that opens late; pure."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any

MOST_TOPICS = 8_000
"""Four hundred assets with all their topics, twice over; about 1 KiB each."""
MOST_ANSWERS = 200
QUIET = ("/resp/history", "/resp/doctor")
"""Every open page asks for the one again and again; the other is doctor's own trial."""
MOST_WAITING = 400
"""Answers that wait for one slow browser; of all else only the newest of each topic waits."""


@dataclass(slots=True)
class Waiting:
    """What one browser has not been sent yet."""

    latest: dict[str, str] = field(default_factory=dict)
    events: deque[str] = field(default_factory=lambda: deque(maxlen=MOST_WAITING))

    def take(self) -> list[str]:
        """Return everything, and forget it."""
        frames = [*self.latest.values(), *self.events]
        self.latest.clear()
        self.events.clear()
        return frames

    def __bool__(self) -> bool:
        return bool(self.latest or self.events)


class Mirror:
    """The last message of every topic and the last answers, as JSON texts.

    Attributes
    ----------
    broker
        What is known of the broker, as it is sent to pages.
    """

    def __init__(self) -> None:
        self.broker: dict[str, Any] = {"connected": False, "reason": "", "since": 0, "heard_from": 0}
        self._latest: dict[str, str] = {}
        self._answers: deque[str] = deque(maxlen=MOST_ANSWERS)
        self._waiting: dict[int, Waiting] = {}

    @property
    def viewers(self) -> int:
        """How many pages are open."""
        return len(self._waiting)

    def knows(self, ending: str) -> bool:
        """Whether anything was heard on a topic with this last level."""
        return any(topic.endswith(ending) for topic in self._latest)

    def open(self, viewer: int) -> Waiting:
        """Return the queue of a new page, filled with all that is known."""
        waiting = Waiting(dict(self._latest), deque(self._answers, maxlen=MOST_WAITING))
        waiting.events.appendleft(_frame("broker", self.broker))
        self._waiting[viewer] = waiting
        return waiting

    def close(self, viewer: int) -> None:
        """Forget a page."""
        self._waiting.pop(viewer, None)

    def take(self, topic: str, payload: dict[str, Any], at_ms: int) -> None:
        """Process a message that came at ``at_ms``; an empty one is a retained message that was removed.

        `edgetune doctor` tries the topics of a node that does not run. Pages must not show that node for it.
        """
        if "/resp/" in topic:
            if not payload:
                return
            self._answer(topic, payload, at_ms)
            return
        if topic not in self._latest and (not payload or len(self._latest) >= MOST_TOPICS):
            return
        try:
            frame = json.dumps([topic, at_ms, payload], allow_nan=False, separators=(",", ":"))
        except ValueError:
            return
        if payload:
            self._latest[topic] = frame
        else:
            self._latest.pop(topic, None)
        for waiting in self._waiting.values():
            waiting.latest[topic] = frame

    def tell(self, kind: str, content: dict[str, Any], *, keep: bool = False) -> None:
        """Send something that is no message to every page; ``keep`` sends it to those that open later as well."""
        frame = _frame(kind, content)
        if keep:
            self._answers.append(frame)
        for waiting in self._waiting.values():
            waiting.events.append(frame)

    def _answer(self, topic: str, payload: dict[str, Any], at_ms: int) -> None:
        detail = payload.get("detail")
        part = isinstance(detail, dict) and "part" in detail
        if part or topic.endswith(QUIET):  # whoever asked gets it another way
            return
        self.tell("answer", {"topic": topic, "at": at_ms, "payload": payload}, keep=True)


def _frame(kind: str, content: dict[str, Any]) -> str:
    try:
        return json.dumps([kind, content], allow_nan=False, separators=(",", ":"))
    except ValueError:
        return json.dumps([kind, {}])
