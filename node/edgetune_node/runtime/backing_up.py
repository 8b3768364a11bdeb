"""Makes the backup that `cmd/backup` asks for, in the data folder, and removes those that are too many."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from edgetune_node.storage import BACKUPS, told, write_backup

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from edgetune_node.config import Settings


def make_backup(settings: Settings, snapshot: Callable[[Path], object], now: datetime, keep: int) -> dict[str, Any]:
    """Write a backup; return what is said of it.

    Parameters
    ----------
    settings
        The configuration.
    snapshot
        Writes a copy of the outbox.
    now
        When it is made, which names it.
    keep
        Backups that stay, the newest.

    Raises
    ------
    BackupError
        It cannot be written.
    OSError
        The folder cannot be made.
    """
    node = settings.node
    folder = node.data_dir / BACKUPS
    folder.mkdir(exist_ok=True)
    for left in folder.glob(".*"):  # of one that was interrupted
        left.unlink()
    path = folder / f"{node.id}-{now:%Y%m%dT%H%M%S%fZ}.zip"
    manifest = write_backup(
        node.data_dir,
        path,
        node=node.id,
        namespace=node.namespace,
        version=version("edgetune"),
        created=now,
        config=settings.file,
        snapshot=snapshot,
    )
    for old in sorted(folder.glob("*.zip"))[:-keep]:
        old.unlink()
    return {"file": f"{BACKUPS}/{path.name}", **told(manifest)}


def wanted_bytes(data: Path) -> int:
    """Return how many bytes a backup of a data folder takes."""
    return sum(path.stat().st_size for path in data.rglob("*") if path.is_file() and path.parent.name != BACKUPS)
