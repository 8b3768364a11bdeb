"""Notices a network that is sure of hardly anything: nothing would be raised, and nothing cleared, without a word."""

from __future__ import annotations

from collections import deque
from typing import Final

WINDOWS: Final = 256
"""So many windows are looked back on."""
DOUBTFUL, SURE_AGAIN = 0.9, 0.5
"""Part of them without a vote from which it is said, and under which it is taken back."""


class ConfidenceMonitor:
    """Counts the usable windows that the alarm could not count, because the network was not sure enough of them.

    Parameters
    ----------
    min_confidence
        From which on a window is a vote.
    """

    def __init__(self, min_confidence: float) -> None:
        self._min_confidence = min_confidence
        self._doubts: deque[bool] = deque(maxlen=WINDOWS)
        self._count = 0
        self._said = False

    def hear(self, confidence: float) -> None:
        """Count a window by the confidence of its vote."""
        doubt = confidence < self._min_confidence
        gone = len(self._doubts) == WINDOWS and self._doubts[0]
        self._doubts.append(doubt)
        self._count += doubt - gone
        self._said = self._count >= WINDOWS * (SURE_AGAIN if self._said else DOUBTFUL)

    def forget(self) -> None:
        """Begin anew, with another network."""
        self._doubts.clear()
        self._count = 0
        self._said = False

    @property
    def reason(self) -> str | None:
        """What is wrong and what to do, for people; None where nothing is."""
        if not self._said:
            return None
        return (
            f"the model is less sure than min_confidence = {self._min_confidence:g} of most that it hears, so that no "
            "fault can be raised or cleared: record more of each class, of every severity and load, then recalibrate"
        )
