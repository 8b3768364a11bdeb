"""What hosts send, until the edge node takes it: bounded in count and bytes, whatever comes."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import Final

MOST: Final = 20
MOST_BYTES: Final = 2**18
"""Messages of one topic that wait, and their bytes. A command may have 64 KiB, and the topics are those of one node."""
TOLD_S: Final = 60.0
"""A message that was left out is named in ``health`` for so long."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message of the broker."""

    payload: bytes
    retained: bool


class ReceivedMessages:
    """The newest messages of each topic; paho's thread adds them, and the edge node takes them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, deque[Received]] = {}
        self._told: Counter[str] = Counter()
        self._left_out = 0
        self._left_out_s = float("-inf")

    @property
    def problem(self) -> str | None:
        """How many messages were left out, for a minute after the last; None where none was."""
        if time.monotonic() - self._left_out_s > TOLD_S:
            return None
        return (
            f"sparkplug: {self._left_out} messages were left out, the last within a minute, because too many waited or"
            " they were too large; find who sends them, and keep them from it at the broker"
        )

    def add(self, topic: str, received: Received) -> bool:
        """Add a message; return whether `take` is to be called once more than was asked for before."""
        with self._lock:
            waiting = self._waiting.setdefault(topic, deque())
            before = len(waiting)
            if len(received.payload) <= MOST_BYTES:
                waiting.append(received)
            while len(waiting) > MOST or sum(len(each.payload) for each in waiting) > MOST_BYTES:
                waiting.popleft()
            if left_out := before + 1 - len(waiting):
                self._left_out += left_out
                self._left_out_s = time.monotonic()
            if len(waiting) <= self._told[topic]:
                return False
            self._told[topic] += 1
            return True

    def take(self, topic: str) -> Received | None:
        """Take the oldest message of a topic; None where a larger one has come in place of several."""
        with self._lock:
            waiting = self._waiting[topic]
            self._told[topic] -= 1
            return waiting.popleft() if waiting else None
