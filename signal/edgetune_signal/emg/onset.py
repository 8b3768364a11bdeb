"""Finds when muscles begin and end to be active, against what they do at rest."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from edgetune_signal.emg.features import envelope

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgetune_signal.stream import Samples, Window

DEVIATIONS = 3.0
"""Standard deviations over the level at rest from which muscles are active, as Hodges and Bui propose."""
DIP_S = 0.1
"""Pauses shorter than this are part of an activity: muscles tremble near 10 Hz."""
REST_S, SHORTEST_REST_S = 10.0, 1.0
"""Rest that is remembered, and the least from which a level is taken."""
MAD_TO_DEVIATION = 1.4826
"""Ratio of the standard deviation to the median absolute deviation of a Gaussian."""


class Activity:
    """Remembers the last seconds of a stream, and what rest looks like.

    Muscles are active while the mean envelope of all channels exceeds its level at rest by `DEVIATIONS` standard
    deviations (P. W. Hodges and B. H. Bui, *A comparison of computer-based methods for the determination of onset of
    muscle contraction using electromyography*, Electroenceph. Clin. Neurophysiol. 101 (1996) 511, with an envelope of
    50 ms). Level and deviation are the median and the scaled median absolute deviation over the last `REST_S` of rest,
    since some of what a network calls rest is the beginning of something else.

    Parameters
    ----------
    rate_hz
        Samples per second and channel.
    hop
        Samples from one window's start to the next.
    seconds
        So much of the stream is remembered.
    """

    def __init__(self, rate_hz: float, hop: int, seconds: float) -> None:
        self._rate_hz = rate_hz
        self._hop = hop
        self._kept = max(1, round(seconds * rate_hz))
        self._samples: Samples | None = None
        self._end_ns = 0
        self._rest: deque[Samples] = deque()
        self._rest_samples = 0

    def push(self, window: Window) -> None:
        """Process the next window of the stream."""
        length = window.samples.shape[1]
        if self._samples is None or "gap" in window.quality or self._hop > length:
            self._samples = window.samples
        else:
            joined = np.concatenate([self._samples, window.samples[:, length - self._hop :]], axis=1)
            self._samples = joined[:, -max(self._kept, length) :]
        self._end_ns = window.time_ns

    def rest(self, window: Window) -> None:
        """Learn from a window of rest."""
        fresh = window.samples[:, -self._hop :]
        if not np.isfinite(fresh).all():
            return
        self._rest.append(fresh)
        self._rest_samples += fresh.shape[1]
        while self._rest_samples - self._rest[0].shape[1] >= REST_S * self._rate_hz:
            self._rest_samples -= self._rest.popleft().shape[1]

    def began(self, inside_ns: int) -> int | None:
        """Return when the activity began that is there at ``inside_ns``, UTC ns; None where that cannot be told."""
        active = self._active()
        if active is None:
            return None
        at = self._index(inside_ns, len(active))
        if at is None:
            return None
        found = np.flatnonzero(active[: at + 1])
        if not len(found) or at - found[-1] >= self._dip:
            return None
        first = int(found[-1] if len(found) == 1 else found[_after_last_pause(found, self._dip)])
        return None if first == 0 else self._time_ns(first, len(active))

    def ended(self, inside_ns: int) -> int | None:
        """Return when the activity ended that is there at ``inside_ns``, UTC ns; None where that cannot be told."""
        active = self._active()
        if active is None:
            return None
        at = self._index(inside_ns, len(active))
        if at is None:
            return None
        found = at + np.flatnonzero(active[at:])
        if not len(found) or found[0] - at >= self._dip:
            return None
        pauses = np.flatnonzero(np.diff(found) > self._dip)
        last = int(found[pauses[0]] if len(pauses) else found[-1])
        return None if last == len(active) - 1 else self._time_ns(last, len(active))

    @property
    def _dip(self) -> int:
        return max(1, round(DIP_S * self._rate_hz))

    def _active(self) -> NDArray[np.bool_] | None:
        """Where the remembered stream is active, ``(n,)``; None without enough rest."""
        if self._samples is None or self._rest_samples < SHORTEST_REST_S * self._rate_hz:
            return None
        rest = np.concatenate(self._rest, axis=1)
        offset = rest.mean(axis=1, keepdims=True)
        still = envelope(rest - offset, self._rate_hz).mean(axis=0)
        level = np.median(still)
        deviation = MAD_TO_DEVIATION * np.median(np.abs(still - level))
        now = envelope(self._samples - offset, self._rate_hz).mean(axis=0)
        active: NDArray[np.bool_] = now > level + DEVIATIONS * deviation
        return active

    def _index(self, time_ns: int, count: int) -> int | None:
        at = count - 1 + round((time_ns - self._end_ns) * self._rate_hz / 1e9)
        return at if 0 <= at < count else None

    def _time_ns(self, index: int, count: int) -> int:
        return self._end_ns - round((count - 1 - index) / self._rate_hz * 1e9)


def _after_last_pause(found: NDArray[np.int64], dip: int) -> int:
    """Position in ``found`` of the first sample after the last pause longer than ``dip``."""
    pauses = np.flatnonzero(np.diff(found) > dip)
    return int(pauses[-1]) + 1 if len(pauses) else 0
