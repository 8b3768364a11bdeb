"""No setting from outside reaches a test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgetune_node.config import secret_files

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(secret_files, "SECRETS_DIR", tmp_path / "no-secrets")
    for name in ("EDGETUNE_NODE__ID", "EDGETUNE_MQTT__HOST", "EDGETUNE_MQTT__PASSWORD", "EDGETUNE_ASSET"):
        monkeypatch.delenv(name, raising=False)
