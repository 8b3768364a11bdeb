"""Listens to births under the edge node's own name: its own come back, and those of another one are told."""

from __future__ import annotations

import hashlib
from collections import deque
from typing import Final

ECHO_S: Final = 10.0
"""A birth that has not come back by then was not passed on by the broker."""
TOLD_S: Final = 600.0
"""How long another edge node of the same name is a problem after it was last heard."""


class BirthEcho:
    """Compares the births that come from the broker with those that were sent.

    Attributes
    ----------
    unheard
        Whether the last birth did not come back.
    """

    def __init__(self) -> None:
        self._sent: deque[bytes] = deque(maxlen=8)
        self._by_s: float | None = None
        self._other_s = float("-inf")
        self.unheard = False

    def sent(self, birth: bytes, now_s: float) -> None:
        """Note a birth that was published."""
        self._sent.append(_digest(birth))
        self._by_s = now_s + ECHO_S

    def heard(self, birth: bytes, now_s: float, *, retained: bool) -> None:
        """Take a birth from the broker; a retained one tells nothing of now."""
        if _digest(birth) in self._sent:
            self._by_s, self.unheard = None, False
        elif not retained:
            self._other_s = now_s

    def lost(self) -> None:
        """Wait no more: the connection is gone."""
        self._by_s = None

    def check(self, now_s: float) -> None:
        """Note where a birth stays away."""
        if self._by_s is not None and now_s >= self._by_s:
            self.unheard, self._by_s = True, None

    def other(self, now_s: float) -> bool:
        """Whether another edge node of the same name was heard lately."""
        return now_s - self._other_s < TOLD_S


def _digest(birth: bytes) -> bytes:
    return hashlib.blake2b(birth, digest_size=8).digest()
