"""``edgetune bundle`` shows, verifies and lists; ``edgetune evaluate`` scores; mistakes get a sentence."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from edgetune_nas.bundle.read import read_card
from edgetune_nas.card import Budget, LibraryUse
from edgetune_nas.errors import BundleError, DataError
from edgetune_nas.search.run import search
from edgetune_node.cli import build
from edgetune_node.cli.local.bundle import card_table
from edgetune_node.cli.local.search import result as search_result
from edgetune_node.storage.models import ModelStore
from edgetune_signal import Recording, RecordingError, StreamSpec, write_recording
from edgetune_signal.datasets.load import load_dataset

if TYPE_CHECKING:
    from collections.abc import Callable

CONFIG = """
[node]
id = "edge-1"
[[asset]]
id = "pump"
rate_hz = {rate}
window = {{ length = 64, hop = 64 }}
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(build([str(arguments[0])]), [str(argument) for argument in arguments])


def raised(result: Result) -> Exception:
    assert isinstance(result.exception, Exception)
    return result.exception


@pytest.fixture
def bundle(tmp_path: Path, write_tiny_bundle: Callable[..., Path]) -> Path:
    return write_tiny_bundle(tmp_path / "out", favourite=0)


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    folder = tmp_path / "recordings"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for label in ("normal", "inner"):
        samples = rng.normal(size=(1, 640)).astype(np.float32)
        write_recording(folder / f"{label}.npz", Recording(samples, 1000.0, label, unit="g"))
    return folder


def windows_file(path: Path, names: list[str], **changes: Any) -> Path:
    content = {
        "x": np.random.default_rng(1).normal(size=(20, 1, 64)).astype(np.float32),
        "label": np.arange(20) % len(names),
        "classes": np.array(names),
        "rate_hz": 1000.0,
    }
    np.savez(path, **{**content, **changes})
    return path


# ---- bundle ----------------------------------------------------------------------------------------------------


def test_show_prints_the_card(bundle: Path) -> None:
    card = json.loads(run("bundle", "show", bundle, "--json").stdout)
    assert card["classes"] == ["normal", "inner"]
    assert card["cost"]["arena_bytes"] > 0
    shown = run("bundle", "show", bundle).stdout
    assert card["id"] in shown
    assert f"{card['cost']['arena_bytes']} B (int8 plan" in shown
    assert f"{card['cost']['arena_bytes_deployed']} B as deployed" in " ".join(shown.split())
    m4 = card["cost"]["mcu"]["cores"]["cortex-m4"]
    assert f"cortex-m4: {m4['instructions']} instructions" in " ".join(shown.split())
    assert "RAM" not in shown


def test_the_summary_of_a_search_says_that_nothing_was_trained(bundle: Path) -> None:
    note = "torch is not installed: only closed forms were searched (edgetune[train])"
    card = read_card(bundle).model_copy(update={"notes": {"training": note, "front": []}})
    assert search_result(bundle, card)["notes"] == {"training": note}
    console = Console(width=200, record=True, file=StringIO())
    console.print(card_table(card))
    assert note in console.export_text()


def test_the_summary_of_a_search_tells_of_a_library_and_a_hum(bundle: Path) -> None:
    hum = {"mains_hz": 50.0, "share": 0.48, "heard": True, "taken_off": True}
    used = LibraryUse(recordings=3, windows=60, role="trained_first", weight=0.5)
    card = read_card(bundle).model_copy(update={"notes": {"hum": hum}, "library": used})
    assert search_result(bundle, card)["notes"] == {"hum": hum}
    assert search_result(bundle, card)["library"]["windows"] == 60
    console = Console(width=200, record=True, file=StringIO())
    console.print(card_table(card))
    said = console.export_text()
    assert "48% of the signal's power is at 50 Hz, taken off in the graph" in said
    assert "60 windows of 3 recordings, learned in the first 50% of the training" in said


def test_verify_names_what_it_has_checked(bundle: Path) -> None:
    result = json.loads(run("bundle", "verify", bundle, "--json").stdout)
    assert result["precisions"] == ["float", "int8"]
    assert {"model.onnx", "model.int8.onnx", "report.html"} <= set(result["files"])
    assert "files are whole" in run("bundle", "verify", bundle).stdout


