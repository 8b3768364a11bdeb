"""Parts of a cross-validation: whole takes, never a library's, and never one part alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgetune_nas.folds import FOLDS, fewest_takes, folds
from edgetune_signal.datasets import INDEPENDENT, Dataset
from edgetune_signal.splits import Split

EACH = 6
"""Windows of a take."""


def _data(takes: int, classes: int = 2) -> tuple[Dataset, Split]:
    """So many takes of each class, `EACH` windows each, in shuffled order; a fifth of the windows for validation."""
    windows = takes * classes * EACH
    order = np.random.default_rng(7).permutation(windows)
    take = order // EACH
    data = Dataset(
        x=np.zeros((windows, 1, 8), np.float32),
        label=take % classes,
        classes=tuple("abcdefgh"[:classes]),
        rate_hz=200.0,
        unit="counts",
        group=take,
        start=order % EACH * 8,
        condition=np.zeros(windows, np.int64),
        conditions=("",),
    )
    places = np.arange(windows)
    return data, Split(places[places % 5 > 0], places[places % 5 == 0], places[:0])


def _in_order(split: Split) -> np.ndarray:
    return np.concatenate([split.train, split.validation])


@given(st.integers(2, 9), st.integers(2, 5), st.integers(0, 9))
def test_takes_stay_whole_and_each_class_is_in_as_many_parts_as_it_has_takes(
    takes: int, classes: int, seed: int
) -> None:
    data, split = _data(takes, classes)
    fold = folds(data, split, seed=seed)
    chosen = _in_order(split)
    assert fewest_takes(data, split) == takes
    for group in range(takes * classes):
        assert len(np.unique(fold[data.group[chosen] == group])) == 1
    for label in range(classes):
        assert set(fold[data.label[chosen] == label]) == set(range(min(takes, FOLDS)))


def test_one_take_is_cut_by_time() -> None:
    data, split = _data(1)
    fold, chosen = folds(data, split, seed=0), _in_order(split)
    for label in (0, 1):
        own = data.label[chosen] == label
        ordered = fold[own][np.argsort(data.start[chosen][own])]
        assert (np.diff(ordered) >= 0).all()
        assert (ordered.min(), ordered.max()) == (0, FOLDS - 1)


def test_windows_without_a_place_in_a_recording_are_a_take_each() -> None:
    data, split = _data(1)
    data = replace(data, start=np.full(len(data), INDEPENDENT), group=np.zeros(len(data), np.int64))
    fold, chosen = folds(data, split, seed=0), _in_order(split)
    assert fewest_takes(data, split) == EACH
    for label in (0, 1):
        assert sorted(np.bincount(fold[data.label[chosen] == label])) == [1, 1, 1, 1, 2]


def test_a_librarys_windows_are_in_no_part_and_its_takes_do_not_count() -> None:
    data, split = _data(4)
    data = replace(data, library=data.group >= 4)
    fold, chosen = folds(data, split, seed=0), _in_order(split)
    assert fewest_takes(data, split) == 2
    np.testing.assert_array_equal(fold < 0, data.group[chosen] >= 4)
    only_library = replace(data, library=np.ones(len(data), np.bool_))
    assert fewest_takes(only_library, split) == 0
    assert (folds(only_library, split, seed=0) == -1).all()
