"""Parts of a cross-validation: by whole takes, where there are some to compare."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgetune_signal.datasets import INDEPENDENT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgetune_signal.datasets import Dataset

FOLDS = 5
TAKES = 4
"""Takes of each sign that it needs before networks are trained.

Takes differ more than windows of one take do, so fewer cannot tell a network that has learned the take from one that
has learned the sign. Closed forms have too few parameters to learn the take.
"""
MANY_TAKES = 10
"""Of so many takes of each sign, the validation part alone has enough; of fewer, each take is asked about."""


def fewest_takes(learned: Dataset) -> int:
    """Count the takes of the class that has the fewest; a library's do not count."""
    take = _takes(learned)
    return min((len(np.unique(take[own])) for own in _classes(learned.label, take)), default=0)


def folds(learned: Dataset, *, seed: int) -> NDArray[np.int64]:
    """Fold ``(windows,)`` of each training and validation window, below `FOLDS`; -1 for a library's.

    Folds are whole takes where each class has two or more, for windows of one take resemble each other; otherwise each
    class is cut by time within its takes.
    """
    rng = np.random.default_rng(seed)
    take = _takes(learned)
    order = np.lexsort((learned.start, take))
    whole_takes = fewest_takes(learned) > 1
    fold = np.full(len(learned), -1, np.int64)
    for own in _classes(learned.label[order], take[order]):
        if whole_takes:
            takes, rank = np.unique(take[order[own]], return_inverse=True)
            fold[order[own]] = rng.permutation(len(takes))[rank] % FOLDS
        else:
            fold[order[own]] = np.arange(len(own)) * FOLDS // len(own)
    return fold


def _takes(learned: Dataset) -> NDArray[np.int64]:
    """Take of each window: one of its own where a window tells no time, -1 of a library's."""
    own = learned.group.max() + 1 + np.arange(len(learned))
    take = np.where(learned.start == INDEPENDENT, own, learned.group)
    return take if learned.library is None else np.where(learned.library, -1, take)


def _classes(label: NDArray[np.int64], take: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Positions of each class's windows that are no library's."""
    return [np.flatnonzero((label == name) & (take >= 0)) for name in np.unique(label[take >= 0])]
