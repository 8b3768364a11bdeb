"""How a candidate is evaluated where a library of other conditions helps to train it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgetune_nas.model import search_space as space
from edgetune_nas.model.cost import plan
from edgetune_nas.model.search_space import Bank, Genotype, Stem
from edgetune_nas.training.candidate import Candidate
from edgetune_nas.training.evaluation import THOROUGH_STEPS, Problem, estimator_of, evaluate_candidate
from edgetune_nas.training.task_profile import FAULT

pytest.importorskip("torch")

SHAPE, CLASSES, NEW, OLD, VALIDATION = (1, 128), 3, 24, 480, 20
STEM = Genotype(None, Stem(8, 32, 8), (), "average")


def _tones(label: np.ndarray, loudness: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    tone = np.sin((0.3 + 0.6 * label[:, None]) * np.arange(SHAPE[1]) + rng.uniform(0, 6.28, (len(label), 1)))
    return (loudness * (rng.normal(size=(len(label), *SHAPE)) * 0.3 + tone[:, None])).astype(np.float32)


def _problem(*, folds: bool = False) -> Problem:
    """Two classes of the new condition, and all three of a louder one in the library."""
    old, validation = np.arange(OLD) % CLASSES, np.arange(VALIDATION) % 2
    new = np.arange(NEW) % 2
    fold = np.concatenate([np.arange(NEW) % 5, np.full(OLD, -1), np.arange(VALIDATION) % 5])
    return Problem(
        profile=FAULT,
        classes=CLASSES,
        x_learned=np.concatenate([_tones(new, 1.0, 0), _tones(old, 3.0, 1), _tones(validation, 1.0, 2)]),
        y_learned=np.concatenate([new, old, validation]),
        trained=NEW + OLD,
        condition=np.zeros(VALIDATION, np.int64),
        origin=np.repeat([0, 1], (NEW, OLD)),
        fold=fold if folds else None,
    )


def _candidate(steps: int) -> Candidate:
    return Candidate(1, STEM, plan(SHAPE, space.expand(STEM, SHAPE, CLASSES)), steps, seed=0)


def test_a_trained_class_that_only_the_library_has_stays_known() -> None:
    problem = _problem()
    estimator = estimator_of(problem, _candidate(90))
    network = estimator.fit(problem.training).network
    label = np.arange(90) % CLASSES
    right = estimator.logits(network, _tones(label, 3.0, 3)).argmax(axis=1) == label
    assert right[label == CLASSES - 1].mean() > 0.95
    new = np.arange(60) % 2
    assert (estimator.logits(network, _tones(new, 1.0, 4)).argmax(axis=1) == new).mean() > 0.95


def test_where_no_new_window_is_left_to_train_on_the_library_alone_is_learned() -> None:
    problem = _problem()
    assert problem.origin is not None
    estimator = estimator_of(problem, _candidate(90))
    fitted = estimator.fit(replace(problem, origin=np.ones_like(problem.origin)).training)
    assert np.isfinite(fitted.curve).all()
    label = np.arange(90) % CLASSES
    assert (estimator.logits(fitted.network, _tones(label, 3.0, 3)).argmax(axis=1) == label).mean() > 0.95


def test_a_library_stays_with_the_windows_that_each_fold_trains_on() -> None:
    found = evaluate_candidate(_problem(folds=True), _candidate(THOROUGH_STEPS))
    assert found.result.accuracy > 0.95


@pytest.mark.parametrize("folds", [False, True])
def test_the_windows_that_are_right_are_counted_piece_by_piece(*, folds: bool) -> None:
    problem = _problem(folds=folds)
    piece = np.arange(len(problem.y_learned)) % 4
    found = evaluate_candidate(replace(problem, piece=piece), _candidate(THOROUGH_STEPS)).result
    asked = np.bincount(piece[problem.fold >= 0 if problem.fold is not None else slice(problem.trained, None)])
    shares = [0.0 if share is None else share for share in found.right]
    assert np.average(shares, weights=asked) == pytest.approx(found.accuracy)


def test_a_piece_that_was_not_asked_about_has_no_share() -> None:
    problem = _problem()
    piece = np.where(np.arange(len(problem.y_learned)) < problem.trained, 0, 1)
    found = evaluate_candidate(replace(problem, piece=piece), _candidate(THOROUGH_STEPS)).result
    assert found.right == (None, pytest.approx(found.accuracy))


def _two_speeds() -> Problem:
    """Three classes in two conditions; what tells them apart in one says something else in the other."""
    label = np.arange(240) % CLASSES
    condition = np.arange(240) // 120 % 2
    tones = _tones((label + condition) % CLASSES, 1.0, 5)
    order = np.argsort(np.arange(240) % 4 == 3, kind="stable")
    trained = int((np.arange(240) % 4 != 3).sum())
    return Problem(
        profile=FAULT,
        classes=CLASSES,
        x_learned=tones[order],
        y_learned=label[order],
        trained=trained,
        condition=condition[order][trained:],
        fold=condition[order],
        crossed=True,
    )


@pytest.mark.parametrize("closed_form", [True, False])
def test_candidates_are_scored_in_conditions_that_they_have_not_learned(closed_form: bool) -> None:  # noqa: FBT001
    genotype = Genotype(Bank(16, 32, 8), None, (), "flat") if closed_form else STEM
    candidate = replace(_candidate(0 if closed_form else THOROUGH_STEPS), genotype=genotype)
    found = evaluate_candidate(_two_speeds(), candidate)
    assert found.result.crossed
    assert len(found.left_out) == 2
    assert found.result.accuracy == pytest.approx(np.mean(found.left_out))
    assert found.result.accuracy < 0.2


def test_short_trainings_are_scored_on_the_validation_windows_alone() -> None:
    found = evaluate_candidate(_two_speeds(), _candidate(THOROUGH_STEPS - 1))
    assert (found.result.crossed, found.left_out) == (False, ())


def test_a_network_that_was_left_conditions_out_has_learned_them_all_the_same() -> None:
    one = _two_speeds()
    same = replace(one, x_learned=_tones(one.y_learned, 1.0, 6))
    assert one.fold is not None
    candidate = replace(_candidate(0), genotype=Genotype(Bank(16, 32, 8), None, (), "flat"))
    crossed = evaluate_candidate(same, candidate)
    plain = evaluate_candidate(replace(same, fold=None, crossed=False), candidate)
    assert crossed.result.temperature == plain.result.temperature
    for ours, theirs in zip(crossed.network.weights, plain.network.weights, strict=True):
        for name, values in ours.items():
            np.testing.assert_array_equal(values, theirs[name])
