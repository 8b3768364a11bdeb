"""What people install without a checkout: a wheel that has all it needs."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
DEPENDENCIES = Path(np.__file__).parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(source)], check=True)  # a build leaves folders behind
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    [found] = folder.glob("*.whl")
    return found


def test_it_holds_schemas_faces_and_types(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for package in ("edgetune_signal", "edgetune_nas", "edgetune_node"):
        committed = {path for path in (ROOT / package.removeprefix("edgetune_") / package).rglob("*") if path.is_file()}
        wanted = {path for path in committed if path.suffix in {".py", ".pyi", ".json", ".typed"}}
        assert {str(path.relative_to(ROOT / package.removeprefix("edgetune_"))) for path in wanted} <= names


def test_the_demo_runs_from_it_in_an_environment_of_its_own(wheel: Path, tmp_path: Path) -> None:
    """The packages that it needs are those of the tests' own environment, so that nothing is downloaded."""
    home = tmp_path / "environment"
    venv.create(home)
    [site] = home.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (site / "dependencies.pth").write_text(f"{DEPENDENCIES}\n", encoding="utf-8")
    command = [
        str(home / "bin" / "python"),
        "-m",
        "edgetune_node",
        "demo",
        "--json",
        "--time",
        "12s",
        "--seconds-per-take",
        "5s",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    where = subprocess.run(
        [str(home / "bin" / "python"), "-c", "import edgetune_node; print(edgetune_node.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(str(home))
    assert json.loads(done.stdout)["faults"]
