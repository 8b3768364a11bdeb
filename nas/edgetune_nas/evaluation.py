"""Evaluates one candidate: solves or trains it on the training windows and scores it on the validation windows."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from edgetune_nas import closed_form, space
from edgetune_nas.candidate import Candidate, Result
from edgetune_nas.committee import merge

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edgetune_nas.card import Task
    from edgetune_nas.layers import Network
    from edgetune_nas.space import Genotype

SOLVE_MACS = 4e8
"""Work that the fixed front of one closed-form candidate may take; beyond it, fewer windows of each class are used."""
MIN_WINDOWS_A_CLASS = 40
FEW_WINDOWS = 200
"""With fewer validation windows than this, closed forms are cross-validated, which costs them next to nothing."""
MIN_EPOCHS, MAX_EPOCHS = 3, 120
ON_ALL = 0.5
"""Share of a training's steps that a network is first trained for on the library and the new windows together."""
THOROUGH_STEPS = 120
"""Trainings of so many steps are cross-validated as well then, to be compared with closed forms on equal terms."""


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """What candidates are evaluated on; arrays as in ``edgetune_signal.datasets.Dataset``.

    Attributes
    ----------
    x_learned, y_learned
        Training windows, then validation windows: the winner is fitted on both, and no copy is made for that.
    trained
        How many of them are training windows.
    condition
        ``int64 (validation windows,)``.
    origin
        ``int64 (training windows,)``: 0 for the condition that counts, other numbers for a library's; None without one.
    fold
        ``int64 (training and validation windows,)``: part of the cross-validation, -1 for what is always trained on;
        None where there are validation windows enough.
    x_shifted, y_shifted
        Validation windows as another condition might change them; None where that is not asked.
    """

    task: Task
    classes: int
    x_learned: NDArray[np.float32]
    y_learned: NDArray[np.int64]
    trained: int
    condition: NDArray[np.int64]
    origin: NDArray[np.int64] | None = None
    fold: NDArray[np.int64] | None = None
    x_shifted: NDArray[np.float32] | None = None
    y_shifted: NDArray[np.int64] | None = None

    @property
    def input_shape(self) -> tuple[int, int]:
        """``(channels, length)`` of a window."""
        return int(self.x_learned.shape[1]), int(self.x_learned.shape[2])

    @property
    def x(self) -> NDArray[np.float32]:
        """Training windows."""
        return self.x_learned[: self.trained]

    @property
    def y(self) -> NDArray[np.int64]:
        """Labels of the training windows."""
        return self.y_learned[: self.trained]

    @property
    def x_validation(self) -> NDArray[np.float32]:
        """Validation windows."""
        return self.x_learned[self.trained :]

    @property
    def y_validation(self) -> NDArray[np.int64]:
        """Labels of the validation windows."""
        return self.y_learned[self.trained :]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """A candidate's result, the network it was measured on, and its training loss by epoch (empty if solved)."""

    result: Result
    network: Network
    curve: tuple[float, ...] = ()


def evaluate(problem: Problem, candidate: Candidate, stop: Callable[[], bool] = lambda: False) -> Evaluation:
    """Evaluate ``candidate`` on ``problem``.

    Raises
    ------
    edgetune_nas.candidate.Interrupted
        As soon as ``stop()`` is true during training.
    """
    if problem.fold is not None and candidate.steps >= THOROUGH_STEPS:
        return _cross_trained(problem, candidate, problem.fold, stop)
    began = time.perf_counter()
    if candidate.steps:
        network, curve = _trained(problem, candidate, stop)
    else:
        network, curve = _solve(problem, candidate.genotype, _thinned(problem, candidate)), ()
    scores = logits(network, problem.x_validation)
    temperature = closed_form.best_temperature(scores, problem.y_validation)
    accuracy, score = worst_condition(scores, problem.y_validation, problem.condition, temperature)
    if problem.fold is not None and not candidate.steps:
        accuracy, score, temperature = _cross_validated(problem, candidate, problem.fold)
    network = closed_form.with_temperature(network, temperature)
    steady = steadiness(network, problem)
    seconds = (time.perf_counter() - began) / candidate.members
    result = Result(candidate.number, accuracy, score, temperature, seconds, steady)
    return Evaluation(result, network, curve)


