"""Means of each minute of what a machine's vibration shows, in batches for the disk; and how such rows are written."""

from __future__ import annotations

import struct
from collections import deque
from math import isfinite
from typing import TYPE_CHECKING, Final, get_args

from edgetune_node.contract import TrendFigure, Vibration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from edgetune_node.events import Effect

TREND_FIGURES: Final[tuple[TrendFigure, ...]] = get_args(TrendFigure)
TREND_ROW: Final = struct.Struct(f"<I{len(TREND_FIGURES)}f")
"""A minute, counted from the epoch, and the mean of each figure; NaN where there is none."""
MINUTE_S: Final = 60
BATCH: Final = 60
"""Minutes that are written to the disk at once: a power cut loses as many, an SD card is written once an hour."""

DISTANCES_KEPT: Final = 256


class TrendRecorder:
    """Averages what an asset publishes over minutes; of several channels the largest value counts."""

    def __init__(self) -> None:
        self._minute = 0
        self._sums: dict[TrendFigure, list[float]] = {}
        self._rows: list[bytes] = []
        self._distances: deque[float] = deque(maxlen=DISTANCES_KEPT)

    def hear(self, effects: Iterable[Effect]) -> None:
        """Count the indicators among what is published."""
        for effect in effects:
            message = getattr(effect, "message", None)
            if not isinstance(message, Vibration):
                continue
            self._enter(int(message.ts.timestamp()) // MINUTE_S)
            values: Mapping[TrendFigure, Iterable[float | None]] = {
                "rms": message.rms,
                "peak": message.peak,
                "crest_factor": message.crest_factor,
                "kurtosis": message.kurtosis,
                "velocity_rms_mm_s": message.velocity_rms_mm_s or (),
            }
            for name, channels in values.items():
                good = [value for value in channels if value is not None and isfinite(value)]
                if good:
                    self._add(name, max(good))

    def distance(self, ratio: float, time_ns: int) -> None:
        """Count the distance of a window, whose last sample is at ``time_ns``, to everything known; 1 is its limit."""
        if isfinite(ratio):
            self._enter(time_ns // (MINUTE_S * 10**9))
            self._add("distance", ratio)
            self._distances.append(ratio)

    def take_distances(self) -> list[float]:
        """Return the distances since the last call, at most the newest `DISTANCES_KEPT`."""
        distances = list(self._distances)
        self._distances.clear()
        return distances

    def take(self, *, all_of_them: bool = False) -> bytes:
        """Return the rows that are due to be written, once: a batch, or with ``all_of_them`` whatever there is."""
        if all_of_them:
            self._enter(0)
        if len(self._rows) < BATCH and not all_of_them:
            return b""
        rows, self._rows = self._rows, []
        return b"".join(rows)

    def forget(self) -> None:
        """Drop what is not on disk yet."""
        self._rows, self._sums, self._minute = [], {}, 0
        self._distances.clear()

    @property
    def pending(self) -> bytes:
        """Rows that are not on disk yet, that of the present minute included."""
        return b"".join([*self._rows, *self._row()])

    def _add(self, name: TrendFigure, value: float) -> None:
        sums = self._sums.setdefault(name, [0.0, 0.0])
        sums[0] += value
        sums[1] += 1

    def _enter(self, minute: int) -> None:
        """Begin another minute; what comes a moment late for the one before counts for this one."""
        if minute not in {self._minute, self._minute - 1}:
            self._rows += self._row()
            self._sums = {}
            self._minute = minute

    def _row(self) -> list[bytes]:
        if self._minute == 0 or not self._sums:
            return []
        means = (_mean(self._sums.get(name)) for name in TREND_FIGURES)
        return [TREND_ROW.pack(min(self._minute, 2**32 - 1), *means)]


def _mean(sums: list[float] | None) -> float:
    return float("nan") if sums is None else sums[0] / sums[1]
