"""Training of one candidate on one core: AdamW, one cycle, label smoothing, plain index batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edgetune_nas.library import STEPS_SHARE
from edgetune_nas.model import (
    LayerNet,
    Network,
    fit_frontend,
    from_network,
    frontend_features,
    frontend_weights,
    split_frontend,
    to_network,
)
from edgetune_nas.training.candidate import Interrupted
from edgetune_nas.training.estimator import Fitted, never
from edgetune_nas.training.optimiser import OneCycleAdamW
from edgetune_nas.usage import batches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from edgetune_nas.model import Layer
    from edgetune_nas.training.estimator import TrainingSet
    from edgetune_nas.training.task_profile import Recipe

LABEL_SMOOTHING = 0.1
LOGITS_BYTES = 1 << 18
"""Bytes of input that logits are computed of at a time: frames of a stem overlap, and torch copies each."""
MIN_EPOCHS, MAX_EPOCHS = 3, 120
"""Fewest and most passes over the windows, however few or many they are for the steps asked for."""


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """Estimator that trains ``layers`` for about ``steps`` optimiser steps."""

    layers: tuple[Layer, ...]
    recipe: Recipe
    steps: int
    seed: int

    def fit(self, data: TrainingSet, stop: Callable[[], bool] = never) -> Fitted:
        """Train on all windows; with a library, first on all of them and then on those that decide."""
        deciding = deciding_windows(data)
        windows = len(data.y) if deciding is None else int(deciding.sum())
        epochs = round(self.steps / steps_per_epoch(windows, self.recipe))
        epochs_on_all = round(STEPS_SHARE * self.steps / steps_per_epoch(len(data.y), self.recipe))
        return train(
            self.layers,
            data,
            recipe=self.recipe,
            epochs=min(MAX_EPOCHS, max(MIN_EPOCHS, epochs)),
            seed=self.seed,
            deciding=deciding,
            epochs_on_all=min(MAX_EPOCHS, max(1, epochs_on_all)),
            stop=stop,
        )

    def logits(self, network: Network, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute the logits ``(windows, classes)``."""
        return logits(network, x)

    def for_folds(self, data: TrainingSet) -> tuple[TrainedNetwork, TrainingSet]:
        """Return both as they are."""
        return self, data


def deciding_windows(data: TrainingSet) -> NDArray[np.bool_] | None:
    """Mark the windows that training ends with: the new ones, and a library's of classes without new ones.

    Of such a class no more are marked than the largest class has new ones: they would crowd these out of the batches.
    Return None if all windows would be marked, or none.
    """
    if data.origin is None:
        return None
    deciding: NDArray[np.bool_] = data.origin == 0
    present = np.bincount(data.y[deciding], minlength=data.classes)
    for label in np.flatnonzero(present == 0):
        old = np.flatnonzero(data.y == label)
        deciding[old[np.linspace(0, len(old) - 1, min(len(old), present.max())).astype(int)]] = True
    return None if deciding.all() or not deciding.any() else deciding


def train(
    layers: tuple[Layer, ...],
    data: TrainingSet,
    *,
    recipe: Recipe,
    epochs: int,
    seed: int,
    deciding: NDArray[np.bool_] | None = None,
    epochs_on_all: int = 0,
    stop: Callable[[], bool] = never,
) -> Fitted:
    """Train ``layers`` on ``data``.

    The fixed frontend is applied once, before the first step. Classes weigh the same whatever their number of windows.
    The same arguments give the same weights on the same machine, whatever ran before.

    Parameters
    ----------
    epochs
        Passes over the windows, or over those that are ``deciding``.
    deciding, epochs_on_all
        Windows ``(windows,)`` that count, where others only prepare for them. ``epochs_on_all`` passes over all of them
        come first, with a learning rate of their own that rises and falls.

    Raises
    ------
    Interrupted
        As soon as ``stop()``, asked before every step, is true.
    """
    torch.set_num_threads(1)
    frontend, rest = split_frontend(layers)
    frontend, features = fit_frontend(frontend, data.x)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = LayerNet(rest, (features.shape[1], features.shape[2]))
    y = data.y
    source = _Batches(torch.from_numpy(np.ascontiguousarray(features)), torch.from_numpy(y), recipe, seed)
    curve = []
    if deciding is not None:
        curve = _course(net, source, _class_weights(y, data.classes), recipe, epochs_on_all, stop)
        x_deciding, y = torch.from_numpy(np.ascontiguousarray(features[deciding])), y[deciding]
        source = _Batches(x_deciding, torch.from_numpy(y), recipe, seed)
    curve += _course(net, source, _class_weights(y, data.classes), recipe, epochs, stop)
    source.settle_norms(net)
    tail = to_network(net.eval())
    shape = data.x.shape[1], data.x.shape[2]
    network = Network(shape, (*frontend, *rest), (*frontend_weights(frontend), *tail.weights))
    return Fitted(network, tuple(curve))


