"""Bundles: written whole or not at all, verified before they run, and evaluated."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import textwrap
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetune_nas.bundle import MODEL_FILES, choose_precision, evaluate, load_bundle, read_card, write_bundle
from edgetune_nas.bundle_files import digest, write_folder
from edgetune_nas.card import Budget, InputSpec, Measured, ModelCard, SearchSummary
from edgetune_nas.errors import BundleError, DataError
from edgetune_nas.novelty import fit_novelty

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from edgetune_nas.card import Precision
    from edgetune_nas.layers import Network

CLASSES = [f"class {index}" for index in range(10)]
CREATED = datetime(2026, 3, 1, 10, 15, tzinfo=UTC)
FILES = {"model.onnx", "model.int8.onnx", "card.json", "report.html"}


@pytest.fixture(scope="module")
def write(vibration_network: Network, windows: NDArray[np.float32]) -> Callable[..., ModelCard]:
    """Write a bundle of random weights into a folder, with anything overridden."""

    def write_into(folder: Path, **changes: Any) -> ModelCard:
        options: dict[str, Any] = {
            "task": "fault",
            "classes": CLASSES,
            "input_spec": InputSpec(channels=1, length=512, rate_hz=12_000, unit="g"),
            "network": vibration_network,
            "calibration": windows,
            "validation": windows,
            "test_x": windows,
            "test_label": np.arange(len(windows)) % 10,
            "budget": Budget(ram_bytes=4096),
            "search": SearchSummary(
                seed=1,
                candidates=3,
                rejected=1,
                trained=2,
                seconds=2.0,
                cpu_seconds=1.9,
                peak_rss_bytes=300_000_000,
                stopped_by="converged",
                validation_accuracy=0.5,
            ),
            "data_fingerprint": "0" * 64,
            "report": "<p>report</p>",
            "created": CREATED,
        }
        return write_bundle(folder, **{**options, **changes})

    return write_into


@pytest.fixture(scope="module")
def written(write: Callable[..., ModelCard], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One bundle that tests only read."""
    folder = tmp_path_factory.mktemp("written")
    return folder / f"model-{write(folder).id}"


@pytest.fixture
def bundle(written: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(written, tmp_path / written.name)


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
    assert set(card.notes["int8"]) == {"variant", "agreement", "adapted"}


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
    with pytest.raises(ValueError, match="gives 10 classes; the card would say"):
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


@pytest.mark.parametrize("name", sorted(FILES - {"card.json"}))
def test_a_changed_byte_in_any_file_is_found(bundle: Path, name: str) -> None:
    data = bytearray((bundle / name).read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / name).write_bytes(data)

    with pytest.raises(BundleError, match=rf"{name} is not the file its card describes"):
        load_bundle(bundle)


def test_a_cut_file_is_found_by_its_size(bundle: Path) -> None:
    data = (bundle / "model.onnx").read_bytes()
    (bundle / "model.onnx").write_bytes(data[:-7])

    with pytest.raises(BundleError, match=rf"has {len(data) - 7} bytes where its card says {len(data)}"):
        load_bundle(bundle)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_missing_file_is_named(bundle: Path, name: str) -> None:
    (bundle / name).unlink()

    with pytest.raises(BundleError, match=rf"cannot read .*{name}: No such file"):
        load_bundle(bundle)


@given(data=st.data())
@settings(max_examples=100)
def test_damage_to_any_file_is_a_bundle_error_or_leaves_a_bundle_that_classifies(
    tmp_path_factory: pytest.TempPathFactory, written: Path, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damage") / written.name
    shutil.copytree(written, folder)
    name = data.draw(st.sampled_from(["card.json", "card.json", "model.onnx", "model.int8.onnx"]))
    before = (folder / name).read_bytes()
    content = bytearray(before)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    (folder / name).write_bytes(content)
    try:
        bundle = load_bundle(folder)
    except BundleError as error:
        assert folder.name in str(error)  # noqa: PT017 - damage may fall where it makes no difference
    else:
        assert name == "card.json" or content == before
        spec = bundle.card.input
        shape = bundle.classifier.probabilities(np.zeros((1, spec.channels, spec.length), np.float32)).shape
        assert shape == (1, len(bundle.card.classes))
        bundle.card.model_dump_json()


def test_a_missing_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"cannot read .*model-x/card\.json: No such file"):
        load_bundle(tmp_path / "model-x")


def edit(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads((bundle / "card.json").read_text(encoding="utf-8"))
    change(content)
    (bundle / "card.json").write_text(json.dumps(content), encoding="utf-8")


def test_a_newer_format_asks_for_an_upgrade(bundle: Path) -> None:
    edit(bundle, lambda card: card.update(format=2, new_field={}))

    with pytest.raises(BundleError, match=r"has format 2, this edgetune reads up to 1; upgrade edgetune"):
        load_bundle(bundle)


def test_a_card_that_is_no_card_names_each_wrong_field(bundle: Path) -> None:
    edit(bundle, lambda card: card.update(classes=["one"], deployed="fp16"))

    with pytest.raises(BundleError, match=r"is no model card: classes: .*; deployed: "):
        read_card(bundle)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"null", b'"card"', b"[" * 100_000])
