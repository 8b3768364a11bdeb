"""Whether the file that SQLite has open is still the one at its path, and whether only SQLite has written into it."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from edgetune_node.errors import NodeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_Pair: TypeAlias = tuple[int, int]

MAGIC = b"SQLite format 3\0"
COUNTERS = "sqlite_sequence"
"""SQLite's table of the last key of each table."""
LOG_MAGICS = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
"""The first bytes of a log, by SQLite's file format; a log that was begun keeps them until it is emptied."""


class Rescued(NamedTuple):
    """What SQLite still holds of a database that somebody else damaged; None where that is damaged too."""

    copy: sqlite3.Connection | None


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
        self._descriptor = _open_quietly(path)
        self.note()

    def note(self) -> None:
        """Remember the files as they are now."""
        self.identity = identity(self._path)
        self.note_emptied_log()
        self.note_write()

    def note_emptied_log(self) -> None:
        """Remember when the files were changed: this process emptied the log."""
        self._log_begun = False
        self._stamps = self._stamped()

    def note_write(self) -> None:
        """Remember when the files were changed: it was this process."""
        self._stamps = self._stamped()
        self._log_begun = self._log_begun or self._log_begins()

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
        """Whether the database or its log no longer begins as one.

        A note during which another process wrote hides the change.
        """
        database = os.pread(self._descriptor, len(MAGIC), 0)
        return database != MAGIC or (self._log_begun and not self._log_begins())

    def rescue(self, connection: sqlite3.Connection, check: Callable[[sqlite3.Connection], object]) -> Rescued | None:
        """Return a copy in memory where somebody else damaged the files; None where they are whole.

        They are read only where they have changed since the last note. ``check`` raises where a database is damaged.
        The database must be locked for this connection alone: only then SQLite keeps in memory what it has read.
        """
        if not self.changed and not self.headless:
            return None
        copy = _copied(connection, check)
        try:
            connection.execute("PRAGMA shrink_memory")  # else the pages in memory are checked
            check(connection)
            connection.execute("PRAGMA wal_checkpoint")  # what only the log has whole
        except (sqlite3.Error, NodeError):
            return Rescued(copy)
        finally:
            self.note_emptied_log()  # where the database has all of it, it may lack its beginning
            self.note_write()
        if copy is not None:
            copy.close()
        return None

    def close(self) -> None:
        """Close the file. SQLite must have closed it before: this ends every lock of the process on it."""
        os.close(self._descriptor)

    def _log_begins(self) -> bool:
        try:
            descriptor = _open_quietly(_log_of(self._path))
        except OSError:
            return False
        try:
            return os.pread(descriptor, len(LOG_MAGICS[0]), 0) in LOG_MAGICS
        except OSError:
            return False
        finally:
            os.close(descriptor)

    def _stamped(self) -> tuple[_Pair | None, _Pair | None]:
        database, log = _statuses(self._path)
        return database and (database.st_mtime_ns, database.st_size), log and (log.st_mtime_ns, log.st_size)


def begin_log(connection: sqlite3.Connection) -> None:
    """Write what a deleted log holds into the database, and begin a log that has a name."""
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("BEGIN EXCLUSIVE")
    connection.execute("COMMIT")


def identity(path: Path) -> tuple[_Pair | None, _Pair | None]:
    """Device and inode of a database and of its log; None for one that is not there."""
    database, log = _statuses(path)
    return database and (database.st_dev, database.st_ino), log and (log.st_dev, log.st_ino)


def _open_quietly(path: Path) -> int:
    """Open a file to read it; its access time stays where the system permits it, for that is a write to the disk."""
    flags = os.O_RDONLY | os.O_CLOEXEC
    try:
        return os.open(path, flags | getattr(os, "O_NOATIME", 0))
    except PermissionError:  # of another owner
        return os.open(path, flags)


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _statuses(path: Path) -> tuple[os.stat_result | None, os.stat_result | None]:
    found: list[os.stat_result | None] = []
    for part in (path, _log_of(path)):
        try:
            found.append(part.stat())
        except OSError:
            found.append(None)
    return found[0], found[1]


def _copied(connection: sqlite3.Connection, check: Callable[[sqlite3.Connection], object]) -> sqlite3.Connection | None:
    """Return what can be read, which is also what SQLite has read before; None where that is damaged.

    It is copied row by row: SQLite's own backup also reads pages that are free, and those nobody has read before.
    """
    copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    try:
        copy.execute("BEGIN")
        _copy_rows(connection, copy)
        copy.execute("COMMIT")
        check(copy)
    except (sqlite3.Error, NodeError):
        copy.close()
        return None
    return copy


def _copy_rows(old: sqlite3.Connection, new: sqlite3.Connection) -> None:
    new.execute(f"PRAGMA user_version={old.execute('PRAGMA user_version').fetchone()[0]}")
    made = old.execute("SELECT type, name, sql FROM sqlite_master ORDER BY type DESC").fetchall()  # tables first
    for kind, name, sql in made:
        if sql is not None and name != COUNTERS:  # SQLite makes the others itself
            new.execute(sql)
        if kind == "table" and name != COUNTERS:
            _copy_table(old, new, name)
    if any(name == COUNTERS for _, name, _ in made):
        new.execute(f"DELETE FROM {COUNTERS}")  # noqa: S608 - a name of SQLite's
        _copy_table(old, new, COUNTERS)


def _copy_table(old: sqlite3.Connection, new: sqlite3.Connection, name: str) -> None:
    rows = old.execute(f"SELECT * FROM {name}")  # noqa: S608 - a name of ours
    marks = ", ".join("?" for _ in rows.description)
    new.executemany(f"INSERT INTO {name} VALUES ({marks})", rows)  # noqa: S608 - as above
