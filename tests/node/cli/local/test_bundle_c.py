"""``edgetune bundle c`` writes a C library, and says in words where it cannot."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from edgetune_node.cli import build

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(build(["bundle"]), ["bundle", "c", *(str(each) for each in arguments)])


def test_a_library_without_tools_has_figures_that_are_null(
    tmp_path: Path, write_tiny_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    bundle = write_tiny_bundle(tmp_path)

    done = run(bundle, "--out", tmp_path / "c", "--json")

    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["arena_bytes"], said["streaming"]) == (80, False)
    nothing = {"bss_bytes", "text_bytes", "stack_bytes", "instructions", "equal"}
    assert {said[key] for key in nothing} == {None}
    assert {figures["equal"] for figures in said["cores"].values()} == {None}
    assert (tmp_path / "c" / f"{said['name']}.c").is_file()
    assert "not compared" in (tmp_path / "c" / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("classes", [["normal", "inner"], ["normal"]])
def test_a_library_is_compared_on_data_of_one_class_too(
    classes: list[str], tmp_path: Path, write_tiny_bundle: Callable[..., Path]
) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not here (apt install gcc libc6-dev)")
    bundle = write_tiny_bundle(tmp_path)
    x = np.random.default_rng(0).normal(size=(12, 1, 64)).astype(np.float32)
    labels = np.arange(12) % len(classes)
    np.savez(tmp_path / "data.npz", x=x, label=labels, classes=np.array(classes), rate_hz=1000.0)

    done = run(bundle, "--out", tmp_path / "c", "--streaming", "--data", tmp_path / "data.npz", "--json")

    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["windows"], said["equal"], said["streaming"]) == (12, True, True)


def test_a_folder_that_is_no_bundle_is_named_in_json_too(tmp_path: Path) -> None:
    done = run(tmp_path, "--out", tmp_path / "c", "--json")

    assert "card.json" in json.loads(done.stdout)["error"]
    assert done.exit_code == 1


def test_what_files_do_not_say_of_themselves_is_an_option(
    tmp_path: Path, write_tiny_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    bundle = write_tiny_bundle(tmp_path)
    samples = np.random.default_rng(0).normal(size=(200, 2))
    for each in ("normal", "inner"):
        (tmp_path / "data" / each).mkdir(parents=True)
        np.savetxt(tmp_path / "data" / each / "one.csv", samples, delimiter=",", header="x,y", comments="")
    data = ("--out", tmp_path / "c", "--data", tmp_path / "data", "--json")

    refused = [run(bundle, *data, *more) for more in ([], ["--rate-hz", "1000"], ["--rate-hz", "10", "--columns", "y"])]
    done = run(bundle, *data, "--rate-hz", "1000", "--columns", "y", "--unit", "g")

    assert [each.exit_code for each in refused] == [1, 1, 1]
    reasons = [json.loads(each.stdout)["error"] for each in refused]
    for reason, word in zip(reasons, ("rate", "channels", "the model takes 1000"), strict=True):
        assert word in reason
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("option", [("--columns", "x"), ("--unit", "g"), ("--converter", "myo")])
def test_options_of_files_without_files_are_refused(option: tuple[str, str], tmp_path: Path) -> None:
    done = run(tmp_path, "--out", tmp_path / "c", *option)

    assert done.exit_code == 2
    assert "--data" in done.stderr
