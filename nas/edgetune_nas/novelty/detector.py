"""Novelty detection: the distance of a window from everything that a network was trained on."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgetune_nas.errors import BundleError
from edgetune_nas.library import moved_to_new
from edgetune_nas.novelty.features import BandLevels, Levels, rising
from edgetune_signal.errors import RecordingError
from edgetune_signal.recordings import open_npz

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

NOVELTY: Final = "novelty.npz"
SHRINKAGE: Final = 0.1
OWN_SPREAD: Final = 3
"""Windows a feature from which on a class's own spread counts as much as that of all classes together."""
QUANTILE, MARGIN = 0.9, 1.75
"""Limit of vibration: this quantile of the validation windows' distances, times a margin for other loads and speeds.

Of gestures with a library: this quantile of the distances between its takes, times the margin. Chosen on 11 people's
later sessions (myo41) with one new take: at a margin of 1.5, 14 % of known windows are unknown and 75 % of a left-out
gesture's; at 1.75, 8 and 64 %; at 2, 5 and 50 %.
"""
LEAST_LIMIT: Final = 1e-9
"""Lowest limit. Distances are published in multiples of it, and these must stay finite numbers."""


@dataclass(frozen=True, slots=True, eq=False)
class Classes:
    """Centres of the known classes, each with its spread; one for each kind of a class.

    Attributes
    ----------
    labels
        Index of each centre's class among the model's, ``int64 (centres,)``, in order.
    centres
        Mean features, ``float32 (centres, features)``.
    whitenings
        ``float32 (centres, features, features)``; makes the spread around a centre one in every direction.
    """

    labels: NDArray[np.int64]
    centres: NDArray[np.float32]
    whitenings: NDArray[np.float32]

    @classmethod
    def fit(cls, known: NDArray[np.float64], label: NDArray[np.integer]) -> Classes:
        """Fit to features ``(windows, features)`` of known windows.

        Notes
        -----
        Each class has a covariance of its own (Friedman, 1989, "Regularized discriminant analysis"). The fewer windows
        it has, the more it is drawn towards that of all classes. A multiple of the identity has a fixed weight in it.
        """
        classes, index = np.unique(label, return_inverse=True)
        centres = np.array([known[index == at].mean(axis=0) for at in range(len(classes))])
        spread = known - centres[index]
        together = spread.T @ spread / len(spread)
        whitenings = []
        for at in range(len(classes)):
            own = spread[index == at]
            weight = len(own) / (len(own) + OWN_SPREAD * known.shape[1])
            whitenings.append(_whitening(weight * (own.T @ own) / len(own) + (1 - weight) * together))
        return cls(classes.astype(np.int64), centres.astype(np.float32), np.array(whitenings, np.float32))

    def distances(self, found: NDArray[np.float64], said: NDArray[np.integer] | None = None) -> NDArray[np.float64]:
        """Compute the Mahalanobis distance ``(windows,)`` to the class that each is said to be, or to the nearest."""
        if said is None:
            return self._nearest(found)
        result = np.empty(len(found))
        for label in set(said.tolist()):
            mine = said == label
            result[mine] = self._nearest(found[mine], np.flatnonzero(self.labels == label))
        return result

    def apart_from(self, centre: NDArray[np.float64], found: NDArray[np.float64], place: int) -> NDArray[np.float64]:
        """Compute the distance ``(windows,)`` from ``centre`` by the spread of the class at ``place``."""
        distance: NDArray[np.float64] = np.linalg.norm((found - centre) @ self.whitenings[place], axis=1)
        return distance

    def _nearest(self, found: NDArray[np.float64], places: NDArray[np.intp] | None = None) -> NDArray[np.float64]:
        """Distance to the nearest of the centres at ``places``, of all where there is none."""
        every = range(len(self.labels)) if places is None or not len(places) else places.tolist()
        apart = np.array([self._apart(found, place) for place in every])
        nearest: NDArray[np.float64] = apart.min(axis=0)
        return nearest

    def _apart(self, found: NDArray[np.float64], place: int) -> NDArray[np.float64]:
        return self.apart_from(self.centres[place], found, place)


