"""Metrics against figures that were worked out by hand, and their laws."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from edgetune_nas.bundle.scores import calibration_error, confusion, interval, macro_f1, metrics
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
    assert (result.accuracy_low, result.accuracy_high) == pytest.approx((0.3596, 0.9797), abs=1e-4)
    assert (result.windows, result.recordings) == (5, None)


def test_accuracy_is_told_for_each_condition_that_has_windows() -> None:
    condition = np.array([0, 0, 2, 2, 2])
    result = metrics(certain([0, 0, 1, 2, 2]), np.array([0, 1, 1, 2, 2]), CLASSES, condition, ["0 hp", "1 hp", "2 hp"])

    assert result.accuracy_by_condition == {"0 hp": 0.5, "2 hp": 1.0}


def test_a_class_that_neither_occurs_nor_is_guessed_does_not_enter_macro_f1() -> None:
    assert macro_f1(np.array([[3, 0, 0], [0, 2, 0], [0, 0, 0]])) == 1.0
    assert macro_f1(np.array([[3, 0, 0], [0, 2, 1], [0, 0, 0]])) == pytest.approx((1 + 0.8 + 0) / 3)


def agresti_coull(right: int, total: int) -> tuple[float, float]:
    """Their interval as the paper has it, without recordings."""
    share = (right + 3.8415 / 2) / (total + 3.8415)
    half = 1.96 * (share * (1 - share) / (total + 3.8415)) ** 0.5
    return max(0.0, share - half), min(1.0, share + half)


@pytest.mark.parametrize(("right", "total"), [(0, 10), (10, 10), (4, 5), (90, 100)])
def test_windows_that_are_recordings_of_their_own_give_agresti_and_coulls_interval(right: int, total: int) -> None:
    assert interval(np.arange(total) < right) == pytest.approx(agresti_coull(right, total), abs=1e-4)


def test_recordings_that_are_wholly_right_or_wrong_count_once_whatever_their_length() -> None:
    recording = np.repeat(np.arange(10), 300)

    assert interval(recording < 9, recording) == pytest.approx(agresti_coull(9, 10), abs=1e-4)
    assert interval(recording < 10, recording)[0] == pytest.approx(0.679, abs=1e-3)


def test_many_recordings_of_equal_shares_give_a_narrow_interval_and_few_a_wide_one() -> None:
    def width(recordings: int) -> float:
        right = np.tile(np.arange(100) < 80, recordings)
        low, high = interval(right, np.repeat(np.arange(recordings), 100))
        assert low < 0.8 < high
        return high - low

    assert width(40) < 0.11
    assert width(40) < width(10) / 2 < width(3) / 2
    assert width(3) > 0.5


@given(st.lists(st.tuples(st.integers(1, 40), st.floats(0, 1)), min_size=1, max_size=30))
def test_the_interval_holds_the_accuracy(recordings: list[tuple[int, float]]) -> None:
    right = np.concatenate([np.arange(count) < round(share * count) for count, share in recordings])
    recording = np.repeat(np.arange(len(recordings)), [count for count, _ in recordings])

    low, high = interval(right, recording)

    assert 0 <= low <= right.mean() + 1e-12
    assert right.mean() - 1e-12 <= high <= 1


@pytest.mark.slow
def test_the_interval_covers_what_recordings_to_come_will_show() -> None:
    rng = np.random.default_rng(5)
    covered, runs = 0, 400
    for _ in range(runs):
        share = rng.beta(9, 1, size=12)  # recordings differ: nine of ten windows on the mean
        right = rng.random((12, 50)) < share[:, None]
        low, high = interval(right.reshape(-1), np.repeat(np.arange(12), 50))
        covered += low <= 0.9 <= high
    assert covered / runs >= 0.9


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
