"""What bundles have since format 2, and that those of format 1 are still read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgetune_nas.bundle.evaluation import evaluate
from edgetune_nas.bundle.files import MEASURED, digest
from edgetune_nas.bundle.learned import LEARNED, SELF_TEST, fingerprints, recording_fingerprints, seen, self_test
from edgetune_nas.bundle.pareto import pick
from edgetune_nas.bundle.read import load_bundle, measured_classifier, read_card
from edgetune_nas.bundle.tested import classes_in_parts, kind_of_test, recordings_of
from edgetune_nas.errors import BundleError
from edgetune_signal.datasets import INDEPENDENT, Dataset

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edgetune_nas.card import ModelCard
    from edgetune_nas.model import Network

ASSETS = Path(__file__).parent / "assets"


def frozen(number: int) -> Path:
    return next((ASSETS / f"format-{number}").glob("model-*"))


def edit_card(bundle: Path, **changes: Any) -> None:
    content = json.loads((bundle / "card.json").read_text(encoding="utf-8"))
    (bundle / "card.json").write_text(json.dumps({**content, **changes}), encoding="utf-8")


def test_a_bundle_of_format_1_is_read_and_is_its_own_measured_network(tmp_path: Path) -> None:
    bundle = load_bundle(frozen(1))
    x = np.random.default_rng(0).normal(size=(8, 1, 256)).astype(np.float32)

    assert (bundle.card.format, bundle.card.kind, bundle.card.tested_on, bundle.card.learned) == (
        1,
        "classes",
        None,
        None,
    )
    assert bundle.card.metrics.accuracy == pytest.approx(17 / 18)
    assert bundle.novelty is not None
    assert measured_classifier(bundle) is bundle.classifier
    assert (seen(bundle, x), self_test(bundle)) == (None, None)
    assert evaluate(bundle, x, np.zeros(8, int), bundle.card.classes).unknown_rate > 0
    picked = pick(frozen(1), arena_bytes=4096, out=tmp_path, created=bundle.card.created)
    assert read_card(tmp_path / f"model-{picked.id}").format == 2


def test_the_frozen_bundle_of_format_2_is_read() -> None:
    bundle = load_bundle(frozen(2))
    card = bundle.card
    x = np.random.default_rng(0).normal(size=(60, 1, 256)).astype(np.float32)

    assert (card.format, card.kind, card.rows, card.tested_on) == (2, "classes", [0, 1, 1], "other_recordings")
    assert (card.distance, card.metrics.recordings, card.measured_before_refit) == ("side_file", 5, True)
    assert bundle.novelty is not None
    assert card.distance_limit == bundle.novelty.limit
    assert card.learned is not None
    assert (card.learned.windows, len(card.learned.recordings)) == (60, 12)
    result = evaluate(bundle, x, np.zeros(60, int), card.classes)
    assert (result.seen_windows, result.accuracy_unseen) == (60, None)
    assert not np.allclose(measured_classifier(bundle).probabilities(x), bundle.classifier.probabilities(x), atol=0.05)
    kept = self_test(load_bundle(frozen(2), "float"))
    assert kept is not None
    np.testing.assert_allclose(load_bundle(frozen(2), "float").classifier.probabilities(kept[0]), kept[1], atol=1e-4)


def test_the_figures_are_those_of_the_measured_network(
    write: Callable[..., ModelCard], vibration_network: Network, windows: NDArray[np.float32], tmp_path: Path
) -> None:
    other = replace(
        vibration_network,
        weights=tuple({name: -each for name, each in own.items()} for own in vibration_network.weights),
    )
    plain = write(tmp_path / "plain", network=other)
    card = write(tmp_path, measured=other)
    bundle = load_bundle(tmp_path / f"model-{card.id}")

    assert MEASURED in card.sha256
    assert card.measured_before_refit
    assert not plain.measured_before_refit
    label = np.arange(len(windows)) % 10
    said = measured_classifier(bundle).probabilities(windows)
    assert card.metrics.accuracy == np.mean(said.argmax(axis=1) == label)
    assert not np.allclose(said, bundle.classifier.probabilities(windows), atol=0.1)


def test_a_measured_network_with_a_foreign_operation_is_refused(
    write: Callable[..., ModelCard], vibration_network: Network, tmp_path: Path
) -> None:
    card = write(tmp_path, measured=vibration_network)
    bundle = tmp_path / f"model-{card.id}"
    data = (bundle / MEASURED).read_bytes().replace(b"Softmax", b"Sigmoid")
    (bundle / MEASURED).write_bytes(data)
    edit_card(bundle, sha256={**card.sha256, MEASURED: digest(data)})

    with pytest.raises(BundleError, match=r"model\.measured\.onnx.*Sigmoid"):
        load_bundle(bundle)


def test_a_class_of_several_rows_is_as_probable_as_its_most_probable_row(
    write: Callable[..., ModelCard], windows: NDArray[np.float32], tmp_path: Path
) -> None:
    rows, classes = [0, 0, 1, 2, 2, 2, 1, 0, 1, 2], ["good", "inner", "outer"]
    plain = load_bundle(tmp_path / "plain" / f"model-{write(tmp_path / 'plain').id}", "float")

    card = write(tmp_path, classes=classes, rows=rows, test_label=np.arange(len(windows)) % 3)
    bundle = load_bundle(tmp_path / f"model-{card.id}", "float")

    each = plain.classifier.probabilities(windows)
    found = bundle.classifier.probabilities(windows)
    assert (card.rows, card.outputs) == (rows, 10)
    assert found.shape == (len(windows), 3)
    assert np.array_equal(found.argmax(axis=1), np.array(rows)[each.argmax(axis=1)])
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    assert evaluate(bundle, windows, np.zeros(len(windows), int), classes).windows == len(windows)


def test_rows_that_do_not_fit_are_refused(write: Callable[..., ModelCard], bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"gives 10 rows; the card would say .* and 3 rows for 2 classes"):
        write(tmp_path / "out", classes=["a", "b"], rows=[0, 1, 1])
    edit_card(bundle, rows=[0, 1])
    with pytest.raises(BundleError, match=r"rows is \[0, 1\]; it must name each of the 10 classes"):
        load_bundle(bundle)


def test_a_bundle_knows_the_windows_that_it_has_learned(
    write: Callable[..., ModelCard], windows: NDArray[np.float32], tmp_path: Path
) -> None:
    recording = np.arange(64) // 16
    card = write(tmp_path, learned=windows[:48], learned_recording=recording[:48])
    bundle = load_bundle(tmp_path / f"model-{card.id}")

    found = seen(bundle, windows[::-1])
    assert card.learned is not None
    assert card.learned.windows == 48
    assert card.learned.recordings == recording_fingerprints(fingerprints(windows[:48][::-1]), recording[:48][::-1])
    assert found is not None
    assert found.tolist() == [False] * 16 + [True] * 48
    (bundle.path / LEARNED).write_bytes(b"")
    with pytest.raises(BundleError, match="SHA-256"):
        seen(bundle, windows)


def test_a_bundle_keeps_windows_to_test_itself_with(bundle: Path, windows: NDArray[np.float32]) -> None:
    loaded = load_bundle(bundle, "float")
    kept = self_test(loaded)

    assert kept is not None
    assert loaded.card.self_test_windows == len(kept[0]) == 64
    np.testing.assert_array_equal(kept[0], windows)
    np.testing.assert_allclose(loaded.classifier.probabilities(kept[0]), kept[1], atol=1e-5)
    edit_card(bundle, self_test_windows=60)
    with pytest.raises(
        BundleError, match=r"selftest\.npz holds \(64, 1, 512\) windows where the card says \(60, 1, 512\)"
    ):
        self_test(load_bundle(bundle))
    edit_card(bundle, sha256={name: each for name, each in loaded.card.sha256.items() if name != SELF_TEST})
    with pytest.raises(BundleError, match="which its card speaks of"):
        self_test(load_bundle(bundle))


def test_one_class_is_a_card_of_health_alone(bundle: Path) -> None:
    edit_card(bundle, classes=["normal"])
    with pytest.raises(BundleError, match="tells two or more apart"):
        read_card(bundle)
    edit_card(bundle, kind="health")
    assert read_card(bundle).kind == "health"
    with pytest.raises(BundleError, match="it needs one class and a limit of the distance"):
        load_bundle(bundle)


def _part(group: list[int], condition: list[int], *, named: bool = True) -> Dataset:
    count = len(group)
    return Dataset(
        x=np.zeros((count, 1, 8), np.float32),
        label=np.zeros(count, np.int64),
        classes=("a", "b"),
        rate_hz=1.0,
        unit="g",
        group=np.array(group),
        start=np.full(count, INDEPENDENT),
        condition=np.array(condition),
        conditions=("0 hp", "1 hp"),
        groups=tuple(f"take {number}" for number in range(8)) if named else (),
    )


def test_the_kind_of_test_follows_from_what_was_learned() -> None:
    learned = _part([0, 0, 1], [0, 0, 0])

    assert kind_of_test(learned, _part([2, 3], [1, 1])) == "other_conditions"
    assert kind_of_test(learned, _part([2, 3], [0, 1])) == "other_recordings"
    assert kind_of_test(learned, _part([1, 3], [0, 1])) == "later_in_the_same_recordings"


def test_windows_that_nobody_assigned_to_recordings_may_be_of_the_same_one() -> None:
    test = _part([2, 3], [0, 0], named=False)

    assert recordings_of(test) is None
    assert kind_of_test(_part([0, 1], [0, 0], named=False), test) == "later_in_the_same_recordings"
    assert recordings_of(_part([2, 2], [0, 0], named=False)) is not None


def test_classes_that_were_tested_on_parts_are_named_where_others_were_not() -> None:
    learned = _part([0, 1], [0, 0])
    mixed = replace(_part([1, 3], [0, 0]), label=np.array([1, 0]))
    assert classes_in_parts(learned, mixed) == ["b"]
    assert classes_in_parts(learned, _part([2, 3], [0, 0])) == []
    assert classes_in_parts(learned, replace(_part([0, 1], [0, 0]), label=np.array([1, 0]))) == []
