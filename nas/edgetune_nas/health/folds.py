"""Divides healthy windows into blocks that judge one another: whole recordings, or long parts of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edgetune_nas.errors import DataError
from edgetune_signal.datasets import INDEPENDENT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgetune_signal.datasets import Dataset

BLOCKS: Final = 5
"""Blocks of healthy windows, each judged by what the others have learned.

More of them learn from more, and cost more. On developers' recordings of five machines 3 and 10 give the same.
"""
WHOLE: Final = 3
"""Recordings of a condition from which on they are not cut."""
FEWEST: Final = 4
"""Windows of a block at least."""
APART: Final = -1
"""Block of a window that shares samples with one of another block; it is in none."""


def blocks(dataset: Dataset) -> NDArray[np.int64]:
    """Return the block ``(windows,)`` of each window, `APART` where it is in none.

    Neighbouring windows are alike, so that a window judged by its neighbours seems healthier than a later one will.
    Whole recordings are kept together where a condition has three or more; else each is cut into contiguous parts.

    Raises
    ------
    DataError
        When there are too few windows.
    """
    found = np.full(len(dataset), APART, np.int64)
    for condition in np.unique(dataset.condition):
        mine = np.flatnonzero(dataset.condition == condition)
        groups = np.unique(dataset.group[mine])
        single = (dataset.start[mine] == INDEPENDENT).all()
        if len(groups) >= WHOLE and not (single and len(groups) == len(mine)):
            for number, group in enumerate(groups):
                found[mine[dataset.group[mine] == group]] = number % BLOCKS
        elif single:
            _cut(found, mine)
        else:
            for group in groups:
                own = mine[dataset.group[mine] == group]
                _cut(found, own[np.argsort(dataset.start[own], kind="stable")])
                _part(found, own, dataset)
    counts = np.bincount(found[found != APART], minlength=2)
    if min(counts[0], counts[1]) < FEWEST:
        least = 2 * BLOCKS * FEWEST
        more = f"record {least} or more" if len(dataset) < least else "they share samples: use a larger hop"
        raise DataError(f"{len(dataset)} windows of health are too few to judge one another; {more}")
    return found


def _cut(found: NDArray[np.int64], ordered: NDArray[np.int64]) -> None:
    for number, part in enumerate(np.array_split(ordered, BLOCKS)):
        found[part] = number


def _part(found: NDArray[np.int64], own: NDArray[np.int64], dataset: Dataset) -> None:
    """Take windows that reach back into the block before out of their own."""
    ordered = own[np.argsort(dataset.start[own], kind="stable")]
    start, block = dataset.start[ordered], found[ordered]
    for number in np.unique(block)[1:]:
        last = start[block < number].max(initial=-dataset.length)
        found[ordered[(block == number) & (start < last + dataset.length)]] = APART
