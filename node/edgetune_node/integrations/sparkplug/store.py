"""What an edge node must know after a restart: the number of its last birth, and events that no host has yet."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from edgetune_node.mqtt import FileWatch, begin_log

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

NUMBERS: Final = 256
LOCK_TIMEOUT_S: Final = 1.0
AGAIN_S: Final = 2.0
"""Between two tries to go back to the disk."""
SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS birth (number INTEGER NOT NULL)",
    """CREATE TABLE IF NOT EXISTS event
    (key INTEGER PRIMARY KEY AUTOINCREMENT, kept_s REAL NOT NULL, device TEXT NOT NULL, payload BLOB NOT NULL)""",
)
STRANGE: Final = (
    "SELECT 1 FROM birth WHERE typeof(number) != 'integer' LIMIT 1",
    """SELECT 1 FROM event WHERE typeof(kept_s) != 'real' OR typeof(device) != 'text' OR typeof(payload) != 'blob'
    LIMIT 1""",
)
"""Finds values that SQLite takes anywhere, so that its own check does not see them."""

_T = TypeVar("_T")
_log = structlog.get_logger(__name__)


def elapsing() -> Callable[[], float]:
    """Return a clock that begins with the time of day and goes on by itself, whatever that is set to."""
    offset_s = time.time() - time.monotonic()
    return lambda: offset_s + time.monotonic()


class EventStore:
    """A small SQLite file; where the disk fails, memory takes its place and `problem` says so, until `look` finds room.

    The file is locked for as long as it is open. So SQLite maps no index of the log into memory: the process would die
    where somebody truncates that.

    Parameters
    ----------
    path
        The file, made where it does not exist. A damaged one is renamed to ``<name>.damaged``.
    max_bytes, max_age_s
        Bounds of what is kept; the oldest events go first.
    now_s
        Seconds since 1970, from a clock that nobody sets.

    Attributes
    ----------
    problem
        Why events are in memory only; None while they are on disk.
    notice
        What happened to the file since the start; None where nothing was overwritten.
    dropped
        Events given up for the bounds, since the start.
    """

    def __init__(self, path: Path, *, max_bytes: int, max_age_s: float, now_s: Callable[[], float]) -> None:
        self._path, self._max_bytes, self._max_age_s, self._now_s = path, max_bytes, max_age_s, now_s
        self._lock = threading.Lock()
        self.problem: str | None = None
        self.notice: str | None = None
        self.dropped = 0
        self._left: list[sqlite3.Connection] = []
        self._watch: FileWatch | None = None
        self._identity: tuple[int, int] | None = None
        self._own: tuple[int, int] | None = None
        self._tried_s = time.monotonic()
        try:
            self._connection = self._opened()
            self._hold()
        except (OSError, sqlite3.Error) as error:
            self._connection = self._in_memory(error)

    def look(self) -> None:
        """Go on in the file at the path, with all that is kept, if that is no longer the file in use."""
        with self._lock:
            now_s = time.monotonic()
            if self._identity is None and now_s - self._tried_s < AGAIN_S:
                return
            try:
                if self._is_whole():
                    return
                self._tried_s = now_s
                self._reopen()
            except (OSError, sqlite3.Error) as error:
                self._identity, self.problem, self._tried_s = None, self._told(error), now_s
                if not isinstance(error, OSError | sqlite3.OperationalError):
                    self._own = None  # damaged since: it is checked next time, and set aside

    def next_birth(self) -> int:
        """Return the number of the next connection, 0 at first, one more each time, and 0 again after 255."""

        def count(connection: sqlite3.Connection) -> int:
            last = connection.execute("SELECT number FROM birth").fetchone()
            number = 0 if last is None else (int(last[0]) + 1) % NUMBERS
            connection.execute("DELETE FROM birth")
            connection.execute("INSERT INTO birth VALUES (?)", (number,))
            return number

        return self._do(count)

    def keep(self, device: str, payload: bytes, *, lasting: bool = False) -> int:
        """Keep an event; return its key, which grows. A ``lasting`` one is never too old."""

        def insert(connection: sqlite3.Connection) -> int:
            row = (float("inf") if lasting else self._now_s(), device, payload)
            key = connection.execute("INSERT INTO event (kept_s, device, payload) VALUES (?, ?, ?)", row).lastrowid
            self._bound(connection)
            return key or 0

        return self._do(insert)

    def after(self, key: int, devices: Sequence[str]) -> tuple[int, str, bytes] | None:
        """Return the oldest event after a key of one of the devices: its key, device and payload."""
        marks = ", ".join("?" * len(devices))
        query = f"SELECT key, device, payload FROM event WHERE key > ? AND device IN ({marks}) ORDER BY key LIMIT 1"  # noqa: S608 - marks alone

        def find(connection: sqlite3.Connection) -> tuple[int, str, bytes] | None:
            row: tuple[int, str, bytes] | None = connection.execute(query, (key, *devices)).fetchone()
            return row

        return self._do(find)

    def newest(self) -> int:
        """Return the key of the newest event, 0 where there is none."""
        return self._do(lambda each: int(each.execute("SELECT COALESCE(MAX(key), 0) FROM event").fetchone()[0]))

    def drop(self, keys: Sequence[int]) -> None:
        """Forget events that have been sent."""
        self._do(lambda connection: connection.executemany("DELETE FROM event WHERE key = ?", [(k,) for k in keys]))

    def __len__(self) -> int:
        """Events that are kept."""
        return self._do(lambda each: int(each.execute("SELECT COUNT(*) FROM event").fetchone()[0]))

    def copy_to(self, path: Path) -> None:
        """Write all of it, as it is at one moment, into a file of its own."""
        with self._lock, contextlib.closing(sqlite3.connect(path)) as copy:
            self._connection.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            for connection in (self._connection, *self._left):
                connection.close()
            self._let_go()

    def _bound(self, connection: sqlite3.Connection) -> None:
        gone = connection.execute("DELETE FROM event WHERE kept_s < ?", (self._now_s() - self._max_age_s,)).rowcount
        while True:
            size, oldest = connection.execute("SELECT SUM(LENGTH(payload)), MIN(key) FROM event").fetchone()
            if (size or 0) <= self._max_bytes:
                break
            gone += connection.execute("DELETE FROM event WHERE key = ?", (oldest,)).rowcount
        self.dropped += gone

    def _do(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Read or change; where the disk fails, what is kept moves to memory and it is done there."""
        with self._lock:
            watch = self._watch
            unwatched = watch is None or watch.changed  # else the change would be taken for this one's
            try:
                result = _transaction(self._connection, work)
            except sqlite3.Error as error:
                memory = self._in_memory(error)
                try:
                    _transaction(memory, partial(_carry, self._connection, foreign=False))
                    _check(memory)
                except sqlite3.Error as unread:
                    _log.error("sparkplug events cannot be read", file=str(self._path), reason=str(unread))
                    memory.close()
                    memory = _open(None)
                    self._own = None  # what can be read of the file after all is sent, if some of it once more
                self._connection.close()
                self._let_go()
                self._connection = memory
                return _transaction(memory, work)
            if watch is not None and not unwatched:
                watch.note_write()
            return result

    def _in_memory(self, error: Exception) -> sqlite3.Connection:
        self._identity, self.problem, self._tried_s = None, self._told(error), time.monotonic()
        return _open(None)

    def _told(self, error: Exception) -> str:
        return f"sparkplug: {self._path} cannot be used ({error}): events wait in memory only; check the disk"

    def _is_whole(self) -> bool:
        """Whether the file in use is at the path, and nobody else has written into it; what was is kept in memory."""
        watch = self._watch
        if self._identity is None or watch is None or self._identity != _identity(self._path):
            return False
        if watch.replaced:  # the log alone has gone
            begin_log(self._connection)
            watch.note()
            return True
        rescued = watch.rescue(self._connection, _check)
        if rescued is None:
            return True
        self._connection.close()
        self._let_go()
        self._own = None  # it is checked, and set aside
        what = "events that waited there are lost" if rescued.copy is None else "it was made again, nothing is lost"
        self.notice = f"sparkplug: {self._path} was overwritten while the node ran; {what}"
        self._connection = rescued.copy or _open(None)
        return False

    def _hold(self) -> None:
        self._identity = self._own = _identity(self._path)
        self._watch = FileWatch(self._path)

    def _let_go(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _reopen(self) -> None:
        new = self._opened()
        try:
            foreign = self._own != _identity(self._path)  # else its events are ours, of which some have been sent
            _transaction(new, partial(_carry, self._connection, foreign=foreign))
        except BaseException:
            new.close()
            raise
        before, inode = self._connection, (self._identity or (0, 0))[1]
        watched = self._watch
        self._hold()
        self._connection, self.problem = new, None
        _log.warning("sparkplug file made again", file=str(self._path))
        if self._identity is not None and self._identity[1] == inode:
            self._left.append(before)  # SQLite would take the new file for its own, and delete the log of that
        else:
            before.close()
        if watched is not None:
            watched.close()

    def _opened(self) -> sqlite3.Connection:
        """Open the file; a damaged one is set aside."""
        try:
            # our own was checked before: every two seconds, on a full disk, that would hold up the node
            return _open(self._path, check=self._own is None or self._own != _identity(self._path))
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            _log.warning("sparkplug file is damaged", file=str(self._path), reason=str(error))
        for ending in ("", "-wal", "-shm"):
            part = self._path.with_name(self._path.name + ending)
            if part.exists():
                part.replace(part.with_name(f"{self._path.name}.damaged{ending}"))
        return _open(self._path)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _carry(before: sqlite3.Connection, new: sqlite3.Connection, *, foreign: bool) -> None:
    """Write what is kept into another file, under the same keys; events that are there already come after it."""
    number = before.execute("SELECT number FROM birth").fetchone()
    ours = before.execute("SELECT key, kept_s, device, payload FROM event").fetchall()
    theirs = new.execute("SELECT kept_s, device, payload FROM event ORDER BY key").fetchall() if foreign else []
    if number is not None:
        new.execute("DELETE FROM birth")
        new.execute("INSERT INTO birth VALUES (?)", number)
    new.execute("DELETE FROM event")
    new.executemany("INSERT INTO event VALUES (?, ?, ?, ?)", ours)
    known = {each[2:] for each in ours}
    new.executemany(
        "INSERT INTO event (kept_s, device, payload) VALUES (?, ?, ?)",
        [each for each in theirs if each[1:] not in known],
    )


def _transaction(connection: sqlite3.Connection, change: Callable[[sqlite3.Connection], _T]) -> _T:
    try:
        connection.execute("BEGIN IMMEDIATE")
        result = change(connection)
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # a full disk has rolled it back by itself
            connection.execute("ROLLBACK")
        raise
    return result


def _open(path: Path | None, *, check: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path or ":memory:", timeout=LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        for statement in SCHEMA:
            connection.execute(statement)
        connection.execute("BEGIN EXCLUSIVE")  # takes the lock, and begins the log
        connection.execute("COMMIT")
        if check:
            _check(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection) -> None:
    """Raise `sqlite3.DatabaseError` where a file is damaged, or holds what was never written."""
    verdict = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if verdict != "ok" or any(connection.execute(query).fetchone() for query in STRANGE):
        raise sqlite3.DatabaseError(verdict if verdict != "ok" else "it has values of other types than were written")
