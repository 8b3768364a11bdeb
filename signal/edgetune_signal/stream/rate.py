"""Measures at which rate samples really come, and is not deceived by gaps, bursts, losses or a sender's own time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from operator import attrgetter
from statistics import median
from typing import Final, Literal

RATE_SPAN_S: Final = 30.0
"""Seconds of a stream from which its rate is told; shorter is told sooner, and deceived by shorter congestion."""
RATE_TOLERANCE: Final = 0.03
"""A rate further off than this part is ``rate_off``: a machine's lines and bands would be sought that far aside."""
RIGHT_AGAIN: Final = 0.025
"""It is right again where it is off by less than this, so that a rate at the limit does not toggle."""
RATE_OFF: Final = "rate_off"

_BIN_S: Final = 1.0
_LAG_S: Final = 3.0
_NEEDED_S: Final = RATE_SPAN_S - _LAG_S - 2 * _BIN_S
_FORGOTTEN_S: Final = 4 * RATE_SPAN_S


@dataclass(frozen=True, slots=True)
class _Mark:
    """The arrival that was least late within a bin.

    Attributes
    ----------
    at_s
        Its monotonic time.
    late_s
        That, less the signal up to its end.
    least_s
        The least ``late_s`` since the last gap.
    taken_s
        The sender's time of its first sample, less the signal up to there; None where the sender tells none.
    """

    at_s: float
    late_s: float
    least_s: float
    taken_s: float | None


@dataclass(frozen=True, slots=True)
class _Slope:
    """What two marks `_LAG_S` apart say: seconds that samples come later in a second, and that the sender says so."""

    at_s: float
    weight_s: float
    late: float
    least: float
    sender: float | None


class RateMeter:
    """The rate of a stream over the last `RATE_SPAN_S`.

    Samples may be late, but never early. So of each second only the arrival counts that is least late, and a stream is
    faster than it should be only where it comes earlier than ever before: one that has piled up and catches up does
    not. Two marks with a gap between them say nothing, and single silent losses are passed over by a median.

    A sender that stamps its samples says at which rate it takes them. Where that is right and only the arrival is not,
    it plays at another pace or in another time than ours, or the way is slow: the rate is as it should be.

    Parameters
    ----------
    rate_hz
        The rate that the stream should have.

    Attributes
    ----------
    off
        Whether the rate is more than `RATE_TOLERANCE` off.
    """

    def __init__(self, rate_hz: float) -> None:
        self.off = False
        self._rate_hz = rate_hz
        self._slopes: deque[_Slope] = deque()
        self._covered_s = 0.0
        self._drift: float | None = None
        self.gap()

    @property
    def drift(self) -> float | None:
        """Seconds that samples come later in each second; None where that cannot be told (yet)."""
        return self._drift

    @property
    def measured_hz(self) -> float | None:
        """The rate; None where it cannot be told (yet)."""
        return None if self._drift is None else self._rate_hz * (1 - self._drift)

    @property
    def quality(self) -> tuple[Literal["rate_off"], ...]:
        """``rate_off`` where it is."""
        return (RATE_OFF,) if self.off else ()

    def gap(self) -> None:
        """Take note that an unknown number of samples is missing."""
        self._marks: deque[_Mark] = deque()
        self._bin: list[_Mark] = []
        self._signal_s = 0.0

    def add(self, n: int, now_s: float, taken_ns: int | None = None) -> None:
        """Take note of samples that have just arrived.

        Parameters
        ----------
        n
            How many.
        now_s
            Monotonic time.
        taken_ns
            When the first of them was taken, in nanoseconds of the sender's clock; None where it does not say so.
        """
        taken_s = None if taken_ns is None else taken_ns / 1e9 - self._signal_s
        self._signal_s += n / self._rate_hz
        late_s = now_s - self._signal_s
        if self._bin and now_s - self._bin[0].at_s >= _BIN_S:
            self._close_bin()
        mark = _Mark(now_s, late_s, late_s, taken_s)
        self._bin = [self._bin[0], min(*self._bin, mark, key=attrgetter("late_s"))] if self._bin else [mark, mark]

    def _close_bin(self) -> None:
        _, best = self._bin
        self._bin = []
        before = self._marks[-1] if self._marks else best
        mark = _Mark(best.at_s, best.late_s, min(before.least_s, best.late_s), best.taken_s)
        self._marks.append(mark)
        while len(self._marks) > 1 and self._marks[1].at_s <= mark.at_s - _LAG_S:
            self._marks.popleft()
        if self._marks[0].at_s <= mark.at_s - _LAG_S:
            self._note(_slope(self._marks[0], mark, min(mark.at_s - before.at_s, _LAG_S)))

    def _note(self, slope: _Slope) -> None:
        slopes = self._slopes
        slopes.append(slope)
        self._covered_s += slope.weight_s
        while self._covered_s - slopes[0].weight_s >= _NEEDED_S or slopes[0].at_s < slope.at_s - _FORGOTTEN_S:
            self._covered_s -= slopes.popleft().weight_s
        if self._covered_s < _NEEDED_S:
            self._drift, self.off = None, False
            return
        late = median(each.late for each in slopes)
        arrival = late if late >= 0 else median(each.least for each in slopes)
        senders = [each.sender for each in slopes if each.sender is not None]
        told = median(senders) if 2 * len(senders) > len(slopes) else arrival
        self._drift = min(arrival, told, key=abs)
        self.off = abs(self._drift) > (RIGHT_AGAIN if self.off else RATE_TOLERANCE)


def _slope(first: _Mark, last: _Mark, weight_s: float) -> _Slope:
    lasted_s = last.at_s - first.at_s
    late_s = last.late_s - first.late_s
    sender = None
    if first.taken_s is not None and last.taken_s is not None:
        signal_s = lasted_s - late_s
        taken_s = signal_s + last.taken_s - first.taken_s
        sender = 1 - signal_s / taken_s if taken_s > 0 else None
    return _Slope(last.at_s, weight_s, late_s / lasted_s, (last.least_s - first.least_s) / lasted_s, sender)