def refit(
    problem: Problem, candidate: Candidate, *, steps: int, stop: Callable[[], bool], members: int = 1
) -> Evaluation:
    """Evaluate the winner anew, fitted on training and validation windows together; a committee of so many ``members``.

    Its validation accuracy then only tells whether the fit went wrong, and the temperature found before is the honest
    one, so `Evaluation.network` still lacks it.
    """
    both = with_validation(problem)
    network, curve = _trained(both, replace(candidate, steps=steps, members=members), stop)
    scores = logits(network, problem.x_validation)
    accuracy, score = worst_condition(scores, problem.y_validation, problem.condition, 1.0)
    return Evaluation(Result(candidate.number, accuracy, score, 1.0, 0.0), network, curve)


def _trained(problem: Problem, candidate: Candidate, stop: Callable[[], bool]) -> tuple[Network, tuple[float, ...]]:
    """Train each member of a candidate and merge them; also the first one's loss by epoch."""
    fits = [
        fit(problem, candidate.genotype, steps=candidate.steps, seed=candidate.seed + member, stop=stop)
        for member in range(candidate.members)
    ]
    return merge([network for network, _ in fits]), fits[0][1]


def fit(
    problem: Problem, genotype: Genotype, *, steps: int, seed: int, stop: Callable[[], bool] = lambda: False
) -> tuple[Network, tuple[float, ...]]:
    """Solve for the weights of ``genotype`` or train them for about ``steps`` steps; also the loss by epoch."""
    if genotype.closed_form:
        return _solve(problem, genotype, np.arange(len(problem.y))), ()
    from edgetune_nas import training

    layers = space.expand(genotype, problem.input_shape, problem.classes)
    steps_per_epoch = partial(training.steps_per_epoch, task=problem.task)
    new = _counting(problem)
    windows = len(problem.y) if new is None else int(new.sum())
    epochs = min(MAX_EPOCHS, max(MIN_EPOCHS, round(steps / steps_per_epoch(windows))))
    on_all = 0 if new is None else max(1, round(ON_ALL * steps / steps_per_epoch(len(problem.y))))
    trained = training.train(
        layers,
        problem.x,
        problem.y,
        classes=problem.classes,
        task=problem.task,
        epochs=epochs,
        seed=seed,
        new=new,
        epochs_on_all=min(MAX_EPOCHS, on_all),
        stop=stop,
    )
    return trained.network, trained.curve


def _counting(problem: Problem) -> NDArray[np.bool_] | None:
    """Windows that training ends with: the new ones, and a library's of classes without; None if all are or none is.

    Of such a class no more than the new ones of any class: it would crowd them out of the batches.
    """
    if problem.origin is None:
        return None
    counting: NDArray[np.bool_] = problem.origin == 0
    present = np.bincount(problem.y[counting], minlength=problem.classes)
    for label in np.flatnonzero(present == 0):
        old = np.flatnonzero(problem.y == label)
        counting[old[np.linspace(0, len(old) - 1, min(len(old), present.max())).astype(int)]] = True
    return None if counting.all() or not counting.any() else counting


