"""Networks that are solved for: a fixed frontend and a shrinkage linear discriminant, numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgetune_nas import library
from edgetune_nas.model.frontend import fit_frontend, frontend_features, frontend_weights, split_frontend
from edgetune_nas.model.layers import ClassMax, Conv, Dense, Flatten, Gram, Layer, Network, Softmax

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgetune_nas.model.frontend import Floats, Labels, Weights
    from edgetune_signal.datasets import Dataset


SHORTEST_RECORDING = 8
"""Windows of a recording, on the mean, from which on its spread is told from that between recordings.

A covariance needs several; the examination has 18 and more, and does not depend on it.
"""


@dataclass(frozen=True, slots=True)
class ExpectedDrift:
    """Expected movement of logarithmic levels in another condition: standard deviations in nepers (8.7 dB).

    ``each`` level by itself, and all of them in ``common`` (loudness).
    """

    each: float
    common: float


BANK_DRIFT = ExpectedDrift(each=0.2, common=1.0)
"""Drift of a filter bank's levels, measured where one bearing rig (CWRU) changed its load; loudness hardly counts then.

``each`` halved or doubled costs the examination's machines 0.3 to 0.4 points, ``common`` less than 0.1.
"""
NEW_DRIFT = ExpectedDrift(each=0.1, common=0.0)
"""Drift that is left where the condition that counts has windows of its own, and for muscle signals."""
GRAM_DRIFT = ExpectedDrift(each=0.05, common=0.0)
"""`NEW_DRIFT` in the units of `Gram`, where a level counts half.

On the people of the examination twice as much costs 0.5 points after a break, and none changes nothing.
"""


def fit(
    layers: tuple[Layer, ...],
    x: Floats,
    y: Labels,
    *,
    classes: int,
    origin: Labels | None = None,
    drift: ExpectedDrift | None = None,
    recording: Labels | None = None,
) -> Network:
    """Solve for the discriminant of ``layers`` (frontend, maybe flatten, dense, maybe maximum of kinds, softmax).

    Parameters
    ----------
    x
        ``float32 (windows, channels, length)``.
    y
        ``int64 (windows,)`` in ``range(classes)``: classes, or kinds if ``layers`` have a row for each. Classes without
        windows are never guessed.
    classes
        Number of classes or kinds: of the dense layer's rows.
    origin
        ``int64 (windows,)``: 0 for windows of the condition that counts, other numbers for a library's conditions.
    drift
        Drift that the discriminant expects; `expected_drift` of the frontend if None.
    recording
        ``int64 (windows,)``, recording of each window (`recordings`); None where they are not told apart.
    """
    frontend, head = split_frontend(layers)
    frontend, features = fit_frontend(frontend, x)
    drift = drift or expected_drift(frontend, origin)
    weight, bias = discriminant(
        features.reshape(len(x), -1), y, classes=classes, drift=drift, origin=origin, recording=recording
    )
    for layer in head:
        if isinstance(layer, ClassMax):
            fill_absent(weight, bias, y, layer.kinds)
    dense: Weights = {"weight": weight, "bias": bias}
    weights = (*frontend_weights(frontend), *(dense if isinstance(layer, Dense) else {} for layer in head))
    return Network((x.shape[1], x.shape[2]), (*frontend, *head), weights)


def discriminant(
    features: Floats,
    y: Labels,
    *,
    classes: int,
    drift: ExpectedDrift | None = None,
    origin: Labels | None = None,
    recording: Labels | None = None,
) -> tuple[Floats, Floats]:
    """Solve for a linear discriminant with equal priors: ``weight (classes, d)``, ``bias (classes,)``.

    The standardisation of the features is folded in.

    The pooled covariance within classes is shrunk towards a multiple of the identity by the amount of Ledoit and Wolf,
    J. Multivariate Analysis 88 (2004) 365; that of ``drift`` is added. Windows whose ``origin`` is not 0 are of
    other conditions and a prior of means and covariance (`edgetune_nas.library`). With ``recording``, the covariance is
    that of a recording to come (`predicted_covariance`).
    """
    present = np.unique(y)
    scale = features.std(axis=0).astype(np.float64)
    scale[scale == 0] = 1.0
    z = (features - features.mean(axis=0)) / scale
    if origin is None or not origin.any() or origin.all():
        means = _class_means(z, y, present)
        covariance = shrunk_covariance(_residuals(z, y)) if recording is None else predicted_covariance(z, y, recording)
    else:
        means, covariance = _with_prior(z, y, origin)
    if drift is not None:
        covariance += (drift.each**2 * np.eye(len(scale)) + drift.common**2) / np.outer(scale, scale)
    solved = np.linalg.solve(covariance, means.T).T
    weight = np.zeros((classes, z.shape[1]))
    bias = np.full(classes, -1e4)
    weight[present] = solved / scale
    bias[present] = -0.5 * np.einsum("kd,kd->k", solved, means) - weight[present] @ features.mean(axis=0)
    centre = weight[present].mean(axis=0), bias[present].mean()
    weight[present] -= centre[0]  # the same constant for every class: probabilities stay, numbers get smaller
    bias[present] -= centre[1]
    return weight.astype(np.float32), bias.astype(np.float32)


def fill_absent(weight: Floats, bias: Floats, y: Labels, kinds: tuple[int, ...]) -> None:
    """Return each row of a kind without windows the row of another kind of its class, in place.

    The maximum stays the same, and int8 needs no range for a bias that is never reached.
    """
    known = np.bincount(y, minlength=len(bias)) > 0
    for first, count in zip(np.cumsum((0, *kinds)), kinds, strict=False):
        own = np.arange(first, first + count)
        if known[own].any():
            missing, source = own[~known[own]], own[known[own]][0]
            weight[missing], bias[missing] = weight[source], bias[source]


def _with_prior(z: NDArray[np.float64], y: Labels, origin: Labels) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Estimate means and covariance of the new windows, with the library's as prior."""
    new = origin == 0
    apart = y + origin * (y.max() + 1)  # conditions differ in their means, which is no spread within a class
    share = library.spread_share(int(new.sum()), z.shape[1])
    ours, old = (shrunk_covariance(_residuals(z[part], apart[part])) for part in (new, ~new))
    return library.class_means(z, y, origin), share * ours + (1 - share) * old


