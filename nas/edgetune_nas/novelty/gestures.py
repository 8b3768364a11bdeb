"""Novelty detection of gestures: where a person's known ones lie, and from what distance on another is novel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edgetune_nas.library import moved_to_new
from edgetune_nas.novelty.detector import LEAST_LIMIT, MARGIN, QUANTILE, Classes, Novelty
from edgetune_nas.novelty.features import Levels
from edgetune_nas.novelty.limits import NEXT_SESSION

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST: Final = 3
"""Fewest classes: one that is left out, and two that it is compared with."""
APART: Final = 0.75
"""Highest limit, as a share of the distance between known gestures. A higher one finds fewer novel gestures."""
ALIKE: Final = 2.0
"""Highest limit, in distances between takes of one gesture. A lower one rejects more known gestures."""
PARTS, ALIKE_PARTS = 4, 4.0
"""Parts of a take that stand for takes where every class has one; they are more alike, so this replaces `ALIKE`."""
LIBRARY_MARGIN: Final = MARGIN / NEXT_SESSION
"""Limit with a library: times `QUANTILE` of the distances between its takes.

These do show the next session. So by default the limit comes to `MARGIN`, which was chosen on later sessions.
"""
FOLDS: Final = 5


def fit_sign_novelty(
    x: NDArray[np.float32],
    label: NDArray[np.integer],
    take: NDArray[np.integer],
    origin: NDArray[np.integer] | None = None,
) -> Novelty | None:
    """Fit the novelty detector of gestures.

    Parameters
    ----------
    x, label
        Windows ``(windows, channels, length)`` that may be learned from, and their classes ``(windows,)``.
    take
        The take of each window, ``(windows,)``.
    origin
        ``(windows,)``: 0 for the person's windows as they are now, other numbers for a library's conditions. None
        without a library.

    Returns
    -------
    Novelty or None
        None where there are too few classes to set a limit by.

    Notes
    -----
    The distance is that of `edgetune_nas.novelty.fit_novelty`, of `Levels`. Each class in turn is taken for an unknown
    one: its windows' mean distance to the nearest of the others is what an unknown gesture is like. Then takes are left
    out: their mean distance to their class is what a known one is like. `APART` of the median of the former or `ALIKE`
    times the median of the latter is the limit, whichever is less. Where every class has one take alone, parts of it
    are left out, and `ALIKE_PARTS` counts. The numbers were chosen on the first three cycles of the Myo recordings and
    on validation gestures of the Italian signs.

    A library that has several takes of a class shows how one take differs from the next. Then it gives the spread, and
    the distance of windows from as many other takes as there are new ones gives the limit.
    """
    if len(np.unique(label)) < FEWEST:
        return None
    if origin is not None:
        found = _fit_with_library(x, label, take, origin)
        if found is not None:
            return found
        counted = (origin == 0) | ~np.isin(label, label[origin == 0])
        x, label, take = x[counted], label[counted], take[counted]
    describe = Levels.fit(x)
    known = describe.of(x)
    limit = APART * float(np.median(_apart(known, label)))
    alike, times = _alike(known, label, take), ALIKE
    if not alike:
        alike, times = _alike(known, label, _parts(label, take)), ALIKE_PARTS
    if alike:
        limit = min(limit, times * float(np.median(alike)))
    return Novelty(describe, Classes.fit(known, label), max(limit, 2 * LEAST_LIMIT))


def _fit_with_library(
    x: NDArray[np.float32], label: NDArray[np.integer], take: NDArray[np.integer], origin: NDArray[np.integer]
) -> Novelty | None:
    """Fit to new windows and a library; None where it has not two takes of any class that the new windows have."""
    new = origin == 0
    describe = Levels.fit(x[new])
    known = moved_to_new(describe.of(x), label, origin)
    classes = Classes.fit(known, label)
    takes = min(len(np.unique(take[new & (label == each)])) for each in np.unique(label[new]))
    found, shown = [], False
    for place, each in enumerate(classes.labels):
        of_class = label == each
        if not (of_class & new).any():
            continue
        for condition in np.unique(origin[of_class]):
            more = _between_takes(classes, place, known, np.where(of_class & (origin == condition), take, -1), takes)
            found += more
            shown = shown or (bool(condition) and bool(more))
    if not shown:
        return None
    limit = LIBRARY_MARGIN * float(np.quantile(np.concatenate(found), QUANTILE))
    return Novelty(describe, classes, max(limit, 2 * LEAST_LIMIT))


def _between_takes(
    classes: Classes, place: int, known: NDArray[np.float64], take: NDArray[np.integer], count: int
) -> list[NDArray[np.float64]]:
    """Compute the distances of windows from the mean of ``count`` other takes; windows of take -1 are left out."""
    takes = np.unique(take[take >= 0])
    found = []
    for first in range(0, len(takes) if len(takes) > 1 else 0, -(-len(takes) // FOLDS)):
        centre = takes[(first + np.arange(min(count, len(takes) - 1))) % len(takes)]
        within = np.isin(take, centre)
        asked = known[(take >= 0) & ~within]
        found.append(classes.apart_from(known[within].mean(axis=0), asked, place))
    return found


def _apart(known: NDArray[np.float64], label: NDArray[np.integer]) -> list[float]:
    """Compute the mean distance of each class to the nearest of the others."""
    found = []
    for each in np.unique(label):
        out = label == each
        found.append(float(Classes.fit(known[~out], label[~out]).distances(known[out]).mean()))
    return found


def _parts(label: NDArray[np.integer], take: NDArray[np.integer]) -> NDArray[np.int64]:
    """Cut each take of a class into `PARTS`, which are takes then."""
    parts = np.empty(len(label), np.int64)
    for number, (class_, one) in enumerate(np.unique(np.stack([label, take]), axis=1).T):
        mine = np.flatnonzero((label == class_) & (take == one))
        parts[mine] = number * PARTS + np.arange(len(mine)) * PARTS // len(mine)
    return parts


def _alike(known: NDArray[np.float64], label: NDArray[np.integer], take: NDArray[np.integer]) -> list[float]:
    """Compute the mean distance of each take to its class as other takes show it, of classes that have several."""
    pairs, part = np.unique(np.stack([label, take]), axis=1, return_inverse=True)
    part = part.reshape(-1)
    fold = np.full(pairs.shape[1], -1)
    for each in np.unique(pairs[0]):
        mine = np.flatnonzero(pairs[0] == each)
        if len(mine) > 1:
            fold[mine] = np.arange(len(mine)) % FOLDS
    found = []
    for each in range(FOLDS):
        out = fold[part] == each
        if out.any():
            distances = Classes.fit(known[~out], label[~out]).distances(known[out], label[out])
            found += [float(distances[part[out] == one].mean()) for one in np.unique(part[out])]
    return found