def _course(
    net: LayerNet, source: _Batches, weight: torch.Tensor, recipe: Recipe, epochs: int, stop: Callable[[], bool]
) -> list[float]:
    """Train ``net`` for ``epochs`` passes along one cycle of the learning rate; return the loss of each."""
    optimiser = OneCycleAdamW(
        net, peak=recipe.learning_rate, weight_decay=recipe.weight_decay, steps=epochs * source.steps
    )
    curve = []
    for _ in range(epochs):
        total = 0.0
        for xb, yb in source.epoch():
            if stop():
                raise Interrupted
            loss = functional.cross_entropy(net(xb), yb, weight, label_smoothing=LABEL_SMOOTHING)
            optimiser.clear()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            total += loss.item()
        curve.append(total / source.steps)
    return curve


def logits(network: Network, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the logits ``(windows, classes)`` of any network with torch."""
    frontend, rest = split_frontend(network.layers)
    features = frontend_features(frontend, x)
    tail = Network((features.shape[1], features.shape[2]), rest, network.weights[len(frontend) :])
    with torch.inference_mode():
        net = from_network(tail)
        parts = [net(torch.from_numpy(np.ascontiguousarray(batch))) for batch in batches(features, LOGITS_BYTES)]
        result: NDArray[np.float32] = torch.cat(parts).numpy()
    return result


def steps_per_epoch(windows: int, recipe: Recipe) -> int:
    """Return the number of optimiser steps that one pass over ``windows`` takes."""
    return _steps(windows, recipe.batch)


def _steps(windows: int, batch: int) -> int:
    return max(1, round(windows / batch))


class _Batches:
    """Shuffled mini-batches by index; with ``shift``, each window is rotated in time by a random amount."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor, recipe: Recipe, seed: int) -> None:
        self._y = y
        self._length = x.shape[2]
        self._shift = recipe.shift and self._length > 1
        self._x = x
        self.steps = _steps(len(y), recipe.batch)
        self._batch = len(y) // self.steps
        self._rng = torch.Generator().manual_seed(seed)

    def settle_norms(self, net: LayerNet) -> None:
        """Set the batch norms' statistics to those of one more pass; running ones lag behind in short trainings."""
        norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm1d)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
        with torch.inference_mode():
            for xb, _ in self.epoch():
                net(xb)

    def epoch(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        order = torch.randperm(len(self._y), generator=self._rng)[: self.steps * self._batch]
        for index in torch.split(order, self._batch):
            yield self._take(index), self._y[index]

    def _take(self, index: torch.Tensor) -> torch.Tensor:
        if not self._shift:
            return self._x[index]
        offset = torch.randint(self._length, (len(index), 1, 1), generator=self._rng)
        rotated = (torch.arange(self._length) + offset) % self._length
        windows = self._x[index]
        return windows.gather(2, rotated.expand(windows.shape))


def _class_weights(y: NDArray[np.int64], classes: int) -> torch.Tensor:
    counts = np.bincount(y, minlength=classes)
    present = counts > 0
    weights = np.zeros(classes, np.float32)
    weights[present] = len(y) / (present.sum() * counts[present])
    return torch.from_numpy(weights)
