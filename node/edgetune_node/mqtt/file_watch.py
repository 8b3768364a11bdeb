"""Whether the file that SQLite has open is still the one at its path, and whether only SQLite has written into it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

_Pair: TypeAlias = tuple[int, int]

MAGIC = b"SQLite format 3\0"


class FileWatch:
    """Compares a database and its log with what they were.

    Parameters
    ----------
    path
        The database, which SQLite has open.

    Attributes
    ----------
    identity
        Device and inode of the database and of its log; None for one that is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.note()

    def note(self) -> None:
        """Remember the files as they are now."""
        self.identity = identity(self._path)
        self.note_write()

    def note_write(self) -> None:
        """Remember when the files were changed: it was this process."""
        self._stamps = self._stamped()

    @property
    def replaced(self) -> bool:
        """Whether other files are at the path, or none."""
        return self.identity != identity(self._path)

    @property
    def changed(self) -> bool:
        """Whether the files have changed since the last note."""
        return self._stamps != self._stamped()

    @property
    def headless(self) -> bool:
        """Whether the database no longer begins as one. A note during which another process wrote hides the change."""
        return os.pread(self._descriptor, len(MAGIC), 0) != MAGIC

    def close(self) -> None:
        """Close the file. SQLite must have closed it before: this ends every lock of the process on it."""
        os.close(self._descriptor)

    def _stamped(self) -> tuple[_Pair | None, _Pair | None]:
        database, log = _statuses(self._path)
        return database and (database.st_mtime_ns, database.st_size), log and (log.st_mtime_ns, log.st_size)


def identity(path: Path) -> tuple[_Pair | None, _Pair | None]:
    """Device and inode of a database and of its log; None for one that is not there."""
    database, log = _statuses(path)
    return database and (database.st_dev, database.st_ino), log and (log.st_dev, log.st_ino)


def _statuses(path: Path) -> tuple[os.stat_result | None, os.stat_result | None]:
    found: list[os.stat_result | None] = []
    for part in (path, path.with_name(path.name + "-wal")):
        try:
            found.append(part.stat())
        except OSError:
            found.append(None)
    return found[0], found[1]
