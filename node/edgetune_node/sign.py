"""Turns the verdicts of single windows into signs: one event for each run of windows of one class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgetune_node.alarm import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from edgetune_node.config import SignSection


@dataclass(frozen=True, slots=True)
class SignEvent:
    """One recognised sign.

    Attributes
    ----------
    event
        Its identifier.
    class_
        Which sign.
    confidence
        Mean over its windows.
    start, end
        Time of the first sample of its first window and of the last sample of its last one.
    windows
        How many windows said so.
    """

    event: str
    class_: str
    confidence: float
    start: datetime
    end: datetime
    windows: int


@dataclass(slots=True)
class _Run:
    class_: str
    start: datetime
    end: datetime
    confidence: float = 0.0
    windows: int = 0
    doubts: int = 0
    """Uncertain windows since the last certain one."""


class SignDetector:
    """Watches one person's verdicts.

    ``min_windows`` windows of one class make a sign, which is told when the run ends: by another class, by rest, by a
    gap in the samples, or by ``min_windows`` uncertain windows in a row (class ``unknown``, or confidence under
    ``min_confidence``). Fewer uncertain windows do not cut a sign in two, and never count for it.

    Parameters
    ----------
    settings
        The asset's ``[asset.sign]``.
    rest_class
        The class that is no sign.
    new_event_id
        Gives an identifier that was never given before.
    """

    def __init__(self, settings: SignSection, rest_class: str, new_event_id: Callable[[], str]) -> None:
        self._settings = settings
        self._rest = rest_class
        self._new_event_id = new_event_id
        self._run: _Run | None = None

    def observe(self, class_: str, confidence: float, start: datetime, end: datetime) -> SignEvent | None:
        """Count one window's verdict.

        Parameters
        ----------
        class_
            Its class, or ``unknown``.
        confidence
            From 0 to 1.
        start, end
            Time of the window's first and last sample, UTC.

        Returns
        -------
        SignEvent or None
            The sign that this window ended.
        """
        run = self._run
        if class_ == UNKNOWN or not confidence >= self._settings.min_confidence:
            if run is None:
                return None
            run.doubts += 1
            return self.gap() if run.doubts >= self._settings.min_windows else None
        ended = None
        if run is None or run.class_ != class_:
            ended = self.gap()
            if class_ == self._rest:
                return ended
            run = self._run = _Run(class_, start, end)
        run.end = end
        run.confidence += confidence
        run.windows += 1
        run.doubts = 0
        return ended

    def gap(self) -> SignEvent | None:
        """End the running sign, if there is one: the samples break off here."""
        run, self._run = self._run, None
        if run is None or run.windows < self._settings.min_windows:
            return None
        return SignEvent(
            event=self._new_event_id(),
            class_=run.class_,
            confidence=run.confidence / run.windows,
            start=run.start,
            end=run.end,
            windows=run.windows,
        )
