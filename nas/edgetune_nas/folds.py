"""Parts of a cross-validation: by whole takes, where there are some to compare."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgetune_signal.datasets import INDEPENDENT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgetune_signal.datasets import Dataset
    from edgetune_signal.splits import Split

FOLDS = 5
TAKES = 4
"""Takes of each sign that it needs before networks are trained.

Takes differ more than windows of one take do, so fewer cannot tell a network that has learned the take from one that
has learned the sign. Closed forms have too few parameters to learn the take.
"""
MANY_TAKES = 10
"""Of so many takes of each sign, the validation part alone has enough; of fewer, each take is asked about."""


def fewest_takes(data: Dataset, split: Split) -> int:
    """Count the takes of the class that has the fewest in training and validation windows; a library's do not count."""
    chosen, take = _takes(data, split)
    label = data.label[chosen]
    return min((len(np.unique(take[own])) for own in _classes(label, take)), default=0)


def folds(data: Dataset, split: Split, *, seed: int) -> NDArray[np.int64]:
    """Fold ``(training and validation windows,)`` of each window, below `FOLDS`; -1 for a library's.

    Folds are whole takes where each class has two or more, for windows of one take resemble each other; otherwise each
    class is cut by time within its takes.
    """
    rng = np.random.default_rng(seed)
    chosen, take = _takes(data, split)
    label = data.label[chosen]
    order = np.lexsort((data.start[chosen], take))
    whole_takes = fewest_takes(data, split) > 1
    fold = np.full(len(chosen), -1, np.int64)
    for own in _classes(label[order], take[order]):
        if whole_takes:
            takes, rank = np.unique(take[order[own]], return_inverse=True)
            fold[order[own]] = rng.permutation(len(takes))[rank] % FOLDS
        else:
            fold[order[own]] = np.arange(len(own)) * FOLDS // len(own)
    return fold


def _takes(data: Dataset, split: Split) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Training and validation windows, and the take of each: a take of its own where a window tells no time."""
    chosen = np.concatenate([split.train, split.validation])
    own = data.group.max() + 1 + np.arange(len(chosen))
    take = np.where(data.start[chosen] == INDEPENDENT, own, data.group[chosen])
    return chosen, take if data.library is None else np.where(data.library[chosen], -1, take)


def _classes(label: NDArray[np.int64], take: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Positions of each class's windows that are no library's."""
    return [np.flatnonzero((label == name) & (take >= 0)) for name in np.unique(label[take >= 0])]
