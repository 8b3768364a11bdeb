"""Training of one candidate on one core: AdamW, one cycle, label smoothing, plain index batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edgetune_nas.candidate import Interrupted
from edgetune_nas.closed_form import fit_front, front_features, front_weights, split_front
from edgetune_nas.layers import Network
from edgetune_nas.optimiser import OneCycleAdamW
from edgetune_nas.portions import portions
from edgetune_nas.torch_net import LayerNet, from_network, to_network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from edgetune_nas.card import Task
    from edgetune_nas.layers import Layer

LABEL_SMOOTHING = 0.1
LOGITS_BYTES = 1 << 18
"""Input that logits are computed of at a time: frames of a stem overlap, and torch keeps a copy of each."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a task's networks are trained; the figures are measured ones."""

    learning_rate: float
    weight_decay: float
    batch: int
    shift: bool


RECIPES: dict[Task, Recipe] = {
    "fault": Recipe(learning_rate=4e-2, weight_decay=1e-2, batch=64, shift=True),
    "sign": Recipe(learning_rate=3e-2, weight_decay=1e-1, batch=128, shift=False),
}


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained network and its loss on the training windows, epoch by epoch."""

    network: Network
    curve: tuple[float, ...]


def train(
    layers: tuple[Layer, ...],
    x: NDArray[np.float32],
    y: NDArray[np.int64],
    *,
    classes: int,
    task: Task,
    epochs: int,
    seed: int,
    new: NDArray[np.bool_] | None = None,
    epochs_on_all: int = 0,
    stop: Callable[[], bool] = lambda: False,
) -> Trained:
    """Train ``layers`` on windows ``x (windows, channels, length)`` with labels ``y``.

    The fixed front is applied once, before the first step. Classes weigh the same whatever their number of windows.
    The same arguments give the same weights on the same machine, whatever ran before.

    Parameters
    ----------
    epochs
        Passes over the windows, or over those that are ``new``.
    new, epochs_on_all
        Windows ``(windows,)`` that count, where others only prepare for them: so many passes over all of them come
        first, with a learning rate of their own that rises and falls.

    Raises
    ------
    Interrupted
        As soon as ``stop()``, asked before every step, is true.
    """
    torch.set_num_threads(1)
    recipe = RECIPES[task]
    front, rest = split_front(layers)
    front, features = fit_front(front, x)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = LayerNet(rest, (features.shape[1], features.shape[2]))
    source = _Batches(torch.from_numpy(np.ascontiguousarray(features)), torch.from_numpy(y), recipe, seed)
    curve = []
    if new is not None:
        curve = _course(net, source, _class_weights(y, classes), recipe, epochs_on_all, stop)
        x_new, y = torch.from_numpy(np.ascontiguousarray(features[new])), y[new]
        source = _Batches(x_new, torch.from_numpy(y), recipe, seed)
    curve += _course(net, source, _class_weights(y, classes), recipe, epochs, stop)
    source.settle_norms(net)
    tail = to_network(net.eval())
    network = Network((x.shape[1], x.shape[2]), (*front, *rest), (*front_weights(front), *tail.weights))
    return Trained(network, tuple(curve))


def _course(
    net: LayerNet, source: _Batches, weight: torch.Tensor, recipe: Recipe, epochs: int, stop: Callable[[], bool]
) -> list[float]:
    """Train ``net`` for so many passes, along one cycle of the learning rate; the loss of each."""
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
    """Logits ``(windows, classes)`` of any network, computed by torch."""
    front, rest = split_front(network.layers)
    features = front_features(front, x)
    tail = Network((features.shape[1], features.shape[2]), rest, network.weights[len(front) :])
    with torch.inference_mode():
        net = from_network(tail)
        parts = [net(torch.from_numpy(np.ascontiguousarray(portion))) for portion in portions(features, LOGITS_BYTES)]
        result: NDArray[np.float32] = torch.cat(parts).numpy()
    return result


def steps_per_epoch(windows: int, task: Task) -> int:
    """Return the number of optimiser steps that one pass over ``windows`` takes."""
    return _steps(windows, RECIPES[task].batch)


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
