"""What a test does to a model store in a process that is killed."""

from __future__ import annotations

from pathlib import Path

from edgetune_node.storage.models import ModelStore
from edgetune_signal import StreamSpec

SPEC = StreamSpec(channels=1, rate_hz=1000.0, unit="g")


def open_store(folder: str | Path) -> ModelStore:
    """Open a store of the tiny bundles, as a node does at its start."""
    return ModelStore(Path(folder), SPEC, 64, "fault")


def roll_back(folder: str) -> None:
    """Go back to the model before."""
    open_store(folder).rollback()