@dataclass(frozen=True, slots=True, eq=False)
class Novelty:
    """Distance to a class, in standard deviations within that class.

    Attributes
    ----------
    describe
        Features of a window.
    classes
        Where the known classes lie.
    limit
        Distance from which on a window of vibration is novel, or a gesture by the median of its windows.
    """

    describe: BandLevels | Levels
    classes: Classes
    limit: float

    def distances(self, x: NDArray[np.float32], said: NDArray[np.integer] | None = None) -> NDArray[np.float64]:
        """Compute the Mahalanobis distance ``(windows,)`` to the class that each is said to be, or to the nearest.

        Parameters
        ----------
        x
            ``(windows, channels, length)``.
        said
            ``(windows,)``, indices of classes; of one that had no training windows the nearest class counts.
        """
        return self.classes.distances(self.describe.of(x), said)

    def unknown(self, x: NDArray[np.float32], said: NDArray[np.integer] | None = None) -> NDArray[np.bool_]:
        """Mark the windows ``(windows,)`` that are unlike the class that each is said to be, or unlike all."""
        return ~(self.distances(x, said) <= self.limit)  # nor is it known where it is no number

    def to_bytes(self) -> bytes:
        """Return the contents of a bundle's file."""
        file = io.BytesIO()
        known = self.classes
        arrays: dict[str, Any] = {
            **{name: getattr(self.describe, name) for name in self.describe.NAMES},
            **({"floor": np.float64(self.describe.floor)} if isinstance(self.describe, BandLevels) else {}),
            "labels": known.labels,
            "centres": known.centres,
            "whitenings": known.whitenings,
            "limit": np.float64(self.limit),
        }
        np.savez(file, **arrays)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, channels: int, length: int, classes: int) -> Novelty:
        """Read a bundle's file; raise `BundleError` if it does not fit ``classes`` and windows of that shape."""
        known = ("labels", "centres", "whitenings")
        try:
            with open_npz(Path(NOVELTY), data) as file:
                kind = Levels if "quiet" in file.names else BandLevels
                file.require(*kind.NAMES, *known, "limit")
                figures: Iterator[Any] = (file.array(name, max_bytes=len(data)) for name in kind.NAMES)
                describe = kind(*figures)
                if isinstance(describe, BandLevels) and "floor" in file.names:
                    describe = replace(describe, floor=file.number("floor"))
                lie = Classes(*(file.array(name, max_bytes=len(data)) for name in known))
                limit = file.number("limit")
        except RecordingError as error:
            raise BundleError(f"{error}; restore the bundle or search again") from error
        fits = (
            describe.fits(length)
            and rising(lie.labels, classes - 1, strictly=False)
            and LEAST_LIMIT < limit < float("inf")
        )
        size = describe.size(channels) if fits else -1
        fits = (
            fits
            and lie.centres.shape == (len(lie.labels), size)
            and lie.whitenings.shape == (len(lie.labels), size, size)
            and all(each.dtype == np.float32 and np.isfinite(each).all() for each in (lie.centres, lie.whitenings))
        )
        if not fits:
            raise BundleError(
                f"{NOVELTY} does not fit {classes} classes of windows of {channels} channels and {length} samples"
            )
        return cls(describe, lie, limit)


def fit_novelty(
    x: NDArray[np.float32],
    label: NDArray[np.integer],
    validation: NDArray[np.float32],
    kind: NDArray[np.integer] | None = None,
    origin: NDArray[np.integer] | None = None,
) -> Novelty:
    """Fit the novelty detector of vibration.

    Parameters
    ----------
    x, label
        Training windows ``(windows, channels, length)`` and their classes ``(windows,)``.
    validation
        Other windows of the same classes, at least one, which set the limit.
    kind
        Kinds of the training windows ``(windows,)``, in the order of their classes. A class that is several clouds, as
        of severities, has a centre for each: one for all would lie between them, and be wide. None for one a class.
    origin
        ``(windows,)``: 0 for windows of the condition that counts, other numbers for a library's conditions. None
        without a library.

    Notes
    -----
    Mahalanobis distance to the nearest class mean (Lee et al., 2018, "A simple unified framework for detecting
    out-of-distribution samples"). Here it is of figures of the signal, not of a network's features. A library shows
    how a class spreads, not where it is: pooled with the new windows it would make one wide class of two conditions.
    """
    describe = BandLevels.fit(x)
    known = describe.of(x)
    cloud = label if kind is None else kind
    classes = Classes.fit(known if origin is None else moved_to_new(known, cloud, origin), cloud)
    if kind is not None:
        _, first = np.unique(kind, return_index=True)
        classes = replace(classes, labels=label[first].astype(np.int64))
    within = classes.distances(describe.of(validation))
    return Novelty(describe, classes, vibration_limit(within))


def vibration_limit(within: NDArray[np.float64]) -> float:
    """Return the limit of vibration that distances ``(windows,)`` of validation windows set."""
    return MARGIN * float(np.quantile(within, QUANTILE))


def _whitening(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    size = len(covariance)
    mean = max(float(np.trace(covariance)) / size, np.finfo(np.float64).eps)
    return np.linalg.inv(np.linalg.cholesky((1 - SHRINKAGE) * covariance + SHRINKAGE * mean * np.eye(size))).T
