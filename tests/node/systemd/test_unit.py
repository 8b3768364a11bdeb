"""The unit for systemd is understood by it, and leaves little open."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNIT = Path(__file__).resolve().parents[3] / "node" / "systemd" / "edgetune.service"
ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not here (apt install systemd)")
MOST_EXPOSURE = 2.0


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(ANALYZE), *arguments], capture_output=True, text=True, check=False)


@needs_systemd
def test_systemd_understands_every_line(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    text, changed = re.subn(r"ExecStart=\S+", f"ExecStart={sys.executable}", UNIT.read_text())
    assert changed == 1
    unit.write_text(text)
    found = analyze("verify", str(unit))
    assert (found.returncode, found.stderr) == (0, "")
    unit.write_text(text.replace("[Install]", "ProtectEverything=yes\n[Install]"))
    assert "ProtectEverything" in analyze("verify", str(unit)).stderr


@needs_systemd
def test_little_is_left_open_to_a_node_that_was_taken_over() -> None:
    found = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSURE * 10:.0f}", str(UNIT))
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", found.stdout)
    assert exposure is not None, found.stderr
    assert float(exposure[1]) <= MOST_EXPOSURE


def test_what_the_node_relies_on_is_in_the_unit() -> None:
    lines = set(UNIT.read_text().splitlines())
    assert {"Type=notify", "Restart=always", "ProtectSystem=strict", "NoNewPrivileges=yes"} <= lines
    assert "StateDirectory=edgetune" in lines
    assert any("EDGETUNE_NODE__DATA_DIR=/var/lib/edgetune" in line for line in lines)
    assert any(line.startswith("LoadCredential=edgetune_mqtt__password:") for line in lines)
