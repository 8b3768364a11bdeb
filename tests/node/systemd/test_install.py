"""``make install`` puts a node, its unit and its configuration where systemd and a person look for them."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgetune_node.config.settings import load_settings

ROOT = Path(__file__).resolve().parents[3]
PREFIX = "/srv/edgetune"
DEPENDENCIES = Path(np.__file__).parents[1]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not here (apt install make)")


def install(destdir: Path, prefix: str = PREFIX) -> subprocess.CompletedProcess[str]:
    """Run ``make install``, without the packages that the node needs: the tests' own stand in for them."""
    variables = {"DESTDIR": str(destdir), "PREFIX": prefix, "PYTHON": sys.executable, "EXTRA": ""}
    return subprocess.run(
        ["make", "install", *(f"{name}={value}" for name, value in variables.items())],
        cwd=ROOT,
        env={**os.environ, "PIP_NO_DEPS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def left() -> set[str]:
    """What is in this folder, but for what other tests may begin meanwhile."""
    return {each.name for each in ROOT.iterdir()} - {".pytest_cache", ".hypothesis", ".benchmarks"}


@pytest.mark.slow
def test_it_installs_a_service_and_an_upgrade_keeps_its_configuration(tmp_path: Path) -> None:
    before = left()
    done = install(tmp_path)
    assert done.returncode == 0, done.stderr
    assert left() == before

    unit = (tmp_path / "etc/systemd/system/edgetune.service").read_text()
    (command,) = [line for line in unit.splitlines() if line.startswith("ExecStart=")]
    program, *arguments = command.removeprefix("ExecStart=").split()
    assert program == f"{PREFIX}/.venv/bin/edgetune"
    script = (tmp_path / program[1:]).read_text()
    assert f"{PREFIX}/.venv/bin/python" in script
    assert str(tmp_path) not in script
    assert "/opt/edgetune" not in unit

    config = tmp_path / arguments[-1][1:]
    assert str(load_settings(config).node.data_dir) == "/var/lib/edgetune"
    config.write_text(config.read_text().replace('id = "edge1"', 'id = "press7"'))
    assert install(tmp_path).returncode == 0
    assert load_settings(config).node.id == "press7"

    version = subprocess.run(
        [str(tmp_path / PREFIX[1:] / ".venv/bin/python"), "-m", "edgetune_node", "--version"],
        env={**os.environ, "PYTHONPATH": str(DEPENDENCIES)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert importlib.metadata.version("edgetune") in version.stdout


def test_a_relative_prefix_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    done = install(tmp_path, "edgetune")
    assert done.returncode != 0
    assert "PREFIX must be an absolute path, not edgetune" in done.stderr
    assert list(tmp_path.iterdir()) == []
