"""Finds whether a figure rises over time, from a bounded memory that reaches further back the longer it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edgetune_node.contract import TrendWord

FEWEST_POINTS = 12
MOST_POINTS = 64
FIRST_STEP_S = 10.0
CLEAR_T = 4.0
"""Slope over its standard error that is no chance (of 10,000 steady machines one)."""
CLEAR_CHANGE = 0.1
"""Of the mean: a smaller change over the whole time is no trend, however sure."""


@dataclass(frozen=True, slots=True)
class Slope:
    """How a figure moved: per hour, over so many seconds, and in a word."""

    per_hour: float
    seconds: float
    word: TrendWord


class Trend:
    """Means of a figure over steps of `FIRST_STEP_S`; when `MOST_POINTS` are full, steps double and pairs merge."""

    def __init__(self) -> None:
        self._step_s = FIRST_STEP_S
        self._points: list[tuple[float, float]] = []
        self._open: list[tuple[float, float]] = []

    def add(self, time_s: float, value: float) -> None:
        """Add a value at a monotonic time."""
        if self._open and time_s - self._open[0][0] >= self._step_s:
            self._points.append(_mean(self._open))
            self._open.clear()
        self._open.append((time_s, value))
        if len(self._points) >= MOST_POINTS:
            pairs = zip(self._points[::2], self._points[1::2], strict=True)
            self._points = [_mean(list(pair)) for pair in pairs]
            self._step_s *= 2

    @property
    def slope(self) -> Slope | None:
        """Least-squares slope; None until there are `FEWEST_POINTS` points."""
        if len(self._points) < FEWEST_POINTS:
            return None
        time_s, value = np.array(self._points).T
        centred = time_s - time_s.mean()
        spread = float(centred @ centred)
        slope = float(centred @ value) / spread
        left = value - value.mean() - slope * centred
        error = float(np.sqrt((left @ left) / (len(left) - 2) / spread))
        seconds = float(time_s[-1] - time_s[0])
        moved = abs(slope) > CLEAR_T * error and abs(slope) * seconds > CLEAR_CHANGE * abs(float(value.mean()))
        return Slope(3600 * slope, seconds, "steady" if not moved else "rising" if slope > 0 else "falling")


def _mean(points: list[tuple[float, float]]) -> tuple[float, float]:
    return sum(time for time, _ in points) / len(points), sum(value for _, value in points) / len(points)
