"""What was last said on each topic, ready to be sent to a page that opens late; pure."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any

MOST_TOPICS = 8_000
"""Four hundred assets with all their topics, twice over; about 1 KiB each."""
MOST_BYTES, MOST_NODE_BYTES = 16 * 2**20, 8 * 2**20
"""Bytes that the topics of all nodes, and of one node, may take: one that says too much leaves room for the others."""
TOPIC_BYTES = 300
"""What a topic costs besides its name and its text."""
MOST_ANSWERS = 200
MOST_ANSWERS_BYTES = 4 * 2**20
QUIET = ("/resp/history", "/resp/doctor", "/cmd/history", "/cmd/doctor")
"""Every open page asks for the one again and again; the other is doctor's own trial."""
MOST_WAITING = 400
"""Answers that wait for one slow browser; of all else only the newest of each topic waits."""
MOST_WAITING_BYTES = 1024 * 1024
PIECE_BYTES = 512 * 1024
"""A page is sent so much at a time, for each waits in memory until its browser has it."""
FULL_AGAIN_MS = 5_000
"""Pages are told no more often that something is not kept."""


class Recent:
    """The newest texts, as many as fit.

    Parameters
    ----------
    most, most_bytes
        How many there may be, and their bytes together.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._texts: deque[str] = deque()
        self._bytes = 0

    def append(self, text: str) -> None:
        """Add the newest; the oldest make room. One that is too long alone is not kept."""
        self._texts.append(text)
        self._bytes += len(text)
        while self._texts and (len(self._texts) > self._most or self._bytes > self._most_bytes):
            self.pop()

    def pop(self) -> str:
        """Return the oldest, and forget it."""
        text = self._texts.popleft()
        self._bytes -= len(text)
        return text

    def texts(self) -> tuple[str, ...]:
        """Return all, the oldest first."""
        return tuple(self._texts)

    def __bool__(self) -> bool:
        return bool(self._texts)


@dataclass(slots=True)
class Waiting:
    """What one browser has not been sent yet.

    Attributes
    ----------
    state
        What is no message, the newest of each kind.
    latest
        The newest of each topic. All pages share these texts with the mirror.
    events
        Commands and answers.
    """

    state: dict[str, str] = field(default_factory=dict)
    latest: dict[str, str] = field(default_factory=dict)
    events: Recent = field(default_factory=lambda: Recent(MOST_WAITING, MOST_WAITING_BYTES))

    def take(self) -> list[str]:
        """Return as much as is sent at a time, and forget it."""
        frames, size = [*self.state.values()], 0
        self.state.clear()
        while self.latest and size < PIECE_BYTES:
            frames.append(self.latest.pop(next(iter(self.latest))))
            size += len(frames[-1])
        while self.events and size < PIECE_BYTES:
            frames.append(self.events.pop())
            size += len(frames[-1])
        return frames

    @property
    def overrun(self) -> bool:
        """Whether more waits than can be known: topics came and went while the browser read nothing."""
        return len(self.latest) > 2 * MOST_TOPICS

    def __bool__(self) -> bool:
        return bool(self.state or self.latest or self.events)


class Mirror:
    """The last message of every topic and the last commands and answers, as JSON texts.

    Parameters
    ----------
    levels
        Number of levels of a topic that name a node.

    Attributes
    ----------
    broker
        What is known of the broker, as it is sent to pages.
    full
        When a message was last not kept, in milliseconds since 1970, on which topic, and how many were not.
    """

    def __init__(self, levels: int = 1) -> None:
        self.broker: dict[str, Any] = {"connected": False, "reason": "", "since": 0, "heard_from": 0}
        self.full: dict[str, Any] = {"at": 0, "topic": "", "count": 0}
        self._levels = levels
        self._latest: dict[str, str] = {}
        self._bytes: dict[str, int] = {}
        self._whole = 0
        self._answers = Recent(MOST_ANSWERS, MOST_ANSWERS_BYTES)
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
        state = {"broker": _frame("broker", self.broker), "full": _frame("full", self.full)}
        waiting = Waiting(state, dict(self._latest))
        for text in self._answers.texts():
            waiting.events.append(text)
        self._waiting[viewer] = waiting
        return waiting

    def close(self, viewer: int) -> None:
        """Forget a page."""
        self._waiting.pop(viewer, None)

    def take(self, topic: str, payload: dict[str, Any], at_ms: int) -> None:
        """Process a message that came at ``at_ms``; an empty one is a retained message that was removed.

        `edgetune doctor` tries the topics of a node that does not run. Pages must not show that node for it.
        """
        if "/cmd/" in topic:
            self._command(topic, payload, at_ms)
            return
        if "/resp/" in topic:
            if payload:
                self._answer(topic, payload, at_ms)
            return
        if not payload and topic not in self._latest:
            return
        try:
            frame = _text([topic, at_ms, payload])
        except (ValueError, RecursionError):
            return
        if payload and not self._fits(topic, frame):
            self._say_full(topic, at_ms)
            if topic not in self._latest:
                return
            payload, frame = {}, _text([topic, at_ms, {}])  # what it said before is no longer so
        self._forget(topic)
        if payload:
            self._latest[topic] = frame
            self._count(topic, _size(topic, frame))
        for waiting in self._waiting.values():
            if not waiting.overrun:
                waiting.latest[topic] = frame

    def tell(self, kind: str, content: dict[str, Any]) -> None:
        """Send how something stands to every page."""
        for waiting in self._waiting.values():
            waiting.state[kind] = _frame(kind, content)

    def note(self, kind: str, content: dict[str, Any]) -> None:
        """Send a command or an answer to every page, and to those that open later."""
        frame = _frame(kind, content)
        self._answers.append(frame)
        for waiting in self._waiting.values():
            waiting.events.append(frame)

    def _fits(self, topic: str, frame: str) -> bool:
        before = self._latest.get(topic)
        if before is None and len(self._latest) >= MOST_TOPICS:
            return False
        more = _size(topic, frame) - (0 if before is None else _size(topic, before))
        node = self._bytes.get(self._node(topic), 0)
        return self._whole + more <= MOST_BYTES and node + more <= MOST_NODE_BYTES

    def _forget(self, topic: str) -> None:
        before = self._latest.pop(topic, None)
        if before is not None:
            self._count(topic, -_size(topic, before))

    def _count(self, topic: str, more: int) -> None:
        node = self._node(topic)
        self._whole += more
        self._bytes[node] = self._bytes.get(node, 0) + more
        if not self._bytes[node]:
            del self._bytes[node]

    def _node(self, topic: str) -> str:
        return "/".join(topic.split("/", self._levels)[: self._levels])

    def _say_full(self, topic: str, at_ms: int) -> None:
        told_ms, count = int(self.full["at"]), int(self.full["count"])
        self.full = {"at": told_ms, "topic": topic, "count": count + 1}
        if not told_ms or at_ms - told_ms >= FULL_AGAIN_MS:
            self.full["at"] = at_ms
            self.tell("full", self.full)

    def _command(self, topic: str, payload: dict[str, Any], at_ms: int) -> None:
        if not payload or topic.endswith(QUIET):
            return
        place, _, name = topic.partition("/cmd/")
        self.note("sent", {**payload, "place": place, "name": name, "at": at_ms})

    def _answer(self, topic: str, payload: dict[str, Any], at_ms: int) -> None:
        detail = payload.get("detail")
        part = isinstance(detail, dict) and "part" in detail
        if part or topic.endswith(QUIET):  # whoever asked gets it another way
            return
        self.note("answer", {"topic": topic, "at": at_ms, "payload": payload})


def _size(topic: str, frame: str) -> int:
    return TOPIC_BYTES + len(topic) + len(frame)


def _text(content: list[Any]) -> str:
    return json.dumps(content, allow_nan=False, separators=(",", ":"))


def _frame(kind: str, content: dict[str, Any]) -> str:
    try:
        return _text([kind, content])
    except (ValueError, RecursionError):
        return _text([kind, {}])
