"""Makes the backup that `cmd/backup` asks for, in the data folder, and removes those that are too many."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edgetune_node.storage import BACKUPS, told, write_backup

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from edgetune_node.config import Settings

MADE: Final = re.compile(r".+-\d+T\d{12}Z\.zip")


def make_backup(
    settings: Settings, snapshots: Mapping[str, Callable[[Path], object]], now: datetime, keep: int
) -> dict[str, Any]:
    """Write a backup; return what is said of it.

    Parameters
    ----------
    settings
        The configuration.
    snapshots
        Writes a copy of a database; by the name of its file.
    now
        When it is made, which names it.
    keep
        Backups that stay, this one and the newest of the others.

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
    remove_interrupted(node.data_dir)
    path = folder / f"{node.id}-{now:%Y%m%dT%H%M%S%fZ}.zip"
    manifest = write_backup(
        node.data_dir,
        path,
        node=node.id,
        namespace=node.namespace,
        version=version("edgetune"),
        created=now,
        config=settings.file,
        snapshots=snapshots,
    )
    made_s = now.timestamp()
    os.utime(path, (made_s, made_s))
    others = [other for other in folder.iterdir() if other != path and _is_ours(other)]
    for old in sorted(others, key=partial(_age, path.stat().st_mtime_ns))[: max(0, len(others) - keep + 1)]:
        old.unlink()
    return {"file": f"{BACKUPS}/{path.name}", **told(manifest)}


def remove_interrupted(data: Path) -> None:
    """Remove what is left of a backup that was interrupted."""
    for left in (data / BACKUPS).glob(".*.zip.*"):
        with suppress(OSError):
            left.unlink()


def _is_ours(file: Path) -> bool:
    """Whether a node made it, of this id or another: what somebody else keeps there is not ours to delete."""
    return MADE.fullmatch(file.name) is not None and file.is_file() and not file.is_symlink()


def _age(now_ns: int, backup: Path) -> tuple[bool, int]:
    """Return a key by which the oldest comes first: one of the future is of a clock that was wrong, and so older."""
    made_ns = backup.stat().st_mtime_ns
    return made_ns <= now_ns, made_ns


def wanted_bytes(data: Path) -> int:
    """Return how many bytes a backup of a data folder takes."""
    total = 0
    for place, _, names in os.walk(data):
        for path in (Path(place, name) for name in names):
            with suppress(FileNotFoundError):  # a search that runs removes what it no longer needs
                if path.is_file() and path.parent.name != BACKUPS:
                    total += path.stat().st_size
    return total
