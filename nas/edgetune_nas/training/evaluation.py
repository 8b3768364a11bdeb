"""Evaluates one candidate: fits it to the training windows and scores it on the validation windows."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edgetune_nas.model import best_temperature, search_space as space, true_probability, with_temperature
from edgetune_nas.training.candidate import Candidate, Result
from edgetune_nas.training.cross_validation import cross_validate
from edgetune_nas.training.estimator import ClosedForm, Ensemble, Estimator, TrainingSet, never

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edgetune_nas.model import Network
    from edgetune_nas.training.task_profile import TaskProfile

SOLVE_MACS = 4e8
"""Operations of the fixed frontend that one closed form may take; beyond it, fewer windows of each class are used.

A larger limit uses more of large data, and delays the first model.
"""
MIN_WINDOWS_A_CLASS = 40
"""Windows of a class that a closed form is fitted to at least, whatever they cost."""
FEW_WINDOWS = 200
"""Validation windows below which candidates are cross-validated."""
THOROUGH_STEPS = 120
"""Training steps from which on networks are cross-validated then, to be compared with closed forms on equal terms.

Shorter trainings only choose among each other, and each fold would cost another training.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Data and task that candidates are evaluated on; arrays as in ``edgetune_signal.datasets.Dataset``.

    Attributes
    ----------
    x_learned, y_learned
        Training windows, then validation windows: the winner is fitted on both, and no copy is made for that.
    trained
        Number of training windows among them.
    condition
        ``int64 (validation windows,)``.
    origin
        ``int64 (training windows,)``, see `edgetune_nas.training.estimator.TrainingSet`.
    fold
        ``int64 (training and validation windows,)``: fold of the cross-validation, -1 for what is always trained on;
        None where there are validation windows enough.
    crossed
        Whether the folds are conditions: networks are then asked about conditions that they have not learned.
    kind, kinds
        ``int64 (training and validation windows,)`` and how many each class has; see `edgetune_nas.training.kinds`.
        None and empty where every class is one.
    recording
        ``int64 (training and validation windows,)``; see `edgetune_nas.training.estimator.TrainingSet`.
    piece
        ``int64 (training and validation windows,)``; see `edgetune_nas.training.cross_validation.held_out_pieces`.
        None where candidates are not compared by pieces.
    x_shifted, y_shifted
        Augmented validation windows; None where steadiness is not asked.
    """

    profile: TaskProfile
    classes: int
    x_learned: NDArray[np.float32]
    y_learned: NDArray[np.int64]
    trained: int
    condition: NDArray[np.int64]
    origin: NDArray[np.int64] | None = None
    fold: NDArray[np.int64] | None = None
    crossed: bool = False
    kind: NDArray[np.int64] | None = None
    kinds: tuple[int, ...] = ()
    recording: NDArray[np.int64] | None = None
    piece: NDArray[np.int64] | None = None
    x_shifted: NDArray[np.float32] | None = None
    y_shifted: NDArray[np.int64] | None = None

    @property
    def input_shape(self) -> tuple[int, int]:
        """``(channels, length)`` of a window."""
        return int(self.x_learned.shape[1]), int(self.x_learned.shape[2])

    @property
    def training(self) -> TrainingSet:
        """Training windows."""
        own = slice(self.trained)
        return TrainingSet(
            self.x_learned[own],
            self.y_learned[own],
            self.classes,
            self.origin,
            None if self.kind is None else self.kind[own],
            None if self.recording is None else self.recording[own],
        )

    @property
    def learned(self) -> TrainingSet:
        """Training and validation windows; the latter are of the condition that counts."""
        origin = None if self.origin is None else np.concatenate([self.origin, 0 * self.y_validation])
        return TrainingSet(self.x_learned, self.y_learned, self.classes, origin, self.kind, self.recording)

    @property
    def x_validation(self) -> NDArray[np.float32]:
        """Validation windows."""
        return self.x_learned[self.trained :]

    @property
    def y_validation(self) -> NDArray[np.int64]:
        """Labels of the validation windows."""
        return self.y_learned[self.trained :]


@dataclass(frozen=True, slots=True, eq=False)
class EvaluatedCandidate:
    """A candidate's result, the network it was measured on, and its training loss by epoch (empty if solved).

    ``left_out``: accuracy in each fold of conditions when it was left out of the fit; empty where none were.
    """

    result: Result
    network: Network
    curve: tuple[float, ...] = ()
    left_out: tuple[float, ...] = ()


def evaluate_candidate(problem: Problem, candidate: Candidate, stop: Callable[[], bool] = never) -> EvaluatedCandidate:
    """Evaluate ``candidate`` on ``problem``.

    Raises
    ------
    edgetune_nas.training.candidate.Interrupted
        As soon as ``stop()`` is true during training.
    """
    began = time.perf_counter()
    estimator = estimator_of(problem, candidate)
    kept = _affordable(problem, candidate)
    training = problem.training.select(kept[: problem.trained])
    left_out: tuple[float, ...] = ()
    crossed = False
    if problem.fold is None or 0 < candidate.steps < THOROUGH_STEPS:
        fits = [estimator.fit(training, stop)]
        scores = estimator.logits(fits[0].network, problem.x_validation)
        y, condition = problem.y_validation, problem.condition
        asked = np.arange(len(kept)) >= problem.trained
    else:
        crossed = problem.crossed
        learned, fold = problem.learned.select(kept), problem.fold[kept]
        scores, fits = cross_validate(estimator, learned, fold, stop)
        scores, y, fold = scores[fold >= 0], learned.y[fold >= 0], fold[fold >= 0]
        asked = kept & (problem.fold >= 0)
        if crossed or not candidate.steps:  # a network that has learned all; of a closed form it costs little
            fits.insert(0, estimator.fit(training, stop))
        if crossed:
            right = scores.argmax(axis=1) == y
            left_out = tuple(float(right[fold == each].mean()) for each in np.unique(fold))
        condition = np.zeros_like(y)
    temperature = best_temperature(scores, y)
    accuracy, score = worst_condition(scores, y, condition, temperature)
    if crossed:  # a network is less sure of what it has not learned, and not of what it has
        temperature = best_temperature(estimator.logits(fits[0].network, problem.x_validation), problem.y_validation)
    network = with_temperature(fits[0].network, temperature)
    steadiness = 0.0
    if problem.x_shifted is not None:
        guess = estimator.logits(network, problem.x_shifted).argmax(axis=1)
        steadiness = float((guess == problem.y_shifted).mean())
    seconds = (time.perf_counter() - began) / len(fits) / candidate.members
    right = () if problem.piece is None else _right_by_piece(scores.argmax(axis=1) == y, problem.piece, asked)
    result = Result(candidate.number, accuracy, score, temperature, seconds, steadiness, crossed, right)
    return EvaluatedCandidate(result, network, fits[0].curve, left_out)


def refit(
    problem: Problem,
    candidate: Candidate,
    data: TrainingSet,
    *,
    steps: int,
    stop: Callable[[], bool],
    members: int = 1,
) -> EvaluatedCandidate:
    """Fit the winner on ``data``, which has the validation windows, as an ensemble of ``members`` networks.

    Its validation accuracy then only tells whether the fit went wrong. The temperature found before is the honest one,
    so `Evaluation.network` still lacks it.
    """
    estimator = estimator_of(problem, replace(candidate, steps=steps, members=members))
    fitted = estimator.fit(data, stop)
    scores = estimator.logits(fitted.network, problem.x_validation)
    accuracy, score = worst_condition(scores, problem.y_validation, problem.condition, 1.0)
    return EvaluatedCandidate(Result(candidate.number, accuracy, score, 1.0, 0.0), fitted.network, fitted.curve)


def estimator_of(problem: Problem, candidate: Candidate) -> Estimator:
    """Return the estimator that fits ``candidate`` to windows of ``problem``."""
    layers = space.expand(candidate.genotype, problem.input_shape, problem.classes, problem.kinds)
    if candidate.genotype.closed_form:
        return ClosedForm(layers)
    from edgetune_nas.training.trainer import TrainedNetwork

    seeds = range(candidate.seed, candidate.seed + candidate.members)
    members = [TrainedNetwork(layers, problem.profile.recipe, candidate.steps, seed) for seed in seeds]
    return members[0] if len(members) == 1 else Ensemble(tuple(members))


def _affordable(problem: Problem, candidate: Candidate) -> NDArray[np.bool_]:
    """Mark the training and validation windows that a candidate is fitted to.

    Of a closed form with too much work these are as many training windows of each class as the work allows, those of
    the condition that counts before a library's.
    """
    kept = np.ones(len(problem.y_learned), np.bool_)
    y = problem.y_learned[: problem.trained]
    affordable = SOLVE_MACS / max(1, candidate.cost.macs)
    if candidate.steps or affordable >= len(y):
        return kept
    share = max(MIN_WINDOWS_A_CLASS, math.ceil(affordable / len(np.unique(y))))
    order = np.random.Generator(np.random.PCG64(candidate.seed)).permutation(len(y))
    if problem.origin is not None:
        order = order[np.argsort(problem.origin[order] != 0, kind="stable")]
    kept[: problem.trained] = False
    for label in np.unique(y):
        kept[order[y[order] == label][:share]] = True
    return kept


def _right_by_piece(
    right: NDArray[np.bool_], piece: NDArray[np.int64], asked: NDArray[np.bool_]
) -> tuple[float | None, ...]:
    """Return the share of windows that are right in each piece; None in one without windows that were ``asked``."""
    windows = np.bincount(piece[asked], minlength=piece.max() + 1)
    good = np.bincount(piece[asked], weights=right, minlength=len(windows))
    return tuple(float(own / of) if of else None for own, of in zip(good, windows, strict=True))


def worst_condition(
    scores: NDArray[np.float32], y: NDArray[np.int64], condition: NDArray[np.int64], temperature: float
) -> tuple[float, float]:
    """Return accuracy and score (see `Result`) of the worst condition; 0 for a network that diverged."""
    if not np.isfinite(scores).all():
        return 0.0, 0.0
    right = scores.argmax(axis=1) == y
    probability = true_probability(scores, y, temperature)
    accuracies, both = [], []
    for each in np.unique(condition):
        mask = condition == each
        accuracies.append(float(right[mask].mean()))
        both.append(float(right[mask].mean() + probability[mask].mean()) / 2)
    return min(accuracies), min(both)
