"""How good class probabilities are against the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edgetune_nas.card import Metrics
from edgetune_nas.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

CALIBRATION_BINS: Final = 15
Z_95: Final = 1.959963984540054


def metrics(
    probabilities: NDArray[np.floating],
    label: NDArray[np.integer],
    classes: Sequence[str],
    condition: NDArray[np.integer] | None = None,
    conditions: Sequence[str] = (),
    recording: NDArray[np.integer] | None = None,
) -> Metrics:
    """Score probabilities by their argmax; no threshold and no ``unknown`` enters.

    Parameters
    ----------
    probabilities
        ``(windows, classes)``, rows that sum to one.
    label
        ``(windows,)``, index of the true class of each window.
    classes
        Names of the classes, in the order of the columns.
    condition
        ``(windows,)``, index into ``conditions`` of each window; conditions without windows are left out.
    conditions
        Names of the conditions.
    recording
        ``(windows,)``, number of each window's recording; None where they are not known.

    Raises
    ------
    DataError
        When there is no window, or shapes and indices do not fit one another.
    """
    if probabilities.ndim != 2 or not len(probabilities) or probabilities.shape != (len(label), len(classes)):  # noqa: PLR2004
        raise DataError(
            f"probabilities of shape {probabilities.shape} do not fit {len(label)} labels and {len(classes)} classes; "
            "give one row a window (at least one) and one column a class"
        )
    check_indices("label", label, len(label), len(classes))
    guess = probabilities.argmax(axis=1)
    right = guess == label
    by_condition: dict[str, float] = {}
    if condition is not None:
        check_indices("condition", condition, len(label), len(conditions))
        for index in np.unique(condition):
            by_condition[conditions[int(index)]] = float(right[condition == index].mean())
    matrix = confusion(label, guess, len(classes))
    low, high = interval(right, recording)
    return Metrics(
        accuracy=float(right.mean()),
        accuracy_low=low,
        accuracy_high=high,
        macro_f1=macro_f1(matrix),
        calibration_error=calibration_error(probabilities.max(axis=1), right),
        windows=len(right),
        confusion=matrix.tolist(),
        accuracy_by_condition=by_condition,
        recordings=None if recording is None else len(np.unique(recording)),
    )


def confusion(label: NDArray[np.integer], guess: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    """Count ``(classes, classes)`` pairs, with true classes in rows and guesses in columns."""
    flat = np.bincount(label.astype(np.int64) * classes + guess, minlength=classes * classes)
    return flat.reshape(classes, classes).astype(np.int64)


def macro_f1(matrix: NDArray[np.int64]) -> float:
    """Mean F1 over the classes that occur in a confusion matrix, as truth or as a guess."""
    support = matrix.sum(axis=1) + matrix.sum(axis=0)
    present = support > 0
    return float(np.mean(2 * np.diagonal(matrix)[present] / support[present]))


def interval(
    right: NDArray[np.bool_], recording: NDArray[np.integer] | None = None, z: float = Z_95
) -> tuple[float, float]:
    """Bound the accuracy at 95 %, taking recordings, not windows, as what was drawn at random.

    Parameters
    ----------
    right
        ``(windows,)``.
    recording
        ``(windows,)``, number of each window's recording; None takes each window for a recording of its own.

    Notes
    -----
    Windows of one recording tend to be right or wrong together, so that a hundred of them say little more than one
    (design effect: Kish, Survey Sampling, 1965). With shares p_i of recordings of n_i windows, n in all, the effective
    number of recordings is m = n^2 / sum n_i^2, and each counts u_i = m n_i / n. As Agresti and Coull (Am. Stat. 52
    (1998) 119) do with trials, z^2 recordings are added, half of them wholly right and half wholly wrong:

        centre = (sum u_i p_i + z^2 / 2) / (m + z^2)
        spread = (sum u_i (p_i - centre)^2 + z^2 / 2 (centre^2 + (1 - centre)^2)) / (m + z^2)
        centre +- z sqrt(spread / (m + z^2))

    Recordings that are each wholly right or wrong give Agresti and Coull's interval of m trials: ten of ten right is 68
    to 100 %, whatever their length. Many recordings of equal shares give a narrow one. The accuracy always lies within.
    """
    number = np.arange(len(right)) if recording is None else np.unique(recording, return_inverse=True)[1].reshape(-1)
    windows = np.bincount(number).astype(np.float64)
    share = np.bincount(number, weights=right) / windows
    effective = float(windows.sum() ** 2 / (windows**2).sum())
    weight = effective * windows / windows.sum()
    total = effective + z * z
    centre = (float(weight @ share) + z * z / 2) / total
    spread = (float(weight @ (share - centre) ** 2) + z * z / 2 * (centre**2 + (1 - centre) ** 2)) / total
    half = z * (spread / total) ** 0.5
    return max(0.0, centre - half), min(1.0, centre + half)


def calibration_error(confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> float:
    """Estimate the expected calibration error over 15 equal bins of confidence (Guo et al., ICML 2017)."""
    bins = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(np.int64) - 1, 0, CALIBRATION_BINS - 1)
    gap = np.bincount(bins, weights=confidence.astype(np.float64) - right, minlength=CALIBRATION_BINS)
    return float(np.abs(gap).sum() / len(right))


def check_indices(name: str, indices: NDArray[np.integer], length: int, count: int) -> None:
    """Raise `DataError` unless ``indices`` are ``length`` integers from 0 to ``count - 1``."""
    if indices.shape != (length,) or not np.issubdtype(indices.dtype, np.integer):
        raise DataError(f"{name} has shape {indices.shape} and type {indices.dtype}; give {length} integers")
    if indices.min() < 0 or indices.max() >= count:
        raise DataError(f"{name} runs from {indices.min()} to {indices.max()}, but there are {count} names for it")