def test_a_card_of_garbage_is_a_bundle_error(bundle: Path, content: bytes) -> None:
    (bundle / "card.json").write_bytes(content)

    with pytest.raises(BundleError, match=r"card\.json is no"):
        read_card(bundle)


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "..", "sub/model.onnx", "", "a\\b", ".hidden"])
def test_a_card_that_names_a_file_elsewhere_is_refused(bundle: Path, name: str) -> None:
    (bundle.parent / "secret").write_bytes(b"secret")
    edit(bundle, lambda card: card["sha256"].update({name: digest(b"secret")}))

    with pytest.raises(BundleError, match="is not a file of its own in this folder"):
        load_bundle(bundle)


def test_a_link_out_of_the_folder_is_refused(bundle: Path) -> None:
    (bundle / "model.onnx").rename(bundle.parent / "outside")
    (bundle / "model.onnx").symlink_to(bundle.parent / "outside")

    with pytest.raises(BundleError, match="is not a file of its own in this folder"):
        load_bundle(bundle)


def test_a_pipe_in_place_of_a_file_is_refused_and_keeps_nobody_waiting(bundle: Path) -> None:
    (bundle / "model.onnx").unlink()
    os.mkfifo(bundle / "model.onnx")
    with pytest.raises(BundleError, match=r"'model\.onnx' is not a file of its own"):
        load_bundle(bundle)


def test_a_card_that_lists_no_hash_of_the_network_is_refused(bundle: Path) -> None:
    edit(bundle, lambda card: card["sha256"].pop("model.int8.onnx"))

    assert load_bundle(bundle, "float").precision == "float"
    with pytest.raises(BundleError, match=r"has no int8 network; it has model\.onnx, report\.html"):
        load_bundle(bundle, "int8")


def replace_network(bundle: Path, data: bytes, precision: Precision = "float") -> None:
    """Put another network into a bundle, with the right hash and size."""
    name = MODEL_FILES[precision]
    (bundle / name).write_bytes(data)

    def change(card: dict[str, Any]) -> None:
        card["sha256"][name] = digest(data)
        card["measured"][precision]["onnx_bytes"] = len(data)

    edit(bundle, change)


@pytest.mark.parametrize("precision", ["float", "int8"])
def test_a_network_that_is_no_protobuf_is_refused_whichever_is_asked_for(bundle: Path, precision: Any) -> None:
    replace_network(bundle, b"no protobuf")

    with pytest.raises(
        BundleError, match=r"model\.onnx is no network that edgetune wrote for this card: model has field"
    ):
        load_bundle(bundle, precision)


def test_a_network_that_onnxruntime_cannot_run_is_refused_when_it_is_opened(bundle: Path) -> None:
    model = onnx.load(bundle / "model.int8.onnx")
    scale = next(each for each in model.graph.initializer if each.name == "3_average_scale")
    scale.float_data[0] *= 1e12
    replace_network(bundle, model.SerializeToString(), "int8")

    with pytest.raises(BundleError, match=r"onnxruntime cannot run .*model\.int8\.onnx: .*QLinearGlobalAveragePool"):
        load_bundle(bundle, "int8")


def test_a_network_whose_probabilities_are_no_numbers_is_refused(bundle: Path) -> None:
    model = onnx.load(bundle / "model.onnx")
    bias = next(each for each in model.graph.initializer if each.name == "4_bias")
    bias.raw_data = np.full(10, -3e38, np.float32).tobytes()
    weight = next(each for each in model.graph.initializer if each.name == "4_weight")
    weight.raw_data = np.full((10, 8), -3e38, np.float32).tobytes()
    replace_network(bundle, model.SerializeToString())

    with pytest.raises(BundleError, match=r"model\.onnx gives probabilities that are not finite"):
        load_bundle(bundle, "float")


def test_a_network_that_takes_or_gives_something_else_is_refused(bundle: Path) -> None:
    edit(bundle, lambda card: card["input"].update(length=256))
    with pytest.raises(BundleError, match=r"it takes window \(1, 512\), its card says window \(1, 256\)"):
        load_bundle(bundle)

    edit(bundle, lambda card: (card["input"].update(length=512), card["classes"].append("extra")))
    with pytest.raises(BundleError, match=r"it gives probabilities \(10,\), its card says probabilities \(11,\)"):
        load_bundle(bundle)


def test_every_mismatch_with_a_stream_is_named_at_once(written: Path) -> None:
    bundle = load_bundle(written)
    bundle.check_fits(channels=1, length=512, rate_hz=12_000, unit="g")

    with pytest.raises(BundleError) as caught:
        bundle.check_fits(channels=3, length=512, rate_hz=48_000, unit="m/s2")
    assert str(caught.value).endswith(
        "channels is 3, the model takes 1; rate_hz is 48000, the model takes 12000.0; unit is m/s2, the model takes g"
    )


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


def test_loading_and_classifying_needs_neither_torch_nor_onnx_nor_scipy(written: Path) -> None:
    program = """
        import sys
        from pathlib import Path
        import numpy as np
        from edgetune_nas.bundle import load_bundle
        bundle = load_bundle(Path(sys.argv[1]))
        print(bundle.classifier.probabilities(np.zeros((1, 1, 512), np.float32)).shape)
        print(sorted({"torch", "onnx", "scipy"} & set(sys.modules)))
    """

    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(written)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert result.stdout.splitlines() == ["(1, 10)", "[]"]
