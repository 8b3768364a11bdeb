"""Cross-validation: its folds, of whole takes where there are several, and how an estimator does on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgetune_signal.datasets import INDEPENDENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edgetune_nas.training.estimator import Estimator, Fitted, TrainingSet
    from edgetune_signal.datasets import Dataset

FOLDS = 5
"""Folds at most: more would train on more windows each, and take as much longer."""


def fewest_takes(learned: Dataset) -> int:
    """Count the takes of the class that has the fewest, without a library's."""
    take = _takes(learned)
    return min((len(np.unique(take[own])) for own in _classes(learned.label, take)), default=0)


def folds(learned: Dataset, *, seed: int) -> NDArray[np.int64]:
    """Assign each training and validation window ``(windows,)`` a fold below `FOLDS`; -1 for a library's.

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


def folds_by_condition(learned: Dataset) -> NDArray[np.int64] | None:
    """Assign each training and validation window ``(windows,)`` the fold of its condition.

    Return None with a library, and unless every class would be left in every fit.
    """
    condition = np.unique(learned.condition, return_inverse=True)[1].reshape(-1)
    fold: NDArray[np.int64] = condition % FOLDS
    pairs = np.unique(np.stack([learned.label, fold]), axis=1)
    return fold if learned.library is None and (np.bincount(pairs[0]) > 1).all() else None


def cross_validate(
    estimator: Estimator, data: TrainingSet, fold: NDArray[np.int64], stop: Callable[[], bool]
) -> tuple[NDArray[np.float32], list[Fitted]]:
    """Fit to all windows but one fold's, for each fold in turn, and score the windows left out.

    Parameters
    ----------
    fold
        ``int64 (windows,)``; windows of fold -1 belong to every fit.

    Returns
    -------
    tuple
        Logits ``(windows, classes)``, of each window from the fit that left it out (0 for fold -1), and the fits.
    """
    estimator, data = estimator.for_folds(data)
    logits = np.zeros((len(data.y), data.classes), np.float32)
    fits = []
    for number in np.unique(fold[fold >= 0]):  # a few windows do not fill every fold
        left_out = fold == number
        fits.append(estimator.fit(data.select(~left_out), stop))
        logits[left_out] = estimator.logits(fits[-1].network, data.x[left_out])
    return logits, fits


def _takes(learned: Dataset) -> NDArray[np.int64]:
    """Return the take of each window: one of its own where a window tells no time, -1 of a library's."""
    own = learned.group.max() + 1 + np.arange(len(learned))
    take = np.where(learned.start == INDEPENDENT, own, learned.group)
    return take if learned.library is None else np.where(learned.library, -1, take)


def _classes(label: NDArray[np.int64], take: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the positions of each class's windows, without a library's."""
    return [np.flatnonzero((label == name) & (take >= 0)) for name in np.unique(label[take >= 0])]
