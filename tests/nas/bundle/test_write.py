"""Bundles are written whole or not at all."""

from __future__ import annotations

import resource
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgetune_nas.bundle.files import digest, write_folder
from edgetune_nas.bundle.read import load_bundle, read_card
from edgetune_nas.bundle.write import choose_precision
from edgetune_nas.card import InputSpec, Measured, ModelCard
from edgetune_nas.errors import BundleError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray


FILES = {"model.onnx", "model.int8.onnx", "card.json", "report.html", "selftest.npz"}


def test_a_bundle_holds_both_networks_the_card_and_the_report(written: Path) -> None:
    card = read_card(written)

    assert {file.name for file in written.iterdir()} == FILES
    assert written.name == f"model-{card.id}"
    assert card.id.startswith("20260301t101500-")
    assert card.sha256 == {name: digest((written / name).read_bytes()) for name in FILES - {"card.json"}}
    assert {each: measured.onnx_bytes for each, measured in card.measured.items()} == {
        "float": (written / "model.onnx").stat().st_size,
        "int8": (written / "model.int8.onnx").stat().st_size,
    }
    assert card.layers[0] == "conv 128/32 x 12, relu"
    assert card.cost.arena_bytes == 720
    assert set(card.notes["int8"]) == {"variant", "agreement", "adapted", "clipped", "window_scale"}


def test_the_card_says_what_the_deployed_network_measures(written: Path, windows: NDArray[np.float32]) -> None:
    bundle = load_bundle(written)
    label = np.arange(len(windows)) % 10

    assert bundle.precision == bundle.card.deployed
    assert bundle.card.metrics.accuracy == np.mean(bundle.classifier.probabilities(windows).argmax(axis=1) == label)
    assert bundle.card.cost.arena_bytes_deployed == (2864 if bundle.precision == "float" else 720)


@pytest.mark.parametrize("precision", ["float", "int8"])
def test_either_precision_can_be_asked_for(written: Path, precision: Any, windows: NDArray[np.float32]) -> None:
    bundle = load_bundle(written, precision)

    assert bundle.precision == precision
    np.testing.assert_allclose(bundle.classifier.probabilities(windows).sum(axis=1), 1, atol=1e-5)


def test_two_bundles_of_the_same_second_and_content_have_two_ids(
    write: Callable[..., ModelCard], tmp_path: Path
) -> None:
    ids = [write(tmp_path).id for _ in range(2)]

    assert len(set(ids)) == 2
    assert {f"model-{name}" for name in ids} == {folder.name for folder in tmp_path.iterdir()}


def test_bundles_of_the_same_second_and_networks_in_two_folders_have_two_ids(
    write: Callable[..., ModelCard], tmp_path: Path
) -> None:
    ids = [write(tmp_path / str(number), notes={"number": number}).id for number in range(2)]

    assert ids[0] != ids[1]
    assert ids[0].split("-")[0] == ids[1].split("-")[0]


def test_the_report_is_made_of_the_card(write: Callable[..., ModelCard], tmp_path: Path) -> None:
    card = write(tmp_path, report=lambda card: f"accuracy {card.metrics.accuracy} of {card.id} é")

    text = (tmp_path / f"model-{card.id}" / "report.html").read_text(encoding="utf-8")
    assert text == f"accuracy {card.metrics.accuracy} of {card.id} é"


def test_accuracy_by_condition_and_the_replaced_model_reach_the_card(
    write: Callable[..., ModelCard], written: Path, tmp_path: Path
) -> None:
    card = write(
        tmp_path,
        test_condition=np.arange(64) % 2,
        conditions=["0 hp", "1 hp"],
        replaced=read_card(written).metrics,
        notes={"winner": "closed form"},
    )

    found = read_card(tmp_path / f"model-{card.id}")
    assert set(found.metrics.accuracy_by_condition) == {"0 hp", "1 hp"}
    assert found.replaced == read_card(written).metrics
    assert found.notes["winner"] == "closed form"
    assert found == card


def test_int8_is_deployed_when_it_agrees_and_is_no_slower() -> None:
    def measured(micros: float) -> Measured:
        return Measured(
            ort_peak_bytes=1, session_rss_bytes=0, latency_p50_us=micros, latency_p99_us=micros, onnx_bytes=1
        )

    assert choose_precision(0.996, 500, {"float": measured(40), "int8": measured(40)}) == (
        "int8",
        "int8 gives float's label on 99.6% of 500 validation windows and takes 40 us a window against 40 us in float",
    )
    assert choose_precision(1.0, 500, {"float": measured(40), "int8": measured(41)})[0] == "float"
    assert choose_precision(0.994, 500, {"float": measured(40), "int8": measured(20)}) == (
        "float",
        "int8 gives float's label on 99.4% of 500 validation windows, fewer than the 99.5% it must",
    )


def test_network_and_card_that_contradict_one_another_are_refused(
    write: Callable[..., ModelCard], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="gives 10 rows; the card would say"):
        write(tmp_path, classes=["a", "b"])
    with pytest.raises(ValueError, match=r"takes \(1, 512\)"):
        write(tmp_path, input_spec=InputSpec(channels=3, length=512, rate_hz=1, unit="g"))
    with pytest.raises(ValueError, match="give some of each"):
        write(tmp_path, validation=np.zeros((0, 1, 512), np.float32))
    with pytest.raises(DataError, match="label"):
        write(tmp_path, test_label=np.full(64, 10))
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_fails_leaves_nothing(write: Callable[..., ModelCard], tmp_path: Path) -> None:
    def fail(_card: ModelCard) -> str:
        raise RuntimeError("no ink")

    with pytest.raises(RuntimeError, match="no ink"):
        write(tmp_path, report=fail)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 KiB, too small for a bundle."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount")
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs is not permitted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(write: Callable[..., ModelCard], small_disk: Path) -> None:
    with pytest.raises(BundleError, match=r"cannot write .*model-20260301t101500.*: No space left on device"):
        write(small_disk)
    assert list(small_disk.iterdir()) == []


@pytest.fixture
def small_files() -> Iterator[None]:
    """Files may not grow beyond 4 KiB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_files")
def test_a_write_that_stops_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"cannot write .*model-a: File too large"):
        write_folder(tmp_path, "model-a", {"first": b"x", "second": b"x" * 5000})
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_taken_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    write_folder(tmp_path, "model-a", {"first": b"old"})

    with pytest.raises(BundleError, match="Directory not empty"):
        write_folder(tmp_path, "model-a", {"first": b"new"})
    assert {file.name for file in tmp_path.iterdir()} == {"model-a"}
    assert (tmp_path / "model-a" / "first").read_bytes() == b"old"


def test_a_folder_that_cannot_be_made_is_a_clear_error(write: Callable[..., ModelCard], tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(BundleError, match=r"cannot write .*Not a directory"):
        write(tmp_path / "file" / "bundles")
