"""The windows of a search laid one part behind the other, so that no part of them is a copy of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edgetune_nas.errors import DataError
from edgetune_nas.training.kinds import one_kind_each
from edgetune_signal.datasets import merge_library, split_dataset
from edgetune_signal.errors import RecordingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edgetune_nas.model import Labels
    from edgetune_nas.training.kinds import Kinds
    from edgetune_signal.datasets import Dataset, Split

SHORTEST = 2
"""Samples of a window: one alone has neither spectrum nor envelope."""


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """What a search learns from and is tested on.

    Attributes
    ----------
    everything
        Training windows, then validation windows, then those that are tested on.
    trained, learned_count
        Number of training windows, and of training and validation windows.
    fingerprint
        Of all windows, those that are in no part included.
    kind
        ``int64 (windows,)``, kind of each of ``everything``.
    kinds
        Number of kinds of each class.
    """

    everything: Dataset
    trained: int
    learned_count: int
    fingerprint: str
    kind: Labels
    kinds: tuple[int, ...]

    @property
    def several_kinds(self) -> bool:
        """Whether a class has more than one kind."""
        return max(self.kinds) > 1

    @property
    def learned(self) -> Dataset:
        """Training windows, then validation windows."""
        return self.everything.select(slice(self.learned_count))

    @property
    def test(self) -> Dataset:
        """Windows that no choice is made on. The winner is measured on them before it learns them."""
        return self.everything.select(slice(self.learned_count, None))

    @property
    def train(self) -> Dataset:
        """Training windows."""
        return self.everything.select(slice(self.trained))

    @property
    def validation(self) -> Dataset:
        """Validation windows."""
        return self.everything.select(slice(self.trained, self.learned_count))


def divide(
    dataset: Dataset, library: Dataset | None, seed: int, find_kinds: Callable[[Dataset], Kinds] = one_kind_each
) -> Parts:
    """Divide the windows of a machine or person, and those of a library, into the parts of a search.

    Every kind is divided by itself where it has windows enough, so that all are learned and all are tested.

    Raises
    ------
    DataError
        When a class has too few windows, the library does not fit, windows are too short, or a value is not finite.
    """
    try:
        data = dataset if library is None else merge_library(dataset, library)
        kinds = find_kinds(data)
        split = _divided_by_kind(data, kinds, seed)
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
    order = np.concatenate([split.train, split.validation, split.test])
    return Parts(
        data.select(order),
        len(split.train),
        len(split.train) + len(split.validation),
        data.fingerprint(),
        kinds.of_window[order],
        kinds.counts,
    )


def _divided_by_kind(data: Dataset, kinds: Kinds, seed: int) -> Split:
    if kinds.several:
        names = tuple(
            f"{name} {number}"
            for name, count in zip(data.classes, kinds.counts, strict=True)
            for number in range(count)
        )
        try:
            return split_dataset(replace(data, label=kinds.of_window, classes=names), seed=seed)
        except RecordingError:
            pass  # a kind with few windows cannot be divided; its class may be
    return split_dataset(data, seed=seed)


def _validated_on_new(split: Split, library: NDArray[np.bool_]) -> Split:
    """Validate on the new windows alone, for they are what counts, and train on all the library has."""
    old = library[split.validation]
    if old.all():
        return split
    train = np.sort(np.concatenate([split.train, split.validation[old]]))
    return replace(split, train=train, validation=split.validation[~old])
