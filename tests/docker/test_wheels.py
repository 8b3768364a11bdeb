"""Every pinned package has a wheel for a Raspberry Pi, and the pins name everything that has to be installed."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
WANTED = [
    Requirement(line)
    for line in (*PROJECT["dependencies"], *EXTRAS["console"], *EXTRAS["files"], *EXTRAS["serial"], *EXTRAS["train"])
]
PLATFORMS = ["manylinux_2_17_aarch64", "manylinux2014_aarch64", "manylinux_2_28_aarch64"]  # glibc of Debian 11 to 13
OFFLINE = (
    "NewConnectionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "Read timed out",
    "ProtocolError",
    "ConnectionResetError",
    "Could not fetch URL",
    "MaxRetryError",
    "HTTP error 5",
    "--no-index",
)
ASK_S = 240.0


def environment(python: str, machine: str = "aarch64") -> dict[str, str]:
    """Return what markers ask about an interpreter on a Pi."""
    return {"platform_machine": machine, "python_version": python, "python_full_version": f"{python}.0", "extra": ""}


def pins(python: str, machine: str = "aarch64") -> dict[str, str]:
    """Versions that constraints.txt gives, by normalised name."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    found: dict[str, str] = {}
    for pin in map(Requirement, lines):
        if pin.marker is None or pin.marker.evaluate(environment(python, machine)):
            (specifier,) = pin.specifier
            assert specifier.operator == "==", pin
            assert canonicalize_name(pin.name) not in found, pin
            found[canonicalize_name(pin.name)] = specifier.version
    return found


@pytest.mark.parametrize("machine", ["aarch64", "x86_64"])
def test_what_pyproject_asks_for_is_pinned_to_a_version_it_allows(machine: str) -> None:
    pinned = pins("3.11", machine)
    for requirement in WANTED:
        assert requirement.specifier.contains(Version(pinned[canonicalize_name(requirement.name)])), requirement


@pytest.mark.slow
@pytest.mark.parametrize("python", ["3.11", "3.13"])
def test_every_pinned_package_has_a_wheel_for_a_pi_and_no_dependency_is_left_out(python: str, tmp_path: Path) -> None:
    # --dry-run with metadata alone: nothing is downloaded where the index serves metadata by itself, as PyPI does
    pinned = pins(python)
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "--ignore-installed", "--quiet"]
    command += ["--target", str(tmp_path / "nowhere"), "--report", str(tmp_path / "report.json")]
    command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", python, "--retries", "1"]
    command += [word for platform in PLATFORMS for word in ("--platform", platform)]
    command += [f"{name}=={version}" for name, version in pinned.items()]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=ASK_S, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"the package index does not answer for every package within {ASK_S:g} s")
    if asked.returncode and any(word in asked.stderr for word in OFFLINE):
        pytest.skip(f"no package index answers: {asked.stderr.strip()[-200:]}")
    assert asked.returncode == 0, asked.stderr[-2000:]
    found = {
        canonicalize_name(item["metadata"]["name"]): item
        for item in json.loads((tmp_path / "report.json").read_text())["install"]
    }
    assert {name: item["metadata"]["version"] for name, item in found.items()} == pinned
    for name, item in found.items():
        wheel = item["download_info"]["url"].rpartition("/")[2]
        assert wheel.endswith(("aarch64.whl", "any.whl")), wheel
        for requirement in map(Requirement, item["metadata"].get("requires_dist", [])):
            if requirement.marker is None or requirement.marker.evaluate(environment(python)):
                needed = canonicalize_name(requirement.name)
                assert needed in pinned, f"{name} needs {requirement}, which no line pins"
                assert requirement.specifier.contains(pinned[needed], prereleases=True), f"{name} needs {requirement}"