def logits(network: Network, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits ``(windows, classes)`` of a network; numpy for closed forms, torch for the others."""
    if closed_form.is_closed_form(network):
        return closed_form.logits(network, x)
    from edgetune_nas import training

    return training.logits(network, x)


def worst_condition(
    scores: NDArray[np.float32], y: NDArray[np.int64], condition: NDArray[np.int64], temperature: float
) -> tuple[float, float]:
    """Accuracy and score (see `Result`) of the worst condition; a network that diverged scores nothing."""
    if not np.isfinite(scores).all():
        return 0.0, 0.0
    right = scores.argmax(axis=1) == y
    sure = closed_form.true_probability(scores, y, temperature)
    accuracies, both = [], []
    for each in np.unique(condition):
        mask = condition == each
        accuracies.append(float(right[mask].mean()))
        both.append(float(right[mask].mean() + sure[mask].mean()) / 2)
    return min(accuracies), min(both)


def _cross_validated(problem: Problem, candidate: Candidate, fold: NDArray[np.int64]) -> tuple[float, float, float]:
    """Accuracy, score and temperature of a closed form over training and validation windows together."""
    keep = np.concatenate([_thinned(problem, candidate), len(problem.y) + np.arange(len(problem.y_validation))])
    both = with_validation(problem)
    layers = space.expand(candidate.genotype, problem.input_shape, problem.classes)
    origin = None if both.origin is None else both.origin[keep]
    y, fold = both.y[keep], fold[keep]
    scores = closed_form.guessed_by_the_rest(layers, both.x[keep], y, fold, classes=problem.classes, origin=origin)
    return _judged(scores, y, fold)


def _cross_trained(
    problem: Problem, candidate: Candidate, fold: NDArray[np.int64], stop: Callable[[], bool]
) -> Evaluation:
    """Evaluate a training by cross-validation; the network is the first fold's."""
    began = time.perf_counter()
    both = with_validation(problem)
    scores = np.zeros((len(both.y), problem.classes), np.float32)
    fits = []
    for number in np.unique(fold[fold >= 0]):  # a few windows do not fill every fold
        out = fold == number
        fits.append(_trained(_only(both, ~out), candidate, stop))
        scores[out] = logits(fits[-1][0], both.x[out])
    accuracy, score, temperature = _judged(scores, both.y, fold)
    network = closed_form.with_temperature(fits[0][0], temperature)
    seconds = (time.perf_counter() - began) / len(fits) / candidate.members
    result = Result(candidate.number, accuracy, score, temperature, seconds, steadiness(network, problem))
    return Evaluation(result, network, fits[0][1])


def _judged(scores: NDArray[np.float32], y: NDArray[np.int64], fold: NDArray[np.int64]) -> tuple[float, float, float]:
    """Accuracy, score and temperature of cross-validated ``scores``."""
    asked = fold >= 0
    temperature = closed_form.best_temperature(scores[asked], y[asked])
    return *worst_condition(scores[asked], y[asked], np.zeros_like(y[asked]), temperature), temperature


def with_validation(problem: Problem) -> Problem:
    """Make the validation windows training windows as well."""
    return replace(
        problem,
        trained=len(problem.y_learned),
        origin=None if problem.origin is None else np.concatenate([problem.origin, 0 * problem.y_validation]),
    )


def _only(problem: Problem, keep: NDArray[np.bool_]) -> Problem:
    """Keep some training windows, and no others."""
    return replace(
        problem,
        x_learned=problem.x[keep],
        y_learned=problem.y[keep],
        trained=int(keep.sum()),
        origin=None if problem.origin is None else problem.origin[keep],
    )


def steadiness(network: Network, problem: Problem) -> float:
    """Share of the shifted windows that ``network`` gets right; 0 where there are none."""
    if problem.x_shifted is None:
        return 0.0
    return float((logits(network, problem.x_shifted).argmax(axis=1) == problem.y_shifted).mean())


def _solve(problem: Problem, genotype: Genotype, keep: NDArray[np.int64]) -> Network:
    layers = space.expand(genotype, problem.input_shape, problem.classes)
    origin = None if problem.origin is None else problem.origin[keep]
    return closed_form.fit(layers, problem.x[keep], problem.y[keep], classes=problem.classes, origin=origin)


def _thinned(problem: Problem, candidate: Candidate) -> NDArray[np.int64]:
    """Choose the windows that a closed form is fitted on: all, or as many of each class as the work allows.

    Windows of the condition that counts stay before those of a library.
    """
    y = problem.y
    affordable = SOLVE_MACS / max(1, candidate.cost.macs)
    if affordable >= len(y):
        return np.arange(len(y))
    share = max(MIN_WINDOWS_A_CLASS, math.ceil(affordable / len(np.unique(y))))
    order = np.random.Generator(np.random.PCG64(candidate.seed)).permutation(len(y))
    if problem.origin is not None:
        order = order[np.argsort(problem.origin[order] != 0, kind="stable")]
    kept = [order[y[order] == label][:share] for label in np.unique(y)]
    return np.sort(np.concatenate(kept))
