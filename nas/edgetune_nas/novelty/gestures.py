"""Novelty detection of gestures: where a person's known ones lie, and from what distance on another is novel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edgetune_nas.novelty.detector import LEAST_LIMIT, Classes, Novelty
from edgetune_nas.novelty.features import Levels

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
FOLDS: Final = 5


def fit_sign_novelty(
    x: NDArray[np.float32], label: NDArray[np.integer], take: NDArray[np.integer], own: NDArray[np.bool_]
) -> Novelty | None:
    """Fit the novelty detector of gestures.

    Parameters
    ----------
    x, label
        Windows ``(windows, channels, length)`` that may be learned from, and their classes ``(windows,)``.
    take
        The take of each window, ``(windows,)``.
    own
        Which windows are the person's, ``(windows,)``; others count for classes alone of which the person has none.

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
    """
    counted = own | ~np.isin(label, label[own])
    x, label, take = x[counted], label[counted], take[counted]
    if len(np.unique(label)) < FEWEST:
        return None
    describe = Levels.fit(x)
    known = describe.of(x)
    limit = APART * float(np.median(_apart(known, label)))
    alike, times = _alike(known, label, take), ALIKE
    if not alike:
        alike, times = _alike(known, label, _parts(label, take)), ALIKE_PARTS
    if alike:
        limit = min(limit, times * float(np.median(alike)))
    return Novelty(describe, Classes.fit(known, label), max(limit, 2 * LEAST_LIMIT))


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
