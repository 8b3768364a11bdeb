"""Notices when the time of day jumps, by comparing it with the monotonic clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgetune_node.clock import Clock

JUMP_S = 2.0
"""More than a clock that is slewed, or a node that is busy, is off between two looks."""
TOLD_S = 600.0


class ClockWatch:
    """Compares the two clocks at every `look`.

    Parameters
    ----------
    clock
        Where both come from.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset_s = self._offset()
        self._jumped_s = float("-inf")
        self._told = ""

    def look(self) -> bool:
        """Give whether the time of day has jumped since the last look."""
        before_s, self._offset_s = self._offset_s, self._offset()
        by_s = self._offset_s - before_s
        if abs(by_s) < JUMP_S:
            return False
        self._jumped_s = self._clock.monotonic()
        when = self._clock.utc().isoformat(timespec="seconds")
        self._told = f"the clock jumped by {by_s:+.0f} s, to {when}: time stamps before and after do not compare"
        return True

    @property
    def problems(self) -> list[str]:
        """The last jump, for ten minutes."""
        return [self._told] if self._clock.monotonic() - self._jumped_s < TOLD_S else []

    def _offset(self) -> float:
        return self._clock.utc().timestamp() - self._clock.monotonic()
