"""How often something may happen: a burst, then so many a second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Rate:
    """A token bucket, full at first; for one thread, or under its owner's lock.

    Parameters
    ----------
    per_s
        Tokens that come back in a second.
    burst
        Most tokens that it holds.
    now
        Monotonic seconds.
    """

    def __init__(self, per_s: float, burst: int, now: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._burst = burst
        self._now = now
        self._tokens = float(burst)
        self._at_s = now()

    def take(self) -> bool:
        """Take a token; False where none is left."""
        now_s = self._now()
        self._tokens = min(self._burst, self._tokens + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
