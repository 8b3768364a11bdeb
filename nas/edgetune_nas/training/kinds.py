"""Kinds: recordings of a class that are one thing, such as a severity of a fault at several speeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgetune_nas.model import fit_frontend, kind_frontend, plan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgetune_nas.model import Floats, Labels, Layer
    from edgetune_signal.datasets import Dataset

    Levels = NDArray[np.float64]

NEAREST = 4.0
"""Ward distance, in standard deviations within recordings, below which two kinds are merged.

Chosen on bearing rigs and a gearbox together. A larger one gives smaller models that know fewer differences. Halved or
doubled it changes the examination by less than 0.1 points, and so do `MOST_KINDS`, `FEWEST_WINDOWS` and `LEAST_SPREAD`
(`make sensitivity`).
"""
MOST_KINDS = 8
"""Kinds of a class at most. Each costs a row of the output."""
FEWEST_WINDOWS = 8
"""Windows that a recording needs to be a kind; one with fewer joins the nearest kind of its class."""
MACS = 2e8
"""Operations that the levels of all recordings may take; beyond it, fewer windows of each are used."""
LEAST_SPREAD = 0.1
"""Standard deviation in nepers that every level has at least, as kinds are told apart."""


@dataclass(frozen=True, slots=True, eq=False)
class Kinds:
    """Kinds of all classes, numbered class by class.

    Attributes
    ----------
    of_window
        ``int64 (windows,)``, number of each window's kind.
    counts
        Number of kinds of each class.
    """

    of_window: Labels
    counts: tuple[int, ...]

    @property
    def several(self) -> bool:
        """Whether a class has more than one kind."""
        return max(self.counts, default=1) > 1


@dataclass(frozen=True, slots=True, eq=False)
class _Recording:
    """Windows of one class in one group, and their mean levels."""

    windows: Labels
    label: int
    condition: int
    mean: Levels


def one_kind_each(data: Dataset) -> Kinds:
    """Return one kind a class."""
    return Kinds(data.label, (1,) * len(data.classes))


def find_kinds(data: Dataset) -> Kinds:
    """Find the kinds of every class by the levels of its recordings in frequency bands.

    The mean of a class in a condition is taken off its recordings there. Recordings are then matched one to one with
    those of the condition that has most of them. With a library, and where windows are too short for bands, every class
    is one kind.
    """
    frontend = kind_frontend((data.channels, data.length))
    pairs = np.unique(np.stack([data.group, data.label]), axis=1).T
    if data.library is not None or not frontend or len(pairs) == len(np.unique(data.label)):
        return one_kind_each(data)
    affordable = int(MACS / plan((data.channels, data.length), frontend).macs / len(pairs))
    windows = [np.flatnonzero((data.group == group) & (data.label == label)) for group, label in pairs]
    large = [index for index, own in enumerate(windows) if len(own) >= FEWEST_WINDOWS]
    if not large:
        return one_kind_each(data)
    recordings, scale = _recordings(data, windows, max(FEWEST_WINDOWS, affordable), frontend)
    of_window = np.zeros(len(data), np.int64)
    counts: list[int] = []
    for label in range(len(data.classes)):
        own = [each for each in recordings if each.label == label]
        kind, count = _kinds_of_class(own, scale)
        for recording, number in zip(own, kind, strict=True):
            of_window[recording.windows] = sum(counts) + number
        counts.append(count)
    return Kinds(of_window, tuple(counts))


def _recordings(
    data: Dataset, windows: list[Labels], most: int, frontend: tuple[Layer, ...]
) -> tuple[list[_Recording], Levels]:
    """Return recordings with their mean levels, and the spread of each level within recordings."""
    picked = [own[np.linspace(0, len(own) - 1, min(len(own), most)).astype(np.int64)] for own in windows]
    features = fit_frontend(frontend, data.x[np.concatenate(picked)])[1]
    levels: Floats = features.reshape(len(features), -1)
    ends = np.cumsum([len(own) for own in picked])
    parts = np.split(levels.astype(np.float64), ends[:-1])
    recordings = [
        _Recording(own, int(data.label[own[0]]), int(data.condition[own[0]]), part.mean(axis=0))
        for own, part in zip(windows, parts, strict=True)
    ]
    within = np.concatenate([part - part.mean(axis=0) for part in parts if len(part) >= FEWEST_WINDOWS])
    return recordings, np.sqrt((within**2).mean(axis=0) + LEAST_SPREAD**2)


def _kinds_of_class(recordings: list[_Recording], scale: Levels) -> tuple[list[int], int]:
    """Return the kind of each recording of a class, and the number of kinds."""
    large = [index for index, each in enumerate(recordings) if len(each.windows) >= FEWEST_WINDOWS]
    if len(large) < 2:  # noqa: PLR2004 - one recording has nothing to differ from
        return [0] * len(recordings), 1
    place = _places(recordings, large, scale)
    by_condition: dict[int, list[int]] = {}
    for index in large:
        by_condition.setdefault(recordings[index].condition, []).append(index)
    reference = max(by_condition, key=lambda each: len(by_condition[each]))
    members = [[index] for index in by_condition[reference]]
    for condition, own in by_condition.items():
        if condition != reference:
            distance = ((place[own][:, None] - place[by_condition[reference]][None]) ** 2).sum(axis=2)
            for index, row in zip(own, match(distance), strict=True):
                members[row].append(index)
    merged = merge_near(np.stack([place[own].mean(axis=0) for own in members]), NEAREST, MOST_KINDS)
    kind = dict.fromkeys(range(len(recordings)), -1)
    for number, own in zip(merged, members, strict=True):
        kind |= dict.fromkeys(own, number)
    for index in range(len(recordings)):
        if kind[index] < 0:
            near = min(large, key=lambda each: float(((place[each] - place[index]) ** 2).sum()))
            kind[index] = kind[near]
    return list(kind.values()), max(merged) + 1


def _places(recordings: list[_Recording], large: list[int], scale: Levels) -> Levels:
    """Return the levels of recordings ``(recordings, levels)`` relative to their condition, in units of ``scale``."""
    means = np.stack([each.mean for each in recordings])
    condition = np.array([each.condition for each in recordings])
    for each in np.unique(condition):
        own = np.flatnonzero(condition == each)
        known = np.intersect1d(own, large)
        means[own] -= means[known if len(known) else own].mean(axis=0)
    return means / scale


def match(cost: Levels) -> list[int]:
    """Assign each row of ``cost (rows, columns)`` a column of its own so that the sum is least (Hungarian method).

    There are at least as many columns as rows. After Jonker and Volgenant, Computing 38 (1987) 325.
    """
    rows, columns = cost.shape
    u, v = np.zeros(rows + 1), np.zeros(columns + 1)
    owner = np.zeros(columns + 1, np.int64)  # row of each column, counted from 1; 0 is none
    for row in range(1, rows + 1):
        owner[0], column = row, 0
        least, way = np.full(columns + 1, np.inf), np.zeros(columns + 1, np.int64)
        used = np.zeros(columns + 1, np.bool_)
        while owner[column]:
            used[column] = True
            at = owner[column]
            reduced = cost[at - 1] - u[at] - v[1:]
            better = ~used[1:] & (reduced < least[1:])
            least[1:][better], way[1:][better] = reduced[better], column
            free = np.flatnonzero(~used[1:]) + 1
            following = int(free[least[free].argmin()])
            step = least[following]
            u[owner[used]] += step
            v[used] -= step
            least[free] -= step
            column = following
        while column:
            owner[column] = owner[way[column]]
            column = int(way[column])
    assigned = np.zeros(rows, np.int64)
    assigned[owner[1:][owner[1:] > 0] - 1] = np.flatnonzero(owner[1:])
    result: list[int] = assigned.tolist()
    return result


def merge_near(place: Levels, nearest: float, most: int) -> list[int]:
    """Merge points ``(points, levels)`` after Ward: those nearer than ``nearest``, and all beyond ``most`` clusters.

    Returns
    -------
    list
        Number of each point's cluster, in order of first occurrence.
    """
    members = [[index] for index in range(len(place))]
    centres = place.astype(np.float64)
    while len(members) > 1:
        size = np.array([len(each) for each in members], np.float64)
        squared = (centres**2).sum(axis=1)
        apart = squared[:, None] + squared[None] - 2 * centres @ centres.T
        ward = np.sqrt(np.maximum(apart, 0) * 2 * np.outer(size, size) / (size[:, None] + size[None]))
        np.fill_diagonal(ward, np.inf)
        first, second = sorted(divmod(int(ward.argmin()), len(members)))
        if ward[first, second] >= nearest and len(members) <= most:
            break
        centres[first] = (size[first] * centres[first] + size[second] * centres[second]) / (size[first] + size[second])
        members[first] += members.pop(second)
        centres = np.delete(centres, second, axis=0)
    number = {index: cluster for cluster, own in enumerate(members) for index in own}
    return [number[index] for index in range(len(place))]
