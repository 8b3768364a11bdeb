"""Makes the health model of a machine: which shape hears a change best without alarming at health."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edgetune_nas.health.detector import Whitening, crossed, features, fitted_levels
from edgetune_nas.health.folds import APART
from edgetune_nas.health.imitation import imitations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgetune_nas.health.limit import LimitRule
    from edgetune_nas.health.shapes import HealthShape
    from edgetune_nas.model import Floats, Layer

IMITATED: Final = 96
"""Healthy windows that changes are added to."""
CLEARLY: Final = 0.1
"""Share of imitated changes that a shape must find more than the first one, to be taken in its place.

Imitated changes are no faults, so a small lead says little. On developers' recordings of five machines all is the same
from 0.1 on; at 0.05 a shape is taken on the gearbox that has less to spare (faulty recordings at 4.2 medians, not 4.6).
"""
TWO: Final = 2
"""Blocks of which neither can be limited without the other."""


@dataclass(frozen=True, slots=True, eq=False)
class HealthCandidate:
    """A shape on the healthy windows: its features, and those of imitated changes, ``(windows, features)``."""

    shape: HealthShape
    frontend: tuple[Layer, ...]
    healthy: NDArray[np.float64]
    changed: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class FittedHealth:
    """A candidate with its centre and limit.

    ``over`` is the share of cross-fitted healthy windows over the limit, ``heard`` that of imitated changes.
    """

    candidate: HealthCandidate
    whitening: Whitening
    limit: float
    over: float
    heard: float


def imitated(x: Floats, seed: int) -> Floats:
    """Return some of the healthy windows with imitated changes; the same for every shape."""
    picked = np.linspace(0, len(x) - 1, min(len(x), IMITATED)).astype(np.int64)
    return imitations(x[picked], np.random.default_rng(seed))


def candidates(shapes: Sequence[HealthShape], x: Floats, seed: int) -> list[HealthCandidate]:
    """Compute the features of every shape."""
    changed = imitated(x, seed)
    found = []
    for shape in shapes:
        frontend, healthy = fitted_levels(shape, x)
        found.append(HealthCandidate(shape, frontend, healthy, features(frontend, changed)))
    return found


def choose(tried: Sequence[HealthCandidate], block: NDArray[np.int64], rule: LimitRule) -> FittedHealth:
    """Fit every candidate and return the best.

    The first one stands unless another finds `CLEARLY` more imitated changes, and calls no more of health unlike it.
    """
    fits = [_fitted(each, block, rule) for each in tried]
    best = fits[0]
    for each in fits[1:]:
        if each.over <= fits[0].over and each.heard >= fits[0].heard + CLEARLY and each.heard > best.heard:
            best = each
    return best


def held_out(
    tried: Sequence[HealthCandidate], block: NDArray[np.int64], rule: LimitRule
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Judge every block by a model that was chosen, fitted and limited on the other blocks alone.

    Returns
    -------
    ratios, index
        Distance of each window over the limit, and which window it is; windows that are in no block are left out.
    """
    ratios, indices = [], []
    numbers = np.unique(block[block != APART])
    for number in numbers:
        judged = np.flatnonzero(block == number)
        rest = np.where(block == number, APART, block)
        model = choose(tried, rest if len(numbers) > TWO else block, rule)
        whitening = Whitening.fit(model.candidate.healthy[rest != APART], model.candidate.shape.rank)
        ratios.append(whitening.distances(model.candidate.healthy[judged]) / model.limit)
        indices.append(judged)
    return np.concatenate(ratios), np.concatenate(indices)


def _fitted(candidate: HealthCandidate, block: NDArray[np.int64], rule: LimitRule) -> FittedHealth:
    """Fit to the windows of all blocks, with the limit that follows from how they judge one another."""
    distances, index = crossed(candidate.healthy, block, candidate.shape.rank)
    limit = rule.limit(distances, index)
    whitening = Whitening.fit(candidate.healthy[block != APART], candidate.shape.rank)
    return FittedHealth(
        candidate,
        whitening,
        limit,
        over=float((distances > limit).mean()),
        heard=float((whitening.distances(candidate.changed) > limit).mean()),
    )
