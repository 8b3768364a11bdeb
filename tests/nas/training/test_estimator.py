"""Every estimator fits, computes logits and is cross-validated alike, whether solved for, trained or merged."""

from __future__ import annotations

import importlib.util
import pickle
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgetune_nas.model import search_space as space
from edgetune_nas.model.closed_form import BANK_DRIFT, NEW_DRIFT
from edgetune_nas.model.frontend import split_frontend
from edgetune_nas.model.search_space import Bank, ConvBlock, Envelope, Genotype
from edgetune_nas.onnx_io.runtime import Classifier, open_session
from edgetune_nas.onnx_io.writer import write_onnx
from edgetune_nas.training.cross_validation import cross_validate
from edgetune_nas.training.estimator import ClosedForm, Ensemble, Estimator, TrainingSet, never
from edgetune_nas.training.task_profile import PROFILES, SIGN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgetune_nas.card import Task

SHAPE, CLASSES = (2, 128), 3
SOLVED = space.expand(Genotype(Envelope(16, 16), None, (), "flat"), SHAPE, CLASSES)
BANK = space.expand(Genotype(Bank(8, 32, 8), None, (), "flat"), SHAPE, CLASSES)
TRAINED = space.expand(Genotype(Envelope(8, 8), None, (ConvBlock("full", 8, 3),), "both"), SHAPE, CLASSES)

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
ALL = [
    pytest.param("closed form", id="closed form"),
    pytest.param("trained", id="trained", marks=needs_torch),
    pytest.param("ensemble", id="ensemble", marks=needs_torch),
]


def _estimator(kind: str) -> Estimator:
    if kind == "closed form":
        return ClosedForm(SOLVED)
    from edgetune_nas.training.trainer import TrainedNetwork

    members = tuple(TrainedNetwork(TRAINED, SIGN.recipe, steps=40, seed=seed) for seed in (0, 1))
    return members[0] if kind == "trained" else Ensemble(members)


def _data(windows: int = 90, seed: int = 0) -> TrainingSet:
    """Classes differ in how loud each channel is."""
    rng = np.random.default_rng(seed)
    y = np.arange(windows) % CLASSES
    levels = np.array([[1.0, 1.0], [1.0, 4.0], [4.0, 1.0]])[y]
    return TrainingSet((rng.normal(size=(windows, *SHAPE)) * levels[:, :, None]).astype(np.float32), y, CLASSES)


def _softmax(scores: NDArray[np.floating]) -> NDArray[np.floating]:
    powers: NDArray[np.floating] = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("kind", ALL)
def test_what_was_fitted_is_right_about_other_windows_and_says_the_same_in_onnxruntime(kind: str) -> None:
    estimator, other = _estimator(kind), _data(seed=1)
    fitted = estimator.fit(_data())
    scores = estimator.logits(fitted.network, other.x)
    assert scores.shape == (len(other.y), CLASSES)
    assert (scores.argmax(axis=1) == other.y).mean() > 0.95
    probabilities = Classifier(open_session(write_onnx(fitted.network).SerializeToString())).probabilities(other.x)
    np.testing.assert_allclose(probabilities, _softmax(scores), atol=1e-4)


@pytest.mark.parametrize("kind", ALL)
def test_two_fits_are_equal_to_the_bit(kind: str) -> None:
    first, second = (_estimator(kind).fit(_data()).network for _ in range(2))
    assert first.layers == second.layers
    for one, other in zip(first.weights, second.weights, strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("kind", ALL)
def test_cross_validation_scores_each_window_without_having_seen_it(kind: str) -> None:
    rng = np.random.default_rng(9)
    data = TrainingSet(rng.normal(size=(60, *SHAPE)).astype(np.float32), rng.integers(CLASSES, size=60), CLASSES)
    scores, fits = cross_validate(_estimator(kind), data, np.arange(60) % 5, never)
    assert len(fits) == 5
    assert (scores.argmax(axis=1) == data.y).mean() < 0.6  # noise cannot be foretold


@pytest.mark.parametrize("kind", ALL)
def test_windows_of_no_fold_are_always_learnt_from(kind: str) -> None:
    data = _data()
    fold = np.where(np.arange(90) < 60, -1, 0)
    scores, fits = cross_validate(_estimator(kind), data, fold, never)
    assert len(fits) == 1
    assert not scores[:60].any()
    assert (scores[60:].argmax(axis=1) == data.y[60:]).mean() > 0.9


def test_the_folds_of_a_closed_form_share_one_frontend_and_the_drift_that_it_is_expected_to_have() -> None:
    data = _data()
    estimator, features = ClosedForm(BANK).for_folds(data)
    frontend, head = split_frontend(BANK)
    assert (estimator.layers, estimator.drift) == (head, BANK_DRIFT)
    assert len(frontend) > 0
    whole = ClosedForm(BANK).fit(data)
    on_features = estimator.logits(estimator.fit(features).network, features.x)
    np.testing.assert_allclose(on_features, ClosedForm(BANK).logits(whole.network, data.x), rtol=1e-4, atol=1e-3)
    with_library, _ = ClosedForm(BANK).for_folds(TrainingSet(data.x, data.y, CLASSES, np.arange(90) % 2))
    assert with_library.drift == NEW_DRIFT


def test_selecting_keeps_origins_and_copies_nothing_where_all_is_kept() -> None:
    data = TrainingSet(np.zeros((4, *SHAPE), np.float32), np.arange(4), 4, np.array([0, 0, 1, 1]))
    assert data.select(np.ones(4, np.bool_)) is data
    some = data.select(np.array([True, False, True, False]))
    assert some.origin is not None
    assert (some.y.tolist(), some.origin.tolist(), len(some.x)) == ([0, 2], [0, 1], 2)


@pytest.mark.parametrize("task", ["fault", "sign"])
def test_a_profile_reaches_the_processes_that_evaluate_candidates(task: Task) -> None:
    assert pickle.loads(pickle.dumps(PROFILES[task])) == PROFILES[task]  # noqa: S301 - our own bytes