def _class_means(z: NDArray[np.float64], y: Labels, present: Labels) -> NDArray[np.float64]:
    return np.stack([z[y == label].mean(axis=0) for label in present])


def _residuals(z: NDArray[np.float64], y: Labels) -> NDArray[np.float64]:
    """Subtract from each row of ``z`` the mean of its class."""
    present = np.unique(y)
    result: NDArray[np.float64] = z - _class_means(z, y, present)[np.searchsorted(present, y)]
    return result


def shrunk_covariance(residuals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Estimate the covariance of centred ``residuals (n, d)`` after Ledoit and Wolf."""
    n, d = residuals.shape
    sample = residuals.T @ residuals / n
    level = float(np.trace(sample)) / d
    spread = float(np.sum(sample**2)) / d - level**2
    noise = (float(np.mean(np.sum(residuals**2, axis=1) ** 2)) - float(np.sum(sample**2))) / (n * d)
    share = 1.0 if spread <= 0 else min(1.0, max(0.0, noise / spread))
    floor = 1e-6 * level or 1.0
    shrunk: NDArray[np.float64] = (1 - share) * sample + (share * level + floor) * np.eye(d)
    return shrunk


def predicted_covariance(z: NDArray[np.float64], y: Labels, recording: Labels) -> NDArray[np.float64]:
    """Estimate the covariance of a further recording's windows around the mean of their class.

    To the covariance within recordings comes the scatter of their means. Of ``m`` recordings of a class these vary by
    the sum of squares over ``m - 1``, and a further one differs from their mean by ``1 + 1 / m`` of that. The usual
    pooled covariance takes a third of it where a class has two recordings.
    """
    pair = y * (recording.max() + 1) + recording
    numbers, first = np.unique(pair, return_index=True)
    means, label = _class_means(z, pair, numbers), y[first]
    count = np.bincount(label)[label]
    covariance = shrunk_covariance(z - means[np.searchsorted(numbers, pair)])
    several = count > 1
    if several.any():
        apart, count = _residuals(means, label)[several], count[several]
        covariance += (apart.T * ((count + 1) / (count - 1))) @ apart / len(apart)
    return covariance


def expected_drift(frontend: tuple[Layer, ...], origin: Labels | None) -> ExpectedDrift:
    """Return the drift to expect behind ``frontend``: `BANK_DRIFT` for a bank without a library, else `NEW_DRIFT`.

    Levels of a bank drift until the next condition. A library shows how they drift, and the new windows where to.
    Behind a `Gram` it is `GRAM_DRIFT`.
    """
    if any(isinstance(layer, Gram) for layer in frontend):
        return GRAM_DRIFT
    bank = any(isinstance(layer, Conv) and not layer.taps for layer in frontend)
    return BANK_DRIFT if origin is None and bank else NEW_DRIFT


def origins(learned: Dataset) -> Labels | None:
    """Return the ``origin`` of `fit` for windows with a library: 0 for the new ones; None without a library."""
    return None if learned.library is None else np.where(learned.library, learned.condition + 1, 0)


def recordings(learned: Dataset) -> Labels | None:
    """Return the ``recording`` of `fit`; None with a library, and where recordings are too short to have a spread."""
    short = len(learned) < SHORTEST_RECORDING * len(np.unique(learned.group))
    return None if short or learned.library is not None else learned.group


def is_closed_form(network: Network) -> bool:
    """Return whether nothing stands between the fixed frontend and the dense layer."""
    _, head = split_frontend(network.layers)
    return all(isinstance(layer, Flatten | Dense | ClassMax | Softmax) for layer in head)


def logits(network: Network, x: Floats) -> Floats:
    """Compute the logits ``(windows, classes)`` of a closed-form network."""
    frontend, head = split_frontend(network.layers)
    features = frontend_features(frontend, x).reshape(len(x), -1)
    dense = next(w for w, layer in zip(network.weights[len(frontend) :], head, strict=True) if isinstance(layer, Dense))
    result: Floats = features @ dense["weight"].T + dense["bias"]
    for layer in head:
        if isinstance(layer, ClassMax):
            firsts = np.cumsum((0, *layer.kinds[:-1]))
            result = np.maximum.reduceat(result, firsts, axis=1)
    return result
