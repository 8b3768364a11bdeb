"""What lies where in the data folder; makes it ready, or says why it cannot be used."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from edgetune_node.errors import NodeError

if TYPE_CHECKING:
    from collections.abc import Iterable

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
    except (FileExistsError, NotADirectoryError) as error:
        path = Path(error.filename)
        there = next(each for each in (*reversed(path.parents), path) if not each.is_dir())
        kind = f"a link to {there.readlink()}, which is not there" if there.is_symlink() else "no folder"
        raise NodeError(f"data_dir {data} cannot be used: {there} is {kind}; make it a folder") from None
    except OSError as error:
        raise NodeError(
            f"data_dir {data} cannot be used: {error.strerror}; give a folder that can be written"
        ) from None
    if not os.access(data, os.W_OK):
        raise NodeError(f"data_dir {data} cannot be written by this user; change its owner or the setting")
