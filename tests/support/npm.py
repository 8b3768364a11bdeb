"""Packages of npm that tests run: installed into a folder of the test's, or the test is skipped and says why."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

INSTALL_S = 150.0


def install(folder: Path, package: str, *options: str) -> Path:
    """Install ``package`` into ``folder``; skip where npm is not there, or cannot have it in time."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip(f"{package} needs node and npm (apt install npm)")
    (folder / "package.json").write_text("{}", encoding="utf-8")
    command = [npm, "install", "--no-audit", "--no-fund", *options, package]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"{package} cannot be installed: npm's registry does not answer")
    if done.returncode:
        pytest.skip(f"{package} cannot be installed: {done.stderr.strip()[-300:]}")
    return folder
