"""What a bundle is worth on recordings, and where it does not fit them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgetune_nas.bundle.evaluation import evaluate
from edgetune_nas.bundle.read import load_bundle
from edgetune_nas.errors import BundleError, DataError
from edgetune_nas.novelty.detector import fit_novelty

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from edgetune_nas.card import ModelCard


CLASSES = [f"class {index}" for index in range(10)]


def test_evaluation_matches_classes_by_name(written: Path, windows: NDArray[np.float32]) -> None:
    bundle = load_bundle(written)
    guess = bundle.classifier.probabilities(windows).argmax(axis=1)
    shuffled = CLASSES[::-1]

    result = evaluate(bundle, windows, 9 - guess, shuffled)

    assert (result.accuracy, result.macro_f1, result.windows, result.unknown_rate) == (1.0, 1.0, 64, 0.0)
    assert result.classes == CLASSES
    assert np.array_equal(np.diagonal(result.confusion), np.bincount(guess, minlength=10))
    assert result.precision_used == bundle.precision
    assert 0 < result.latency_p50_us <= result.latency_p99_us


def test_the_unknown_is_counted_by_class_and_alters_no_accuracy(written: Path, windows: NDArray[np.float32]) -> None:
    plain = load_bundle(written)
    knowing = replace(plain, novelty=fit_novelty(windows, np.zeros(64, int), windows))
    strange = windows.copy()
    strange[:7] = np.sin(np.arange(windows.shape[2]), dtype=np.float32)
    label = np.repeat([0, 10], [5, 59])

    result = evaluate(knowing, strange, label, [*CLASSES, "never heard"])

    assert result.unknown_rate == 7 / 64
    assert result.unknown == [5, *[0] * 9, 2]
    assert result.accuracy == evaluate(plain, strange, label, [*CLASSES, "never heard"]).accuracy


def test_windows_that_the_bundle_has_learned_are_counted(
    write: Callable[..., ModelCard], windows: NDArray[np.float32], tmp_path: Path
) -> None:
    bundle = load_bundle(tmp_path / f"model-{write(tmp_path, learned=windows[:48]).id}")
    guess = bundle.classifier.probabilities(windows).argmax(axis=1)
    label = guess.copy()
    label[60:] = (guess[60:] + 1) % 10

    result = evaluate(bundle, windows, label, CLASSES)

    assert (result.seen_windows, result.accuracy_unseen) == (48, 0.75)
    assert evaluate(bundle, windows[:48], label[:48], CLASSES).accuracy_unseen is None
    assert evaluate(bundle, windows[48:], label[48:], CLASSES).seen_windows == 0


def test_each_recording_has_figures_of_its_own(written: Path, windows: NDArray[np.float32]) -> None:
    bundle = load_bundle(written)
    guess = bundle.classifier.probabilities(windows).argmax(axis=1)
    recording = np.repeat([7, 0], 32)

    result = evaluate(bundle, windows, guess, CLASSES, recording=recording, recordings=["first"], healthy="class 3")

    assert [(each.name, each.windows, each.right) for each in result.by_recording] == [("7", 32, 32), ("first", 32, 32)]
    assert result.by_recording[1].alarmed == (guess[32:] != 3).sum()
    assert {each.name: each.windows for each in result.by_class} == {
        CLASSES[index]: count for index, count in enumerate(np.bincount(guess)) if count
    }
    assert evaluate(bundle, windows, guess, CLASSES, healthy="normal").by_class[0].alarmed is None


def test_windows_of_a_class_that_the_model_does_not_know_count_as_wrong(
    written: Path, windows: NDArray[np.float32]
) -> None:
    bundle = load_bundle(written)
    guess = bundle.classifier.probabilities(windows).argmax(axis=1)
    label = guess.copy()
    label[:16] = 10

    result = evaluate(bundle, windows, label, [*CLASSES, "never heard"])

    assert result.accuracy == 0.75
    assert result.classes == [*CLASSES, "never heard"]
    assert sum(result.confusion[10]) == 16
    assert result.macro_f1 < 1


def test_evaluation_of_windows_that_do_not_fit_is_refused(written: Path, windows: NDArray[np.float32]) -> None:
    bundle = load_bundle(written)
    with pytest.raises(BundleError, match=r"takes windows of 1 channels and 512 samples.*\(64, 1, 256\)"):
        evaluate(bundle, windows[:, :, :256], np.zeros(64, int), CLASSES)
    with pytest.raises(BundleError, match="at least one"):
        evaluate(bundle, windows[:0], np.zeros(0, int), CLASSES)
    with pytest.raises(DataError, match="label runs from 0 to 11"):
        evaluate(bundle, windows, np.arange(64) % 12, CLASSES)
