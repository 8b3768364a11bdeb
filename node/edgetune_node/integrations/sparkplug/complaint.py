"""What hosts write that cannot be read or written: named in ``health``, and in the log now and then."""

from __future__ import annotations

import time
from typing import Final

import structlog

TOLD_S: Final = 600.0
"""How long a message that could not be taken is a problem."""
LOGGED_S: Final = 10.0
"""Shortest time between two lines of the log, else whoever sends such messages writes it."""

_log = structlog.get_logger(__name__)


class Complaint:
    """The newest message that could not be taken."""

    def __init__(self) -> None:
        self._newest = ""
        self._made_s = self._logged_s = float("-inf")

    @property
    def problem(self) -> str | None:
        """What was wrong with it; None when that is long ago."""
        return f"sparkplug: {self._newest}" if time.monotonic() - self._made_s < TOLD_S else None

    def make(self, problem: str) -> None:
        """Complain about a message; the same again is not logged again."""
        now_s = time.monotonic()
        if problem != self._newest and now_s - self._logged_s >= LOGGED_S:
            _log.warning("sparkplug", problem=problem)
            self._logged_s = now_s
        self._newest, self._made_s = problem, now_s
