"""The windows of a search laid one part behind the other, so that no part of them is a copy of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edgetune_nas.errors import DataError
from edgetune_signal.datasets import merge_library, split_dataset
from edgetune_signal.errors import RecordingError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgetune_signal.datasets import Dataset, Split

SHORTEST = 2
"""Samples of a window: one alone has neither spectrum nor envelope."""


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """What a search learns from and is tested on.

    Attributes
    ----------
    learned
        Training windows, then validation windows.
    trained
        How many of them are training windows.
    test
        Windows for the report alone.
    fingerprint
        Of all windows, those that are in no part included.
    """

    learned: Dataset
    trained: int
    test: Dataset
    fingerprint: str

    @property
    def train(self) -> Dataset:
        """Training windows."""
        return self.learned.select(slice(self.trained))

    @property
    def validation(self) -> Dataset:
        """Validation windows."""
        return self.learned.select(slice(self.trained, None))


def divide(dataset: Dataset, library: Dataset | None, seed: int) -> Parts:
    """Divide the windows of a machine or person, and those of a library, into the parts of a search.

    Raises
    ------
    DataError
        When a class has too few windows, the library does not fit, windows are too short, or a value is not finite.
    """
    try:
        data = dataset if library is None else merge_library(dataset, library)
        split = split_dataset(data, seed=seed)
    except RecordingError as error:
        raise DataError(str(error)) from error
    if not np.isfinite(data.x).all():
        raise DataError("the windows hold values that are no finite numbers; record those parts again")
    if data.length < SHORTEST:
        raise DataError(
            f"a window has {data.length} sample, which tells no vibration; cut windows of {SHORTEST} or more"
        )
    if not len(split.test):
        raise DataError("no new window is left to test on, and a library's never are: add three or more of each class")
    if data.library is not None:
        split = _validated_on_new(split, data.library)
    ordered = data.select(np.concatenate([split.train, split.validation, split.test]))
    trained, learned = len(split.train), len(split.train) + len(split.validation)
    return Parts(ordered.select(slice(learned)), trained, ordered.select(slice(learned, None)), data.fingerprint())


def _validated_on_new(split: Split, library: NDArray[np.bool_]) -> Split:
    """Validate on the new windows alone, for they are what counts, and train on all the library has."""
    old = library[split.validation]
    if old.all():
        return split
    train = np.sort(np.concatenate([split.train, split.validation[old]]))
    return replace(split, train=train, validation=split.validation[~old])
