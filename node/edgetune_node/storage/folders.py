"""What lies where in the data folder; makes it ready, or says why it cannot be used."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from edgetune_node.errors import NodeError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

INCOMING = "incoming"
"""Bundles laid there can be deployed by name."""


def asset_folder(data: Path, asset: str) -> Path:
    """Return the folder of all that is kept of an asset."""
    return data / "assets" / asset


def prepare_folders(data: Path, folders: Iterable[Path]) -> None:
    """Make every folder of the data folder that is not there yet.

    Raises
    ------
    NodeError
        The data folder cannot be written.
    """
    try:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NodeError(
            f"data_dir {data} cannot be used: {error.strerror}; give a folder that can be written"
        ) from None
    if not os.access(data, os.W_OK):
        raise NodeError(f"data_dir {data} cannot be written by this user; change its owner or the setting")
