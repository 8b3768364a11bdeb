"""A command ends with an exit code of its own, whatever has become of its standard streams."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(("sink", "code"), [(">/dev/full", 1), (">&-", 0), ("2>&-", 0), ("2>/dev/full", 0)])
def test_a_command_ends_with_a_code_of_its_own(sink: str, code: int) -> None:
    command = ["sh", "-c", f'exec "$@" {sink}', "sh", sys.executable, "-m", "edgetune_node", "--version"]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=buffered)
    assert ran.returncode == code
    if code:
        assert ran.stderr == "edgetune: standard output cannot be written: No space left on device\n"


def test_more_than_a_full_disk_takes_ends_with_a_sentence() -> None:
    command = ["sh", "-c", 'exec "$@" >/dev/full', "sh", sys.executable, "-m", "edgetune_node", "schema"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 1
    assert ran.stderr == "edgetune: standard output cannot be written: No space left on device\n"
