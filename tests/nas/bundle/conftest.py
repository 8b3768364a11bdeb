"""Bundles of a network of random weights."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from bundles import search_summary, write_network

from edgetune_nas.card import Budget, InputSpec, ModelCard

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edgetune_nas.model.layers import Network


CLASSES = [f"class {index}" for index in range(10)]
CREATED = datetime(2026, 3, 1, 10, 15, tzinfo=UTC)


@pytest.fixture(scope="session")
def write(vibration_network: Network, windows: NDArray[np.float32]) -> Callable[..., ModelCard]:
    """Write a bundle of random weights into a folder, with anything overridden."""

    def write_into(folder: Path, **changes: Any) -> ModelCard:
        options: dict[str, Any] = {
            "classes": CLASSES,
            "input_spec": InputSpec(channels=1, length=512, rate_hz=12_000, unit="g"),
            "budget": Budget(ram_bytes=4096),
            "search": search_summary(candidates=3, rejected=1, trained=2, validation_accuracy=0.5),
            "data_fingerprint": "0" * 64,
            "report": "<p>report</p>",
            "created": CREATED,
            **changes,
        }
        return write_network(folder, options.pop("network", vibration_network), windows, **options)

    return write_into


@pytest.fixture(scope="session")
def written(write: Callable[..., ModelCard], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One bundle that tests only read."""
    folder = tmp_path_factory.mktemp("written")
    return folder / f"model-{write(folder).id}"


@pytest.fixture
def bundle(written: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(written, tmp_path / written.name)
