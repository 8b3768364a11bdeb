from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from configuring import SMALL

if TYPE_CHECKING:
    from pathlib import Path

CODE = """
import sys
from pathlib import Path
from types import SimpleNamespace
from edgetune_node.config import load_settings
from edgetune_node.contract import Topics
from edgetune_node.runtime.plant_systems import PlantSystems
link = SimpleNamespace(announce=None)
PlantSystems(load_settings(Path(sys.argv[1])), Topics("a", "b"), link, post=None)
print(*sys.modules)
"""


def loaded(config: Path) -> set[str]:
    done = subprocess.run([sys.executable, "-c", CODE, str(config)], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_nothing_is_loaded_for_what_is_off(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(SMALL.replace("[node]", f"[node]\ndata_dir = '{tmp_path}'"), encoding="utf-8")
    off = loaded(config)
    assert {"edgetune_node.integrations", "edgetune_node.integrations.figures", "http.server"} & off == set()
    with config.open("a", encoding="utf-8") as file:
        file.write('[home_assistant]\nprefix = "homeassistant"\n')
    on = loaded(config) - off
    assert "edgetune_node.integrations.home_assistant" in on
    assert "http.server" not in on
