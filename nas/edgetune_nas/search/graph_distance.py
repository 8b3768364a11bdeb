"""Distances to known classes in the graph of a network, in the place of a file beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgetune_nas.library import moved_to_new
from edgetune_nas.model import (
    Distances,
    Gram,
    frontend_features,
    is_closed_form,
    origins,
    plan,
    shapes,
    split_frontend,
)
from edgetune_nas.novelty import Classes, vibration_limit
from edgetune_nas.search.engine import MANY_BANDS, excess

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edgetune_nas.card import Budget
    from edgetune_nas.model import Network
    from edgetune_nas.novelty import Novelty
    from edgetune_nas.training import Parts

    Distance = Callable[[NDArray[Any]], NDArray[np.float64]]
    Fit = Callable[[NDArray[np.float64], NDArray[np.integer], NDArray[np.integer]], Distance]

EACH, COMMON = 0.2, 0.2
"""Spread in nepers (8.7 dB) that another load or speed adds to each level by itself, and to all of them together.

Without them what is known is called unknown at another speed. With more, so is less of what is unknown.
"""
LOUDNESS = 0.7
"""Distance of a neper of loudness. One direction among many weighs too little else: a machine four times as loud would
stay known. At 1, other speeds are unknown."""
SHRINKAGE = 0.3
"""Share of the unit matrix in the correlations of levels, as of health models."""
LEAST_SPREAD = 5e-3
"""Nepers that are added to the spread of a level: a dead channel has none."""
LEAST_LIMIT = 1e-6
"""Lowest limit: distances are published in multiples of it."""
QUANTILE, MARGIN = 0.9, 1.5
"""Limit: this quantile of the validation windows' distances, times a margin for other loads and speeds.

Less finds more of what is unknown, and calls more of what is known so. All of these were chosen on the machines of
``make bench-unknown``, where no more known windows were unknown than by the side file.
"""
MOST_LEVELS: Final = 512
"""Levels of at most so many: the matrix that whitens them has their square, 1 MiB here."""
FAINT: Final = 0.2
"""Quantile of a left-out class's distances that says how clearly it is found."""
LESS_FOUND, LESS_CLEAR = 0.02, 0.15
"""How much less than by the side file may be found of left-out classes: in share, and in nepers of how clearly.

Chosen on some machines of ``make bench-unknown`` and on simulated bearings. On these the levels miss a race that is
damaged for the first time.
"""


def with_distances(network: Network, parts: Parts, budget: Budget, side_file: Novelty) -> Network | None:
    """Return a network of machine conditions with `Distances` in its graph; None where the side file is to be kept.

    It takes levels that the network computes anyway, so that only a closed form of many bands has them. The budget,
    which counts int8, must hold both. When each class is left out in turn, the levels must find it as the side file
    does.

    Notes
    -----
    Mahalanobis distance to the nearest class mean in a common covariance (Lee et al., 2018, "A simple unified framework
    for detecting out-of-distribution samples").
    """
    frontend, _ = split_frontend(network.layers)
    if not is_closed_form(network) or any(isinstance(layer, Gram) for layer in frontend):
        return None
    train, kind = parts.train, parts.kind[: parts.trained]
    channels, length = shapes(network.input_shape, frontend)[-1]
    cost = plan(network.input_shape, network.layers, centres=len(np.unique(kind)))
    if not MANY_BANDS <= channels * length <= MOST_LEVELS or excess(cost, budget):
        return None
    levels = frontend_features(frontend, train.x).reshape(len(train), -1).astype(np.float64)
    describe = side_file.describe.of
    spectra = describe(train.x)
    origin = origins(train)
    if origin is not None:
        levels, spectra = moved_to_new(levels, kind, origin), moved_to_new(spectra, kind, origin)
    known = parts.validation
    heard = frontend_features(frontend, known.x).reshape(len(known), -1)
    found = _left_out(parts, levels, heard, _nearest_by_levels, _limit)
    wanted = _left_out(parts, spectra, describe(known.x), _nearest_by_spectra, vibration_limit)
    if found[0] < wanted[0] - LESS_FOUND or found[1] < wanted[1] - LESS_CLEAR:
        return None
    distances = distances_of(levels, train.label, kind)
    return replace(network, distances=replace(distances, limit=_limit(apart(distances, heard, known.label))))


