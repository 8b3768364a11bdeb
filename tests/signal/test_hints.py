"""What an error advises: the nearest name, and a command that installs a missing extra here."""

from __future__ import annotations

import json
import re
import shlex
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from edgetune_signal import did_you_mean, hints, install_hint


class Installed:
    """A distribution with what pip notes of where it came from."""

    def __init__(self, **noted: Any) -> None:
        self.noted = json.dumps(noted) if noted else None

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return self.noted


def hint(monkeypatch: pytest.MonkeyPatch, pip: str | None, **noted: Any) -> list[str]:
    monkeypatch.setattr(hints, "distribution", lambda _name: Installed(**noted))
    monkeypatch.setattr(hints.shutil, "which", lambda _name: pip)
    return shlex.split(install_hint("console"))


@pytest.mark.parametrize(
    ("name", "said"),
    [("bearng1", "; did you mean bearing1?"), ("BEARING1", "; did you mean bearing1?"), ("pump", ""), ("", "")],
)
def test_the_nearest_name_is_named(name: str, said: str) -> None:
    assert did_you_mean(name, ["bearing1", "fan"]) == said


def test_an_installed_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hint(monkeypatch, None) == [sys.executable, "-m", "pip", "install", "edgetune[console]"]


def test_the_pip_beside_this_python_goes_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    beside = sys.executable.rpartition("/")[0] + "/pip"
    assert hint(monkeypatch, beside) == ["pip", "install", "edgetune[console]"]
    assert hint(monkeypatch, "/nowhere/pip")[:3] == [sys.executable, "-m", "pip"]


@pytest.mark.parametrize(("editable", "flags"), [(True, ["-e"]), (False, [])])
def test_a_checkout_is_named_with_its_constraints(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, editable: bool, flags: list[str]
) -> None:
    folder = tmp_path / "a checkout"
    folder.mkdir()
    pins = folder / "constraints.txt"
    pins.write_text("numpy==2.0\n")
    words = hint(monkeypatch, None, url=folder.as_uri(), dir_info={"editable": editable})
    assert words[3:] == ["install", "-c", str(pins), *flags, f"{folder}[console]"]


def test_a_wheel_is_named_while_it_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wheel = tmp_path / "edgetune-1-py3-none-any.whl"
    wheel.touch()
    assert hint(monkeypatch, None, url=wheel.as_uri())[3:] == ["install", f"{wheel}[console]"]
    wheel.unlink()
    assert hint(monkeypatch, None, url=wheel.as_uri())[3:] == ["install", "edgetune[console]"]


def test_what_the_constraints_contradict_is_installed_without_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "constraints.txt").write_text("setuptools==84\n")
    noted = {"url": tmp_path.as_uri(), "dir_info": {"editable": True}}
    monkeypatch.setattr(hints, "distribution", lambda _name: Installed(**noted))
    assert "-c" in shlex.split(install_hint("lsl"))
    assert "-c" not in shlex.split(install_hint("brainflow", pinned=False))


ROOT = Path(__file__).parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
PINS = dict(re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
PAGES = [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), *ROOT.glob("*/README.md"), ROOT / "config.example.toml"]


def test_no_page_constrains_an_extra_that_the_constraints_contradict() -> None:
    commands = [
        found for page in PAGES for found in re.findall(r"-c constraints.txt '?\.\[([\w,]+)\]", page.read_text())
    ]
    assert len(commands) > 5
    for extra in {name for command in commands for name in command.split(",")}:
        for wanted in map(Requirement, EXTRAS[extra]):
            pin = PINS.get(wanted.name)
            assert pin is None or wanted.specifier.contains(pin), (extra, wanted)
