"""The SQLite file under the outbox: checked at open, set aside when damaged, written one transaction at a time."""

from __future__ import annotations

import contextlib
import errno
import sqlite3
import threading
from functools import partial
from typing import TYPE_CHECKING

from edgetune_node.errors import OutboxError
from edgetune_node.mqtt.file_watch import FileWatch, begin_log, identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FORMAT = 4
LOCK_TIMEOUT_S = 3.0
REATTACH_TIMEOUT_S = 0.2
"""Shorter, since the node waits meanwhile; it is tried again."""
FULL = {errno.ENOSPC, errno.EDQUOT}
UPGRADES = {
    1: "ALTER TABLE command ADD COLUMN note BLOB NOT NULL DEFAULT x''",
    3: "ALTER TABLE entry ADD COLUMN lane INTEGER NOT NULL DEFAULT 0",
}
"""What makes a file of an older format one of the next, besides the tables that are new."""
SCHEMA = (
    # AUTOINCREMENT: a key is never used twice, so that "everything after this key" keeps its meaning
    """CREATE TABLE IF NOT EXISTS entry (
        key INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, payload BLOB NOT NULL, qos INTEGER NOT NULL,
        retain INTEGER NOT NULL, correlation BLOB, boot TEXT NOT NULL, time_ns INTEGER NOT NULL,
        rank INTEGER NOT NULL, size INTEGER NOT NULL, lane INTEGER NOT NULL DEFAULT 0)""",
    "CREATE INDEX IF NOT EXISTS entry_by_rank ON entry (rank, key)",
    "CREATE INDEX IF NOT EXISTS entry_by_time ON entry (time_ns)",
    "CREATE TABLE IF NOT EXISTS current (topic TEXT PRIMARY KEY, payload BLOB NOT NULL) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS command (
        key INTEGER PRIMARY KEY AUTOINCREMENT, asset TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL,
        payload BLOB NOT NULL, answer BLOB NOT NULL, time_ns INTEGER NOT NULL, finished INTEGER NOT NULL DEFAULT 0,
        note BLOB NOT NULL DEFAULT x'', UNIQUE (asset, id))""",
    "CREATE TABLE IF NOT EXISTS signed (signature TEXT PRIMARY KEY, expires_ns INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS dropped (rank INTEGER PRIMARY KEY, count INTEGER NOT NULL)",
    """CREATE TABLE IF NOT EXISTS clock (
        machine_boot TEXT PRIMARY KEY, ahead_ns INTEGER NOT NULL, least_ns INTEGER NOT NULL) WITHOUT ROWID""",
)
TYPES: dict[str, dict[str, tuple[str, ...]]] = {
    "entry": {
        "text": ("topic", "boot"),
        "blob": ("payload",),
        "integer": ("qos", "retain", "time_ns", "rank", "size", "lane"),
    },
    "current": {"text": ("topic",), "blob": ("payload",)},
    "command": {
        "text": ("asset", "id", "name"),
        "blob": ("payload", "answer", "note"),
        "integer": ("time_ns", "finished"),
    },
    "signed": {"text": ("signature",), "integer": ("expires_ns",)},
    "dropped": {"integer": ("rank", "count")},
    "clock": {"text": ("machine_boot",), "integer": ("ahead_ns", "least_ns")},
}
"""What each column holds. SQLite takes anything anywhere, so that damage can go unseen by its own check."""


class OutboxDatabase:
    """A SQLite file in WAL mode, ``synchronous=FULL``: what a `transaction` wrote is on disk when its block has ended.

    The file is locked for as long as it is open, since two nodes on one outbox would send everything twice; the lock
    ends with the process, however that ends. Usable from any thread.

    Parameters
    ----------
    path
        Made with its folders when it does not exist. A file that SQLite finds damaged is renamed to
        ``<name>.damaged`` (in place of an older one) and a new one begun; `warning` then says so. A file of this
        format is opened without writing, so that a full disk is no hindrance. Where there is no room for a file that
        has to be made, memory takes its place until the process ends, and `warning` says so.

    Raises
    ------
    OutboxError
        If the file cannot be opened at all, is in use, or is of a newer format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.warning: str | None = None
        self._lock = threading.RLock()
        self._left: dict[tuple[int, int] | None, sqlite3.Connection] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = self._opened(LOCK_TIMEOUT_S, memory=True)
        except OSError as error:
            if error.errno not in FULL:
                raise OutboxError(f"outbox {path}: its folder cannot be made: {error.strerror}") from error
            self._connection = self._in_memory()
        in_memory = not self._connection.execute("PRAGMA database_list").fetchone()[2]
        self._watch = None if in_memory else FileWatch(path)
        self._overwritten: sqlite3.Connection | None = None

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it or nothing.

        Raises
        ------
        OutboxError
            If SQLite cannot do it, for example because the disk is full; nothing has changed then.
        """
        with self._lock:
            unwatched = self._watch is None or self._watch.changed  # else the change would be taken for this one's
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                self._roll_back()
                raise OutboxError(f"outbox {self.path} cannot be written: {error}; {_advice(error)}") from error
            except BaseException:
                self._roll_back()
                raise
            finally:
                if self._watch is not None and not unwatched:
                    self._watch.note_write()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Read, undisturbed by other threads' transactions."""
        with self._lock:
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise OutboxError(f"outbox {self.path} cannot be read: {error}; {_advice(error)}") from error

    def empty_log(self) -> None:
        """Write all of the log into the file, so that nothing that was deleted stays in it."""
        with self.reading() as connection:
            unwatched = self._watch is None or self._watch.changed  # else the change would be taken for this one's
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            if self._watch is not None and not unwatched:
                self._watch.note_emptied_log()

    def copy_to(self, path: Path) -> None:
        """Write all of it, as it is at one moment, into a file of its own; `OutboxError` if it cannot be read."""
        with self.reading() as connection, contextlib.closing(sqlite3.connect(path)) as copy:
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")

    @property
    def detached(self) -> bool:
        """Whether a restart would not find what is kept: the path leads to another file, or this was overwritten."""
        return self._watch is not None and (self._watch.replaced or self.overwritten)

    @property
    def overwritten(self) -> bool:
        """Whether somebody else wrote into the file, which is damaged by that.

        The file is read only where it has changed since the last transaction. What SQLite still holds in memory is
        used from then on, until `reattach`.
        """
        with self._lock:
            if self._overwritten is None and self._watch is not None:
                rescued = self._watch.rescue(self._connection, partial(_check, path=self.path))
                if rescued is not None:
                    self._overwritten, self._connection = self._connection, rescued.copy or self._emptied()
            return self._overwritten is not None

    def reattach(self, carry: Callable[[sqlite3.Connection, sqlite3.Connection], None]) -> None:
        """Open what is at the path now, a new file where there is none, and go on with it.

        Parameters
        ----------
        carry
            Writes what the old file holds into the new one, as one transaction; it gets both.

        Raises
        ------
        OutboxError
            If that cannot be done; the old file stays in use.
        """
        with self._lock:
            database, log = self._watch.identity if self._watch is not None else (None, None)
            if self._overwritten is not None:
                self._set_aside()
                self._overwritten.close()
                self._overwritten = None
            found_database, found_log = identity(self.path)
            try:
                if (
                    self._watch is not None and database == found_database and log != found_log
                ):  # the log alone has gone
                    begin_log(self._connection)
                    self._watch.note()
                    return
                self.path.parent.mkdir(parents=True, exist_ok=True)
                new = self._left.pop(found_database, None) or self._opened(REATTACH_TIMEOUT_S, memory=False)
                try:
                    new.execute("BEGIN IMMEDIATE")
                    carry(self._connection, new)
                    new.execute("COMMIT")
                except BaseException:
                    new.close()
                    raise
            except sqlite3.Error as error:
                raise OutboxError(f"outbox {self.path} cannot be made again: {error}; {_advice(error)}") from error
            except OSError as error:
                raise OutboxError(f"outbox {self.path}: its folder cannot be made: {error.strerror}") from error
            old, self._connection = self._connection, new
            watched, self._watch = self._watch, FileWatch(self.path)
            found_database, _ = self._watch.identity
            if database is not None and found_database is not None and database[1] == found_database[1]:
                self._left[database] = old  # SQLite would take the new file for its own, and delete the log of that
            else:
                old.close()
            if watched is not None:
                watched.close()

    def close(self) -> None:
        """Close the file; nothing gets lost without it."""
        with self._lock:
            self._connection.close()
            if self._overwritten is not None:
                self._overwritten.close()
            if self._watch is not None:
                self._watch.close()
                self._watch = None

    def _emptied(self) -> sqlite3.Connection:
        self.warning = f"outbox {self.path} was overwritten; messages that waited there are lost"
        return _open(None, LOCK_TIMEOUT_S)

    def _opened(self, timeout_s: float, *, memory: bool) -> sqlite3.Connection:
        try:
            return self._open_or_remember(timeout_s, memory=memory)
        except sqlite3.OperationalError as error:  # a DatabaseError too, but says nothing about the content
            raise OutboxError(f"outbox {self.path} cannot be opened: {error}; {_advice(error)}") from error
        except sqlite3.DatabaseError as error:
            aside = self._set_aside()
            self.warning = (
                f"outbox {self.path} is damaged ({error}); it now is {aside}, and what was not yet sent is in there"
            )
            try:
                return self._open_or_remember(timeout_s, memory=memory)
            except sqlite3.Error as second:
                raise OutboxError(f"outbox {self.path} cannot be made anew: {second}; {_advice(second)}") from second

    def _open_or_remember(self, timeout_s: float, *, memory: bool) -> sqlite3.Connection:
        try:
            return _open(self.path, timeout_s)
        except sqlite3.OperationalError as error:
            if not memory or not _says_full(error, self.path):
                raise
            return self._in_memory()

    def _in_memory(self) -> sqlite3.Connection:
        memory = f"the disk is full: outbox {self.path} cannot be used, and messages are kept in memory"
        self.warning = "; ".join(filter(None, [self.warning, f"{memory}; free some space and restart the node"]))
        return _open(None, LOCK_TIMEOUT_S)

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):  # a full disk has rolled it back by itself
                self._connection.execute("ROLLBACK")

    def _set_aside(self) -> Path:
        aside = self.path.with_name(self.path.name + ".damaged")
        try:
            for ending in ("", "-wal", "-shm"):
                part = self.path.with_name(self.path.name + ending)
                if part.exists():
                    part.replace(aside.with_name(aside.name + ending))
        except OSError as error:
            raise OutboxError(f"outbox {self.path} is damaged and cannot be renamed: {error.strerror}") from error
        return aside


