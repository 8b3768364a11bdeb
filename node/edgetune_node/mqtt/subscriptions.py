"""Asks for the node's subscriptions, and finds the one over which a broker hangs up instead of answering.

Each filter goes in a packet of its own: aedes remembers all of a packet, and then denies the session for one of them.
They follow one another at once, or, after a connection has ended over them, each after the answer to the one before.
"""

from __future__ import annotations

from collections import Counter

ENDS = 3
"""Connections that end over one subscription before the node does without it."""


class Subscriptions:
    """What is subscribed to, and what was refused.

    Parameters
    ----------
    filters
        Topic filters with the QoS to ask for.
    """

    def __init__(self, filters: list[tuple[str, int]]) -> None:
        self._filters = filters
        self._ended: Counter[str] = Counter()
        self._one_by_one = False
        self._asked: dict[int, str] = {}
        self._left: list[tuple[str, int]] = []
        self._refused: dict[str, str] = {}
        self.granted: list[int] = []

    def begin(self) -> list[tuple[str, int]]:
        """Return the first filters to ask for."""
        self._refused = {name: "the broker hangs up on it" for name, ends in self._ended.items() if ends >= ENDS}
        self._left = [each for each in self._filters if each[0] not in self._refused]
        self._asked = {}
        self.granted = []
        return self._next()

    def asked(self, mid: int, name: str) -> None:
        """Note under which number a filter was asked for."""
        self._asked[mid] = name

    def answered(self, mid: int, granted: int, refused: str | None) -> list[tuple[str, int]]:
        """Record the QoS granted, or why the filter was refused; return the next filters to ask for."""
        name = self._asked.pop(mid, None)
        if name is None:
            return []
        self._ended.pop(name, None)
        if refused is None:
            self.granted.append(granted)
        else:
            self._refused[name] = refused
        return self._next()

    @property
    def complete(self) -> bool:
        """Whether all have been answered."""
        return not self._asked and not self._left

    def ended(self) -> None:
        """Record that the connection ended before all were answered."""
        if len(self._asked) == 1:
            self._ended[next(iter(self._asked.values()))] += 1
        self._one_by_one = True

    @property
    def refused(self) -> str | None:
        """Which filters the broker refused, and why; None where it took all."""
        return "; ".join(f"subscription to {name}: {why}" for name, why in self._refused.items()) or None

    def _next(self) -> list[tuple[str, int]]:
        count = 1 if self._one_by_one else len(self._left)
        now, self._left = self._left[:count], self._left[count:]
        return now