@pytest.mark.parametrize("name", ["model.onnx", "model.int8.onnx", "report.html"])
def test_verify_finds_one_changed_byte(bundle: Path, name: str) -> None:
    content = bytearray((bundle / name).read_bytes())
    content[-1] ^= 1
    (bundle / name).write_bytes(content)
    with pytest.raises(BundleError, match=name):
        raise raised(run("bundle", "verify", bundle))


def test_verify_says_which_assets_a_bundle_fits(bundle: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(CONFIG.format(rate=1000))
    assert json.loads(run("bundle", "verify", bundle, "--config", config, "--json").stdout)["fits"] == ["pump"]
    config.write_text(CONFIG.format(rate=2000))
    with pytest.raises(BundleError, match=r"pump: rate_hz is 2000\.0, the model takes 1000\.0"):
        raise raised(run("bundle", "verify", bundle, "--config", config))


def test_list_marks_what_is_in_use_and_what_is_damaged(tmp_path: Path, write_tiny_bundle: Callable[..., Path]) -> None:
    store = ModelStore(tmp_path / "data" / "pump" / "models", StreamSpec(1, 1000.0, "g"), 64, "fault")
    for seed in range(3):
        store.install(write_tiny_bundle(tmp_path / "out", seed=seed))
    damaged = tmp_path / "data" / "pump" / "models" / "model-broken"
    damaged.mkdir()
    (damaged / "card.json").write_text("{")
    rows = json.loads(run("bundle", "list", tmp_path / "data", "--json").stdout)["bundles"]
    assert sorted(row.get("use", "damaged") for row in rows) == ["", "current", "damaged", "previous"]
    shown = run("bundle", "list", tmp_path / "data").stdout
    assert "current" in shown
    assert "damaged" in shown
    for line in [*shown.splitlines(), *(row["path"] for row in rows)]:
        assert (Path(line.split("  ")[0]) / "card.json").exists()


def test_list_of_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is no folder"):
        raise raised(run("bundle", "list", tmp_path / "nowhere"))


def test_a_missing_bundle_ends_with_one_line_and_code_1(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgetune_node", "bundle", "show", str(tmp_path / "nothing")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith("edgetune: ")
    assert "Traceback" not in ended.stderr


# ---- evaluate --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["int8", "float", "deployed"])
def test_evaluate_prints_the_keys_of_the_contract(bundle: Path, recordings: Path, precision: str) -> None:
    result = json.loads(run("evaluate", bundle, recordings, "--precision", precision, "--json").stdout)
    assert set(result) >= {
        "accuracy",
        "macro_f1",
        "windows",
        "unknown_rate",
        "confusion",
        "precision_used",
        "latency_p50_us",
        "latency_p99_us",
    }
    assert result["windows"] == 20  # the model's own window length cuts the recordings
    assert result["accuracy"] == 0.5  # this network always says its first class
    assert result["precision_used"] in {"int8", "float"} if precision == "deployed" else {precision}
    assert "accuracy 50.00%" in run("evaluate", bundle, recordings).stdout


def test_evaluate_says_how_each_class_and_recording_does(bundle: Path, recordings: Path) -> None:
    ended = run("evaluate", bundle, recordings, "--json")
    result = json.loads(ended.stdout)

    normal, inner = sorted(result["by_class"], key=lambda each: each["name"] != "normal")
    assert normal == {"name": "normal", "label": "normal", "windows": 10, "right": 10, "unknown": 0, "alarmed": 0}
    assert (inner["label"], inner["windows"], inner["right"], inner["alarmed"]) == ("inner", 10, 0, 0)
    assert {each["name"] for each in result["by_recording"]} == {path.stem for path in recordings.glob("*.npz")}
    assert sum(each["windows"] for each in result["by_recording"]) == result["windows"]
    assert result["seen_windows"] is None  # nobody said what this bundle has learned


def test_evaluate_takes_recordings_of_one_class_alone(bundle: Path, recordings: Path, tmp_path: Path) -> None:
    one = next(path for path in recordings.glob("*.npz") if "normal" in path.name)
    folder = tmp_path / "healthy"
    folder.mkdir()
    shutil.copy(one, folder)

    for data in (folder, one):
        ended = run("evaluate", bundle, data, "--json")
        assert ended.exit_code == 0, ended.stderr
        result = json.loads(ended.stdout)
        assert (result["accuracy"], result["windows"]) == (1.0, 10)
        assert [each["name"] for each in result["by_recording"]] == [one.stem]


def test_classes_are_matched_by_name_and_strangers_count_as_wrong(bundle: Path, tmp_path: Path) -> None:
    data = windows_file(tmp_path / "x.npz", ["ball", "normal"])
    result = run("evaluate", bundle, data, "--json")
    answer = json.loads(result.stdout)
    assert answer["classes"] == ["normal", "inner", "ball"]
    assert answer["accuracy"] == 0.5
    assert "does not know ball" in result.stderr


@pytest.mark.parametrize(
    ("changes", "kind", "named"),
    [
        ({"classes": np.array(["ball", "outer"])}, DataError, "none of the model's classes"),
        ({"rate_hz": 2000.0}, BundleError, "rate_hz is 2000"),
        ({"x": np.zeros((20, 2, 64), np.float32)}, BundleError, "channels is 2"),
        ({"x": np.zeros((20, 1, 32), np.float32)}, BundleError, "length is 32"),
        ({"x": np.full((20, 1, 64), np.nan, np.float32)}, RecordingError, "not a finite number"),
        ({"unit": np.array("V")}, BundleError, "unit is V"),
    ],
)
def test_windows_that_do_not_fit_are_refused_in_words(
    bundle: Path, tmp_path: Path, changes: dict[str, Any], kind: type[Exception], named: str
) -> None:
    data = windows_file(tmp_path / "x.npz", ["normal", "inner"], **changes)
    result = run("evaluate", bundle, data, "--json")
    with pytest.raises(kind, match=named):
        raise raised(result)
    assert named in json.loads(result.stdout)["error"]


def test_data_that_are_not_there_are_named(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"nowhere\.npz"):
        raise raised(run("evaluate", bundle, tmp_path / "nowhere.npz"))


def test_data_that_a_model_was_trained_on_are_told(bundle: Path, tmp_path: Path) -> None:
    data = windows_file(tmp_path / "x.npz", ["normal", "inner"], unit=np.array("g"))
    result = run("evaluate", bundle, data, "--json")
    assert json.loads(result.stdout)["seen"] is False
    assert "trained on" not in result.stderr
    card = json.loads((bundle / "card.json").read_text())
    card["data_fingerprint"] = load_dataset(data).fingerprint()
    (bundle / "card.json").write_text(json.dumps(card))
    result = run("evaluate", bundle, data, "--json")
    assert json.loads(result.stdout)["seen"] is True
    assert "was trained on most of these windows" in result.stderr
    windows_file(data, ["normal", "inner"])  # the unit was given by hand when the search began
    card["data_fingerprint"] = load_dataset(data, unit="g").fingerprint()
    (bundle / "card.json").write_text(json.dumps(card))
    assert json.loads(run("evaluate", bundle, data, "--json").stdout)["seen"] is True


def test_a_wrong_option_is_wrong_usage(bundle: Path, recordings: Path) -> None:
    assert run("evaluate", bundle, recordings, "--precision", "int4").exit_code == 2


# ---- report ----------------------------------------------------------------------------------------------------


def test_the_report_of_a_bundle_is_the_one_it_was_written_with(bundle: Path, tmp_path: Path) -> None:
    shown = run("report", bundle)
    assert (bundle / "report.html").as_uri() in shown.stdout
    assert run("report", bundle, "--out", tmp_path / "page.html").exit_code == 0
    assert (tmp_path / "page.html").read_bytes() == (bundle / "report.html").read_bytes()


def test_a_changed_report_is_not_shown(bundle: Path) -> None:
    (bundle / "report.html").write_text("something else")
    with pytest.raises(BundleError, match=r"report\.html"):
        raise raised(run("report", bundle))


def test_a_folder_of_recordings_gets_an_overview(recordings: Path, tmp_path: Path) -> None:
    shown = run("report", recordings, "--out", tmp_path / "page.html").stdout
    for label in ("normal", "inner"):
        assert label in shown
        assert label in (tmp_path / "page.html").read_text()


def test_a_folder_of_neither_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="neither a bundle"):
        raise raised(run("report", tmp_path))


def test_a_report_is_one_json_object_where_that_is_asked_for(bundle: Path, recordings: Path, tmp_path: Path) -> None:
    told = json.loads(run("report", bundle, "--json").stdout)
    assert told["report"] == str(bundle / "report.html")
    assert told["card"] == read_card(bundle).model_dump(mode="json")
    write_recording(recordings / "still.npz", Recording(np.zeros((1, 64), np.float32), 1000.0, "off"))
    told = json.loads(run("report", recordings, "--json").stdout)
    heard = {each["label"]: each for each in told["recordings"]}
    assert set(heard) == {"normal", "inner", "off"}
    assert heard["normal"]["rms"] > 0
    assert heard["off"]["kurtosis"] is None
    failed = run("report", tmp_path / "nothing", "--json")
    assert "neither a bundle" in json.loads(failed.stdout)["error"]


def test_a_report_that_cannot_be_written_is_named(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="choose another --out"):
        raise raised(run("report", bundle, "--out", tmp_path / "no" / "such" / "folder.html"))


# ---- pick ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_pick_exports_a_smaller_network_of_the_same_search(tmp_path: Path, recordings: Path) -> None:
    found = search(
        load_dataset(recordings, window=64, hop=16), task="fault", budget=Budget(), out=tmp_path / "found", candidates=6
    )
    assert found.card.search.trained == 0
    small = found.front[0].arena_bytes
    picked = json.loads(
        run("bundle", "pick", found.bundle, "--arena", small, "--out", tmp_path / "picked", "--json").stdout
    )
    assert picked["arena_bytes"] == small
    assert json.loads(run("bundle", "verify", picked["bundle"], "--json").stdout)["id"] == picked["id"]
    assert "arena" in run("bundle", "pick", found.bundle, "--arena", "4KiB", "--out", tmp_path / "other").stdout


def test_pick_says_where_a_bundle_keeps_no_front(tmp_path: Path, bundle: Path) -> None:
    result = run("bundle", "pick", bundle, "--arena", "1KiB", "--out", tmp_path / "picked")
    assert isinstance(raised(result), BundleError)
    assert "keeps no Pareto front" in str(raised(result))


# ---- export and import -----------------------------------------------------------------------------------------


def test_a_signed_bundle_goes_from_node_to_node(tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key").write_text("0123456789abcdef" * 2)
    (tmp_path / "config.toml").write_text(CONFIG.format(rate=1000))
    sent = run("bundle", "export", bundle, "--key", "key", "--json")
    assert sent.exit_code == 0, sent.output
    archive = json.loads(sent.stdout)["archive"]
    came = run("bundle", "import", archive, "--config", "config.toml", "--key", "key")
    assert came.exit_code == 0, came.output
    assert f"data/incoming/{bundle.name}" in came.stdout
    assert "edgetune/edge-1/pump/cmd/deploy" in came.stdout
    store = ModelStore(tmp_path / "models", StreamSpec(channels=1, rate_hz=1000.0, unit="g"), 64, "fault")
    assert store.install(store.find(bundle.name, tmp_path / "data" / "incoming")).card.id in bundle.name


def test_export_and_import_want_a_key_or_to_be_told_that_there_is_none(tmp_path: Path, bundle: Path) -> None:
    (tmp_path / "key").write_text("0123456789abcdef" * 2)
    both = ["--key", tmp_path / "key", "--unsigned"]
    for options, reason in (([], "neither --key nor"), (both, "both given")):
        for command in (("export", bundle, "--out", tmp_path / "x.zip"), ("import", bundle, "--config", "c.toml")):
            result = run("bundle", *command, *options)
            assert (result.exit_code, reason in " ".join(result.output.split())) == (2, True), result.output
        assert not (tmp_path / "x.zip").exists()


@pytest.mark.parametrize("what", ["pipe", "device"])
def test_an_import_of_what_never_ends_is_refused_at_once(tmp_path: Path, what: str) -> None:
    (tmp_path / "config.toml").write_text(CONFIG.format(rate=1000))
    endless = tmp_path / "pipe" if what == "pipe" else Path("/dev/zero")
    if what == "pipe":
        os.mkfifo(endless)
    for arguments in (["--unsigned", endless], ["--key", endless, tmp_path / "missing.zip"]):
        result = run("bundle", "import", "--config", tmp_path / "config.toml", *arguments)
        assert "no file but a folder, pipe or device" in str(raised(result))
