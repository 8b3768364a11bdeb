"""The limit of a distance: how far healthy windows may lie, and how many false alarms that will be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edgetune_nas.card import FALSE_ALARMS_PER_MONTH
from edgetune_nas.errors import DataError
from edgetune_signal.datasets import INDEPENDENT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgetune_signal.datasets import Dataset

TIMES: Final = 2.5
"""Limit over the median of cross-fitted distances, while there is too little health to measure a rate.

Less finds weaker changes and alarms more often. Chosen on developers' recordings of CWRU, UESTC, HIT, a gearbox and
motors: healthy recordings of other moments reach 1.7 medians, of faulty ones the least 4.0, and 2.5 is in their middle.
Limits from the windows that were learned called up to all healthy windows unlike health there; quantiles and fitted
tails needed minutes of health, and found nothing where health has a rare mode.
"""
MONTH_S: Final = 2_629_800.0
RULE_OF_THREE: Final = 3.0
"""Events that a time without any rules out at 95 % (exp(-3) = 0.05)."""
VOTES, SHARE = 10, 0.8
"""Consecutive windows, and the share of them over the limit, that count as a false alarm."""
LEAST_LIMIT: Final = 1e-6
"""Lowest limit: windows of a living sensor differ by more."""
SEGMENT_S: Final = 60.0
"""Seconds in which all false alarms together count as one, as they do for who is alarmed."""


@dataclass(frozen=True, slots=True, eq=False)
class LimitRule:
    """How the limit follows from cross-fitted distances.

    Attributes
    ----------
    segment, place
        ``int64 (windows,)``: which stretch of at most `SEGMENT_S` seconds each window is of, and its place in time.
    seconds
        Healthy time that all windows cover.
    per_month
        False alarms a month that are wanted.
    """

    segment: NDArray[np.int64]
    place: NDArray[np.int64]
    seconds: float
    per_month: float = FALSE_ALARMS_PER_MONTH

    @classmethod
    def of(cls, dataset: Dataset, block: NDArray[np.int64], per_month: float) -> LimitRule:
        """Return the rule for the healthy windows of a data set, divided into blocks."""
        alone = dataset.start == INDEPENDENT
        place = np.where(alone, np.arange(len(dataset)) * dataset.length, dataset.start)
        group = np.where(alone, -1, dataset.group)
        minute = (place / (SEGMENT_S * dataset.rate_hz)).astype(np.int64)
        _, segment = np.unique(np.stack([group, block, minute]), axis=1, return_inverse=True)
        return cls(segment.reshape(-1).astype(np.int64), place, healthy_seconds(dataset), per_month)

    @property
    def how(self) -> str:
        """How the limit of all windows follows, for people."""
        if alarms_within(self.per_month * self.seconds / MONTH_S) is None:
            return f"{TIMES:g} times the median of cross-fitted distances"
        return f"measured: at most {self.per_month:g} false alarms a month on the health heard"

    def limit(self, distances: NDArray[np.float64], index: NDArray[np.int64]) -> float:
        """Return the limit that follows from cross-fitted ``distances`` of the healthy windows ``index``.

        It is `TIMES` the median until the health heard is longer than 3 over the wanted rate. From then on it is the
        lowest that keeps to this rate on what was heard.

        Raises
        ------
        DataError
            When all windows are the same.
        """
        allowed = alarms_within(self.per_month * self.seconds * len(index) / len(self.segment) / MONTH_S)
        worst = np.sort(self.worst(distances, index))[::-1]
        limit = TIMES * float(np.median(distances)) if allowed is None or allowed >= len(worst) else worst[allowed]
        if not limit > LEAST_LIMIT:
            raise DataError("the windows of health are all alike: check that the sensor is alive, and record again")
        return float(limit)

    def alarms(self, ratios: NDArray[np.float64], index: NDArray[np.int64]) -> int:
        """Count false alarms: stretches in which windows are over their limit for long; ``ratios`` are over limits."""
        return int((self.worst(ratios, index) > 1).sum())

    def worst(self, distances: NDArray[np.float64], index: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return of each stretch the highest limit ``(stretches,)`` under which it would raise an alarm."""
        found = []
        segment = self.segment[index]
        for number in np.unique(segment):
            mine = np.flatnonzero(segment == number)
            own = distances[mine[np.argsort(self.place[index[mine]], kind="stable")]]
            votes = min(VOTES, len(own))
            needed = int(np.ceil(SHARE * votes))
            runs = np.sort(np.lib.stride_tricks.sliding_window_view(own, votes), axis=1)
            found.append(float(runs[:, votes - needed].max()))
        return np.array(found)


def alarms_within(expected: float) -> int | None:
    """Return the most alarms that leave a rate of ``expected`` in the time possible; None where none are too many."""
    if expected < RULE_OF_THREE:
        return None
    return int((np.sqrt(expected - RULE_OF_THREE + 1) - 1) ** 2)  # n + 2 sqrt(n) = expected - 3


def supported_per_month(alarms: int, seconds: float) -> float:
    """Return the most alarms a month that ``alarms`` in a time of health leave possible at 95 %.

    Of no alarm that is 3 over the time; of ``n`` alarms n + 2 sqrt(n) + 3, a bound a little above that of Poisson.
    """
    return float((RULE_OF_THREE + alarms + 2 * alarms**0.5) * MONTH_S / seconds)


def healthy_seconds(dataset: Dataset) -> float:
    """Return the time that the windows cover, in seconds; what two of them share counts once."""
    samples = 0
    for group in np.unique(dataset.group):
        start = np.sort(dataset.start[dataset.group == group])
        alone = start == INDEPENDENT
        samples += int(alone.sum()) * dataset.length
        placed = start[~alone]
        if len(placed):
            samples += int(np.minimum(np.diff(placed), dataset.length).sum()) + dataset.length
    return samples / dataset.rate_hz
