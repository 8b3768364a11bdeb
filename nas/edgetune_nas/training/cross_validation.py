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
PIECE_WINDOWS = 4
"""Neighbouring windows of a recording that count as one piece of it: they tend to be right or wrong together."""
MOST_PIECES = 200
"""Pieces of recordings at most that results are kept of; beyond it, several count as one."""


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


def held_out_pieces(learned: Dataset, trained: int, fold: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Return the number of the piece of a recording that each training and validation window is held out with.

    A piece is a whole recording if it is held out whole, for its windows resemble each other. Of one that is learned in
    part it is `PIECE_WINDOWS` neighbours, for what is asked is how the same recording goes on.

    Parameters
    ----------
    trained
        Number of training windows, which come first.
    fold
        Folds of the cross-validation; None if validation windows alone are held out.
    """
    take = _takes(learned)
    part = (np.arange(len(learned)) >= trained).astype(np.int64) if fold is None else fold
    takes, parts = np.unique(np.unique(np.stack([take, part]), axis=1)[0], return_counts=True)
    order = np.lexsort((learned.start, take))
    if fold is None:
        order = order[order >= trained]
    block = np.zeros(len(learned), np.int64)
    for each in takes[parts > 1]:
        own = order[take[order] == each]
        block[own] = np.arange(len(own)) // PIECE_WINDOWS
    piece: NDArray[np.int64] = np.unique(np.stack([take, block]), axis=1, return_inverse=True)[1].reshape(-1)
    return piece % MOST_PIECES


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
