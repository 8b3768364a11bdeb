"""How much older data, or other people's, count beside the new: a library is a prior of means and of spread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Values = NDArray[np.float64]

MEAN_SHARE = 0.2
"""Weight of a library's mean of a class, as a share of the weight of the class's new windows.

More trusts the library longer, less the few new windows. Chosen on the sessions of 11 people (myo41), the takes of 6
(Myo), two loads (CWRU) and three speeds (HIT), with one or two new takes or 0.1 to 1 s a class: 0.1 and 0.3 are within
0.6 points, 1 loses up to 4. A fixed number of windows loses 6 where a class has 0.3 s of new signal.
"""
MOST_SPREAD = 0.5
"""Largest weight of the new windows' covariance; the rest is the library's.

Chosen on the same data, where it gives 0 to 1 point more than the weight of all new windows.
"""

STEPS_SHARE = 0.5
"""Share of a network's training steps on the library and the new windows together, before the new alone."""


def class_means(values: Values, label: NDArray[np.integer], origin: NDArray[np.integer]) -> Values:
    """Return the mean of each class that has windows, in the order of ``np.unique(label)``.

    Parameters
    ----------
    values
        ``(windows, features)``.
    origin
        ``(windows,)``: 0 for windows of the condition that counts, other numbers for a library's conditions.
    """
    found = []
    for each in np.unique(label):
        own, old = values[(label == each) & (origin == 0)], values[(label == each) & (origin != 0)]
        if not len(own) or not len(old):
            found.append((own if len(own) else old).mean(axis=0))
        else:
            found.append((own.mean(axis=0) + MEAN_SHARE * old.mean(axis=0)) / (1 + MEAN_SHARE))
    return np.stack(found)


def spread_share(new_windows: int, features: int) -> float:
    """Return the weight of the new windows' covariance: few windows tell little of many features."""
    return min(MOST_SPREAD, new_windows / (new_windows + features))


def moved_to_new(values: Values, label: NDArray[np.integer], origin: NDArray[np.integer]) -> Values:
    """Move a library's windows so that each condition's mean of a class is the class's mean.

    They then show how a class spreads, also from take to take, around where it is now. A class without new windows
    stays where it is.
    """
    result = values.copy()
    for each, mean in zip(np.unique(label), class_means(values, label, origin), strict=True):
        if not ((label == each) & (origin == 0)).any():
            continue
        for condition in np.unique(origin[label == each]):
            if condition:
                own = (label == each) & (origin == condition)
                result[own] += mean - values[own].mean(axis=0)
    return result
