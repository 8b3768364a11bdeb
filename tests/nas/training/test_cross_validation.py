"""Parts of a cross-validation: whole takes, never a library's, and never one part alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st

from edgetune_nas.training.cross_validation import (
    FOLDS,
    MOST_PIECES,
    PIECE_WINDOWS,
    fewest_takes,
    folds,
    folds_by_condition,
    held_out_pieces,
)
from edgetune_signal.datasets.load import INDEPENDENT, Dataset

EACH = 6
"""Windows of a take."""


def _data(takes: int, classes: int = 2) -> Dataset:
    """So many takes of each class, `EACH` windows each, in shuffled order."""
    windows = takes * classes * EACH
    order = np.random.default_rng(7).permutation(windows)
    take = order // EACH
    return Dataset(
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


@given(st.integers(2, 9), st.integers(2, 5), st.integers(0, 9))
def test_takes_stay_whole_and_each_class_is_in_as_many_parts_as_it_has_takes(
    takes: int, classes: int, seed: int
) -> None:
    data = _data(takes, classes)
    fold = folds(data, seed=seed)
    assert fewest_takes(data) == takes
    for group in range(takes * classes):
        assert len(np.unique(fold[data.group == group])) == 1
    for label in range(classes):
        assert set(fold[data.label == label]) == set(range(min(takes, FOLDS)))


def _in_conditions(takes: int, conditions: int) -> Dataset:
    data = _data(takes)
    names = tuple(f"{number} hp" for number in range(conditions))
    return replace(data, condition=data.group // 2 % conditions, conditions=names)


def test_a_condition_is_left_out_whole_and_every_class_stays() -> None:
    data = _in_conditions(takes=6, conditions=3)
    fold = folds_by_condition(data)
    assert fold is not None
    for each in np.unique(fold):
        assert len(np.unique(data.condition[fold == each])) == 1
        assert set(data.label[fold != each]) == {0, 1}


def test_more_conditions_than_folds_share_them() -> None:
    fold = folds_by_condition(_in_conditions(takes=9, conditions=9))
    assert fold is not None
    assert set(fold) == set(range(FOLDS))


def test_no_condition_is_left_out_where_a_class_would_go_with_it() -> None:
    assert folds_by_condition(_in_conditions(takes=4, conditions=1)) is None
    data = _in_conditions(takes=6, conditions=3)
    alone = np.where(data.label == 0, 0, data.condition)
    assert folds_by_condition(replace(data, condition=alone)) is None
    assert folds_by_condition(replace(data, library=data.condition == 0)) is None


def test_one_take_is_cut_by_time() -> None:
    data = _data(1)
    fold = folds(data, seed=0)
    for label in (0, 1):
        own = data.label == label
        ordered = fold[own][np.argsort(data.start[own])]
        assert (np.diff(ordered) >= 0).all()
        assert (ordered.min(), ordered.max()) == (0, FOLDS - 1)


def test_windows_without_a_place_in_a_recording_are_a_take_each() -> None:
    data = _data(1)
    data = replace(data, start=np.full(len(data), INDEPENDENT), group=np.zeros(len(data), np.int64))
    fold = folds(data, seed=0)
    assert fewest_takes(data) == EACH
    for label in (0, 1):
        assert sorted(np.bincount(fold[data.label == label])) == [1, 1, 1, 1, 2]


def test_a_librarys_windows_are_in_no_part_and_its_takes_do_not_count() -> None:
    data = _data(4)
    data = replace(data, library=data.group >= 4)
    fold = folds(data, seed=0)
    assert fewest_takes(data) == 2
    np.testing.assert_array_equal(fold < 0, data.group >= 4)
    only_library = replace(data, library=np.ones(len(data), np.bool_))
    assert fewest_takes(only_library) == 0
    assert (folds(only_library, seed=0) == -1).all()


def test_a_recording_that_is_held_out_whole_is_one_piece() -> None:
    data = _data(takes=4)
    for fold in (folds(data, seed=0), folds_by_condition(_in_conditions(takes=4, conditions=2))):
        piece = held_out_pieces(data, trained=30, fold=fold)
        for take in range(8):
            assert len(np.unique(piece[data.group == take])) == 1
        assert len(np.unique(piece)) == 8


@pytest.mark.parametrize("folded", [False, True])
def test_a_recording_that_is_learned_in_part_is_held_out_in_pieces_of_neighbours(*, folded: bool) -> None:
    windows, trained = 60, 30
    label = np.arange(windows) % 2
    data = replace(_data(takes=1), x=np.zeros((windows, 1, 8), np.float32), label=label, group=label)
    data = replace(data, start=np.arange(windows) * 8, condition=np.zeros(windows, np.int64))
    piece = held_out_pieces(data, trained, folds(data, seed=0) if folded else None)
    held_out = np.arange(windows) >= (0 if folded else trained)
    for each in np.unique(piece[held_out]):
        own = np.flatnonzero((piece == each) & held_out)
        assert len(np.unique(label[own])) == 1
        assert len(own) <= PIECE_WINDOWS
        assert own.max() - own.min() < 2 * PIECE_WINDOWS


def test_pieces_of_very_many_recordings_are_put_together() -> None:
    data = _data(takes=300)
    assert held_out_pieces(data, trained=0, fold=None).max() == MOST_PIECES - 1
