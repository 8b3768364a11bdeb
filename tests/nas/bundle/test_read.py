"""Bundles are verified before they run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings, strategies as st

from edgetune_nas.bundle.files import MODEL_FILES, digest
from edgetune_nas.bundle.read import load_bundle, read_card
from edgetune_nas.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgetune_nas.card import Precision


FILES = [*MODEL_FILES.values(), "card.json", "report.html"]


@pytest.mark.parametrize("name", [name for name in FILES if name != "card.json"])
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


@pytest.mark.parametrize("name", FILES)
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
    edit(bundle, lambda card: card.update(format=3, new_field={}))

    with pytest.raises(BundleError, match=r"has format 3, this edgetune reads up to 2; upgrade edgetune"):
        load_bundle(bundle)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"created": "2026-01-01T00:00:00"}, "created: Input should have timezone info"),
        ({"created": "0001-01-01T00:00:00+14:00"}, "created: the year 1"),
        ({"created": "9999-12-31T23:59:59-14:00"}, "created: the year 9999"),
        ({"classes": ["normal", ""]}, "classes: '' can be no name"),
        ({"classes": ["normal", "\x1b[2J"]}, "can be no name"),
        ({"classes": ["normal", "x" * 300]}, "can be no name"),
    ],
)
def test_a_card_that_no_node_could_speak_of_is_refused(bundle: Path, wrong: dict[str, Any], named: str) -> None:
    card = json.loads((bundle / "card.json").read_bytes())
    (bundle / "card.json").write_text(json.dumps(card | wrong))
    with pytest.raises(BundleError) as caught:
        read_card(bundle)
    assert named in str(caught.value)


def test_a_card_that_is_no_card_names_each_wrong_field(bundle: Path) -> None:
    edit(bundle, lambda card: card.update(classes=[], deployed="fp16"))

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
    with pytest.raises(BundleError, match=r"has no int8 network; it has model\.onnx, selftest\.npz, report\.html"):
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
        timeout=300,
    )

    assert result.stdout.splitlines() == ["(1, 10)", "[]"]