def _limit(within: NDArray[np.float64]) -> float:
    return max(LEAST_LIMIT, MARGIN * float(np.quantile(within, QUANTILE)))


def _nearest_by_levels(levels: NDArray[np.float64], label: NDArray[np.integer], kind: NDArray[np.integer]) -> Distance:
    distances = distances_of(levels, label, kind)
    return lambda heard: apart(distances, heard, np.full(len(heard), -1))


def _nearest_by_spectra(known: NDArray[np.float64], _: NDArray[np.integer], kind: NDArray[np.integer]) -> Distance:
    return Classes.fit(known, kind).distances


def _left_out(
    parts: Parts,
    learned: NDArray[np.float64],
    held: NDArray[Any],
    fit: Fit,
    limit_of: Callable[[NDArray[np.float64]], float],
) -> tuple[float, float]:
    """Leave out each class in turn: how much of it is found, and how clearly, in nepers over the limit; both means.

    ``learned`` and ``held`` are features ``(windows, features)`` of the training and validation windows.
    """
    label, held_label = parts.train.label, parts.validation.label
    kind = parts.kind[: parts.trained]
    shares, clear = [], []
    for class_ in np.unique(label):
        known, near = label != class_, held_label != class_
        if not near.any():
            continue
        distance = fit(learned[known], label[known], kind[known])
        limit = max(LEAST_LIMIT, limit_of(distance(held[near])))
        far = distance(np.concatenate([learned[~known], held[~near]]))
        shares.append(float((far > limit).mean()))
        clear.append(float(np.log(max(LEAST_LIMIT, float(np.quantile(far, FAINT))) / limit)))
    return (float(np.mean(shares)), float(np.mean(clear))) if shares else (0.0, 0.0)


def distances_of(levels: NDArray[np.float64], label: NDArray[np.integer], kind: NDArray[np.integer]) -> Distances:
    """Return the distances to the kinds of each class, of their ``levels (windows, features)``."""
    _, first, index = np.unique(kind, return_index=True, return_inverse=True)
    means = np.array([levels[index == each].mean(axis=0) for each in range(len(first))])
    within = levels - means[index]
    size = levels.shape[1]
    covariance = within.T @ within / len(within) + EACH**2 * np.eye(size) + COMMON**2
    spread = np.sqrt(np.diag(covariance)) + LEAST_SPREAD
    correlation = (1 - SHRINKAGE) * covariance / np.outer(spread, spread) + SHRINKAGE * np.eye(size)
    whitening = np.linalg.inv(np.linalg.cholesky(correlation)) / spread / np.sqrt(size)
    rows = np.vstack([whitening, np.full((1, size), LOUDNESS / size)])
    middle = means.mean(axis=0)
    return Distances(
        weight=rows.astype(np.float32),
        bias=(-rows @ middle).astype(np.float32),
        centres=((means - middle) @ rows.T).astype(np.float32),
        labels=tuple(label[first].tolist()),
    )


def apart(distances: Distances, levels: NDArray[np.floating], said: NDArray[np.integer]) -> NDArray[np.float64]:
    """Compute the distance ``(windows,)`` of ``levels`` to the class that each window is said to be."""
    white = levels @ distances.weight.T + distances.bias
    found = np.stack([np.linalg.norm(white - centre, axis=1) for centre in distances.centres], axis=1)
    own = said[:, None] == np.array(distances.labels)
    own |= ~own.any(axis=1, keepdims=True)
    nearest: NDArray[np.float64] = np.where(own, found, np.inf).min(axis=1).astype(np.float64)
    return nearest
