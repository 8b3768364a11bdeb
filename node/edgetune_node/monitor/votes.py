"""Weighs the verdicts of windows by the time they stand for, and keeps their shares over a span of seconds."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

LEAST: Final = 5
"""Windows or snapshots that a span has at least: no verdict weighs more than this part of the span.

More makes a sensor that sends every ten minutes slower by ten minutes each, fewer lets two bad snapshots alarm.
"""
BUCKETS: Final = 50
"""Parts into which a span is divided, at most: it may last an hour at a hundred windows a second."""
BREAK: Final = 3.0
"""Hops between two windows that are a break in the stream; lost blocks and jitter are less."""
ROUNDING: Final = 1e-9


class Cadence:
    """Seconds for which a window stands, in a stream or in snapshots.

    A window of a stream stands for its hop. A snapshot stands for the time since the one before; its windows share it.

    Parameters
    ----------
    hop_s
        Seconds from one window to the next of an unbroken stream.
    """

    def __init__(self, hop_s: float) -> None:
        self._hop_s = hop_s
        self._last_s: float | None = None
        self._began_s = 0.0
        self._interval_s = 0.0
        self._windows = self._before = 0

    def hear(self, time_s: float) -> None:
        """Count a window that ends at ``time_s``; a clock that is set back is no break."""
        if self._last_s is None or time_s - self._last_s > BREAK * self._hop_s:
            self._interval_s = 0.0 if self._last_s is None else time_s - self._began_s
            self._began_s, self._before, self._windows = time_s, self._windows, 0
        self._last_s = time_s
        self._windows += 1

    def seconds(self, span_s: float) -> float:
        """Return the seconds for which the window heard last stands, within a span of ``span_s``."""
        most_s = span_s / LEAST
        if self._before and self._windows <= self._before:
            shared_s = min(self._interval_s, most_s) / self._before
            return min(max(self._hop_s, shared_s), most_s)
        return min(self._hop_s, most_s)


@dataclass(slots=True)
class _Bucket:
    seconds: float = 0.0
    votes: int = 0
    by_class: dict[str | None, float] = field(default_factory=dict)
    """Seconds of each class; None is health."""
    confidence: dict[str | None, float] = field(default_factory=dict)
    """Confidence times seconds."""
    faults: int = 0

    def add(self, fault: str | None, confidence: float, seconds: float) -> None:
        self.seconds += seconds
        self.votes += 1
        self.faults += fault is not None
        self.by_class[fault] = self.by_class.get(fault, 0.0) + seconds
        self.confidence[fault] = self.confidence.get(fault, 0.0) + confidence * seconds


class VoteWindow:
    """The votes of the last ``span_s`` judged seconds.

    Parameters
    ----------
    span_s
        Seconds of judged signal that count.
    """

    def __init__(self, span_s: float) -> None:
        self.span_s: Final = span_s
        self._buckets: deque[_Bucket] = deque()
        self._total = _Bucket()
        self._latest: str | None = None

    def add(self, fault: str | None, confidence: float, seconds: float) -> None:
        """Count a vote for a fault, or for health (None), that stands for ``seconds``."""
        if not self._buckets or self._buckets[-1].seconds >= self.span_s / BUCKETS:
            self._buckets.append(_Bucket())
        for bucket in (self._buckets[-1], self._total):
            bucket.add(fault, confidence, seconds)
        if fault is not None:
            self._latest = fault
        surplus_s = self._total.seconds - self.span_s * (1 - ROUNDING)
        if self._buckets[0].seconds <= surplus_s:
            while self._buckets[0].seconds <= surplus_s:
                surplus_s -= self._buckets.popleft().seconds
            self._total = _summed(self._buckets)

    def clear(self) -> None:
        """Forget every vote."""
        self._buckets.clear()
        self._total = _Bucket()

    @property
    def full(self) -> bool:
        """Whether the whole span has been judged."""
        return self._total.seconds >= self.span_s * (1 - ROUNDING)

    @property
    def votes(self) -> tuple[int, int]:
        """Windows that voted for some fault, and windows that voted."""
        return self._total.faults, self._total.votes

    @property
    def faulty(self) -> float:
        """Share of the judged time that voted for some fault, 0 to 1."""
        return sum(self.share(name) for name in self._total.by_class if name is not None)

    def share(self, fault: str) -> float:
        """Return the share of the judged time that voted for this fault, 0 to 1."""
        total = self._total
        return total.by_class.get(fault, 0.0) / total.seconds if total.seconds else 0.0

    def candidates(self) -> tuple[tuple[str, float], ...]:
        """Return the faults voted for with their shares of all fault votes, the largest first; of equals the latest."""
        faults = [(name, seconds) for name, seconds in self._total.by_class.items() if name is not None]
        total = sum(seconds for _, seconds in faults)
        faults.sort(key=lambda each: (round(each[1] / total, 9), each[0] == self._latest), reverse=True)
        return tuple((name, seconds / total) for name, seconds in faults)

    def confidence(self, fault: str | None) -> float | None:
        """Return the mean confidence of the votes for a fault, or for health (None); None if there is no such vote."""
        seconds = self._total.by_class.get(fault)
        return self._total.confidence[fault] / seconds if seconds else None


def _summed(buckets: Iterable[_Bucket]) -> _Bucket:
    total = _Bucket()
    for each in buckets:
        total.seconds += each.seconds
        total.votes += each.votes
        total.faults += each.faults
        for name, seconds in each.by_class.items():
            total.by_class[name] = total.by_class.get(name, 0.0) + seconds
            total.confidence[name] = total.confidence.get(name, 0.0) + each.confidence[name]
    return total
