"""Configurations that are written as text and loaded as the node loads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgetune_node.config.settings import Settings, load_settings
from edgetune_node.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

SMALL = """
[node]
id = "edge1"
[[asset]]
id = "bearing1"
rate_hz = 12000
"""


def load(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path)


def problems_of(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert str(tmp_path) in str(caught.value)
    return caught.value.problems
