"""What every commit is held against: nothing is left out of it that the machine can do."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUN = ROOT / ".ci" / "run"
PACKAGES = re.compile(r"apt install ([a-z0-9.+ -]+)")
EXTRAS = re.compile(r"edgetune\[([a-z,]+)\]")
THERE = ("make",)
"""What the run itself is made of."""
ENGINE = "the engine was asked for"


def all_tests() -> str:
    """Every test as it is written, but this one."""
    return "\n".join(path.read_text() for path in ROOT.glob("tests/**/*.py") if path != Path(__file__))


def listed(text: str, found: re.Pattern[str]) -> set[str]:
    return {each for match in found.findall(text) for each in re.split("[ ,]", match) if each}


def test_every_package_that_a_test_is_skipped_without_is_installed() -> None:
    wanted = listed(all_tests(), PACKAGES)
    assert {"mosquitto", "npm", "chromium"} <= wanted
    assert wanted - {*THERE} <= set(re.split(r'[\s":]+', RUN.read_text().split("missing()")[0]))


def test_every_extra_that_a_test_is_skipped_without_is_installed() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    [made] = re.findall(r"\.installed: .*?--editable '\.\[([a-z,]+)\]'", (ROOT / "Makefile").read_text(), re.DOTALL)[:1]
    added = listed(RUN.read_text(), re.compile(r"extras\+?=([a-z,]+)"))
    installed = {*made.split(","), *added}
    installed |= {inner for extra in installed for line in extras[extra] for inner in listed(line, EXTRAS)}
    wanted = listed(all_tests(), EXTRAS)
    assert {"cluster", "brainflow", "exam"} <= wanted
    assert wanted <= installed


@pytest.mark.parametrize("starts", [True, False])
def test_an_engine_is_started_where_none_answers_and_the_containers_are_tested_either_way(
    tmp_path: Path, *, starts: bool
) -> None:
    """Every command that the run gives is one of ours, which writes down that it was given."""
    commands, project, given = tmp_path / "bin", tmp_path / "project", tmp_path / "given"
    engine = tmp_path / "shared" / "tools" / "container-engine.sh"
    for folder in (commands, project / ".ci", project / ".venv" / "bin", engine.parent):
        folder.mkdir(parents=True)
    shutil.copy(RUN, project / ".ci")
    shutil.copy(ROOT / "constraints.txt", project)
    engine.write_text(f"echo 'export ENGINE=\"{ENGINE}\"'\n" if starts else "exit 1\n")

    def stand_in(path: Path, script: str) -> None:
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    for name in re.findall(r'^  "?([a-z0-9_+-]+):', RUN.read_text(), re.MULTILINE):
        stand_in(commands / name, "exit 0")
    stand_in(commands / "make", f'echo "$1 $ENGINE" >> {given}')
    stand_in(commands / "docker", "exit 1")
    stand_in(project / ".venv" / "bin" / "python", "exit 0")
    path = f"{commands}{os.pathsep}{os.environ['PATH']}"
    environment = {name: value for name, value in os.environ.items() if name != "ENGINE"} | {"PATH": path}
    done = subprocess.run([project / ".ci" / "run"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = dict(line.rstrip("\n").split(" ", 1) for line in given.read_text().splitlines())
    assert told["test-containers"] == (ENGINE if starts else "")
    assert told.keys() >= {"lint", "coverage", "test-slow", "bench-mcu"}
    assert ("no container engine" in done.stderr) != starts
