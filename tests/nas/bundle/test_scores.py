"""Metrics against figures that were worked out by hand, and their laws."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from edgetune_nas.bundle.scores import calibration_error, confusion, macro_f1, metrics, wilson
from edgetune_nas.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLASSES = ["good", "inner", "outer"]


def certain(guess: list[int], confidence: float = 1.0) -> NDArray[np.float32]:
    rest = (1 - confidence) / 2
    return np.where(np.eye(3)[guess] == 1, confidence, rest).astype(np.float32)


def test_five_windows_by_hand() -> None:
    result = metrics(certain([0, 0, 1, 2, 2]), np.array([0, 1, 1, 2, 2]), CLASSES)

    assert result.accuracy == 0.8
    assert result.confusion == [[1, 0, 0], [1, 1, 0], [0, 0, 2]]
    assert result.macro_f1 == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert result.calibration_error == pytest.approx(0.2)
    assert (result.accuracy_low, result.accuracy_high) == pytest.approx((0.3755, 0.9638), abs=1e-4)
    assert result.windows == 5


def test_accuracy_is_told_for_each_condition_that_has_windows() -> None:
    condition = np.array([0, 0, 2, 2, 2])
    result = metrics(certain([0, 0, 1, 2, 2]), np.array([0, 1, 1, 2, 2]), CLASSES, condition, ["0 hp", "1 hp", "2 hp"])

    assert result.accuracy_by_condition == {"0 hp": 0.5, "2 hp": 1.0}


def test_a_class_that_neither_occurs_nor_is_guessed_does_not_enter_macro_f1() -> None:
    assert macro_f1(np.array([[3, 0, 0], [0, 2, 0], [0, 0, 0]])) == 1.0
    assert macro_f1(np.array([[3, 0, 0], [0, 2, 1], [0, 0, 0]])) == pytest.approx((1 + 0.8 + 0) / 3)


def test_wilson_stays_inside_zero_and_one_and_holds_the_share() -> None:
    assert wilson(0, 10) == pytest.approx((0, 0.2775), abs=1e-4)
    assert wilson(10, 10) == pytest.approx((0.7225, 1), abs=1e-4)


@given(st.integers(1, 5000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_the_interval_holds_the_accuracy(pair: tuple[int, int]) -> None:
    low, high = wilson(*pair)

    assert 0 <= low <= pair[0] / pair[1] + 1e-12
    assert pair[0] / pair[1] - 1e-12 <= high <= 1


def test_confidence_that_keeps_its_word_has_no_calibration_error() -> None:
    right = np.array([True] * 9 + [False])

    assert calibration_error(np.full(10, 0.9), right) == pytest.approx(0)
    assert calibration_error(np.full(10, 0.5), right) == pytest.approx(0.4)


@given(hnp.arrays(np.int64, st.integers(1, 50), elements=st.integers(0, 3)))
def test_confusion_counts_every_window_once(label: NDArray[np.int64]) -> None:
    guess = label[::-1]
    matrix = confusion(label, guess, 4)

    assert matrix.sum() == len(label)
    assert np.trace(matrix) == np.sum(label == guess)
    assert np.array_equal(matrix.sum(axis=1), np.bincount(label, minlength=4))


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ([0, 1], r"do not fit 2 labels"),
        ([0, 1, 3], r"label runs from 0 to 3, but there are 3 names"),
        ([0, 1, -1], r"label runs from -1 to 1"),
        ([0.0, 1.0, 2.0], r"give 3 integers"),
    ],
)
def test_labels_that_do_not_fit_are_refused(label: list[float], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        metrics(certain([0, 1, 2]), np.array(label), CLASSES)


def test_no_windows_are_refused() -> None:
    with pytest.raises(DataError, match="at least one"):
        metrics(np.zeros((0, 3)), np.zeros(0, int), CLASSES)