def _open(path: Path | None, timeout_s: float) -> sqlite3.Connection:
    """Open a file, or memory; writes nothing where the tables are there already."""
    connection = sqlite3.connect(path or ":memory:", timeout=timeout_s, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        found = _checked(connection, path)
        if found == FORMAT:
            connection.execute("BEGIN EXCLUSIVE")  # takes the lock, as writing would
            connection.execute("COMMIT")
        else:
            connection.execute("BEGIN IMMEDIATE")
            for older in range(found or FORMAT, FORMAT):
                connection.execute(UPGRADES.get(older, ""))
            for statement in SCHEMA:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={FORMAT}")
            connection.execute("COMMIT")
        _check_content(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _checked(connection: sqlite3.Connection, path: Path | None) -> int:
    """Return the format of a file that is whole, 0 where it is new."""
    verdict = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict)
    made_by: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if made_by < 0:
        raise sqlite3.DatabaseError(f"format {made_by}")
    if made_by > FORMAT:
        raise OutboxError(
            f"outbox {path} has format {made_by}, and this version knows {FORMAT}; update, or move the file away"
        )
    return made_by


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Raise `sqlite3.DatabaseError` or `OutboxError` where a file is not one of this version's."""
    if _checked(connection, path) != FORMAT:
        raise sqlite3.DatabaseError("it has another format")
    _check_content(connection)


def _check_content(connection: sqlite3.Connection) -> None:
    """Raise `sqlite3.DatabaseError` where SQLite would find nothing wrong, but these are not what this class wrote."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE type NOT IN ('table', 'index')").fetchone():
        raise sqlite3.DatabaseError("it does things by itself")
    for table, types in TYPES.items():
        texts = ", ".join(types.get("text", ("rowid",)))
        others = " OR ".join(f"typeof({name}) != '{kind}'" for kind, names in types.items() for name in names)
        try:
            for _ in connection.execute(f"SELECT {texts} FROM {table}"):  # noqa: S608 - names of ours; decodes each
                pass
            wrong = connection.execute(f"SELECT 1 FROM {table} WHERE {others}").fetchone()  # noqa: S608 - names of ours
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorname", "SQLITE_ERROR") != "SQLITE_ERROR":
                raise
            raise sqlite3.DatabaseError(str(error)) from error
        if wrong:
            raise sqlite3.DatabaseError(f"wrong types in table {table}")


def _says_full(error: sqlite3.Error, path: Path) -> bool:
    """Whether there is no room for the file or its log; SQLite only says "cannot open" where one cannot be made."""
    name = getattr(error, "sqlite_errorname", "")
    if not name.startswith("SQLITE_CANTOPEN"):
        return bool(name == "SQLITE_FULL")
    try:
        for part in (path, path.with_name(path.name + "-wal")):
            part.open("ab").close()
    except OSError as refusal:
        return refusal.errno in FULL
    return False


def _advice(error: sqlite3.Error) -> str:
    name = getattr(error, "sqlite_errorname", "")
    if name == "SQLITE_FULL":
        return "free some space; messages are kept in memory until then"
    if name.startswith("SQLITE_BUSY"):
        return "another process has it open: does a second node run on the same data_dir?"
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM")):
        return "check that the node may write there"
    return "check the disk"
