"""Commands that were accepted, what was answered, and signatures that were used: in the file of the outbox."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgetune_node.errors import OutboxError

if TYPE_CHECKING:
    import sqlite3
    import threading
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from edgetune_node.mqtt.database import OutboxDatabase

FINISHED_COMMANDS = 1000
DAY_NS = 86_400 * 10**9


@dataclass(frozen=True, slots=True)
class LoggedCommand:
    """A command that was accepted; ``answer`` is the newest answer worth repeating, ``time_ns`` when it was kept.

    ``note`` is what its owner wants to find again.
    """

    asset: str | None
    name: str
    command_id: str
    payload: bytes
    answer: bytes
    time_ns: int
    note: bytes


@dataclass(frozen=True, slots=True)
class _Command:
    """A row of the table of commands."""

    asset: str
    command_id: str
    name: str
    payload: bytes
    answer: bytes
    time_ns: int
    finished: bool
    note: bytes = b""

    def then(self, later: _Command) -> _Command:
        """Return what is to be written when ``later`` is known too: the first final answer, else the first answer."""
        if self.finished or not later.finished:
            return self
        return replace(self, payload=b"", answer=later.answer, finished=True, note=b"")


class CommandLog:
    """Accepted commands, on disk when a method returns; usable from any thread.

    What a full disk would not take is remembered until `rewrite` has written it, or the process ends.

    Parameters
    ----------
    file
        Where they are kept.
    lock
        Held while memory and file are brought to agree; the outbox's own, since it writes both at once.
    clock
        UTC nanoseconds.
    earliest
        The earliest UTC nanoseconds that it may be, were the clock ahead for a while.
    """

    def __init__(
        self, file: OutboxDatabase, lock: threading.RLock, clock: Callable[[], int], earliest: Callable[[], int]
    ) -> None:
        self._file = file
        self._lock = lock
        self._clock = clock
        self._earliest = earliest
        self._unwritten: dict[tuple[str, str], _Command] = {}

    def keep(
        self, asset: str | None, name: str, command_id: str, payload: bytes, answer: bytes, note: bytes = b""
    ) -> None:
        """Keep an accepted command with its first answer; a repeated id changes nothing.

        Raises
        ------
        OutboxError
            If it cannot be written. `answer_of` knows it all the same until the process ends.
        """
        self._write(_Command(asset or "", command_id, name, payload, answer, self._clock(), finished=False, note=note))

    def note(self, asset: str | None, command_id: str, note: bytes) -> None:
        """Replace the note of a command that has not finished; an unknown one is no error.

        Raises
        ------
        OutboxError
            If it cannot be written. It is, with the command, where that waits for room too; else it is forgotten.
        """
        with self._lock:
            waiting = self._unwritten.get((asset or "", command_id))
            if waiting is not None and not waiting.finished:
                self._unwritten[asset or "", command_id] = replace(waiting, note=note)
            with self._file.transaction() as db:
                db.execute(
                    "UPDATE command SET note = ? WHERE asset = ? AND id = ? AND NOT finished",
                    (note, asset or "", command_id),
                )

    def finish(self, asset: str | None, name: str, command_id: str, answer: bytes) -> None:
        """Keep a command's final answer; the first one counts. The newest 1000 finished commands are remembered.

        Raises
        ------
        OutboxError
            If it cannot be written. `answer_of` knows it all the same until the process ends.
        """
        self._write(_Command(asset or "", command_id, name, b"", answer, self._clock(), finished=True))

    def answer_of(self, asset: str | None, command_id: str) -> bytes | None:
        """First final answer to a command, the first answer while it runs, None if it was never kept."""
        with self._lock:
            unwritten = self._unwritten.get((asset or "", command_id))
            if unwritten is not None:
                return unwritten.answer
            with self._file.reading() as db:
                row = db.execute(
                    "SELECT answer FROM command WHERE asset = ? AND id = ?", (asset or "", command_id)
                ).fetchone()
        return None if row is None else bytes(row[0])

    def interrupted(self) -> list[LoggedCommand]:
        """Commands that were kept and never finished, oldest first."""
        with self._file.reading() as db:
            rows = db.execute(
                "SELECT asset, name, id, payload, answer, time_ns, note FROM command WHERE NOT finished ORDER BY key"
            ).fetchall()
        return [LoggedCommand(asset or None, *rest) for asset, *rest in rows]

    def first_use(self, signature: str, expires: datetime) -> bool:
        """Remember a command's signature until a day after it expires; False where it was known already.

        That day has passed where it has by every clock that the machine has had since its start: one that was ahead for
        a moment makes nothing forgotten.

        Raises
        ------
        OutboxError
            If it cannot be written.
        """
        with self._file.transaction() as db:
            db.execute("DELETE FROM signed WHERE expires_ns < ?", (self._earliest() - DAY_NS,))
            row = signature, int(expires.timestamp()) * 10**9
            return db.execute("INSERT OR IGNORE INTO signed VALUES (?, ?)", row).rowcount == 1

    # ---- after a full disk ---------------------------------------------------------------------------------------

    def rewrite(self, db: sqlite3.Connection) -> None:
        """Write what could not be written, as part of a transaction."""
        _write(db, self._unwritten.values())

    def rewritten(self) -> None:
        """Take note that the transaction of `rewrite` has succeeded."""
        self._unwritten.clear()

    def _write(self, command: _Command) -> None:
        key = command.asset, command.command_id
        with self._lock:
            known = self._unwritten.pop(key, None)
            whole = command if known is None else known.then(command)
            try:
                with self._file.transaction() as db:
                    _write(db, [whole])
            except OutboxError:
                self._unwritten[key] = whole
                if len(self._unwritten) > FINISHED_COMMANDS:
                    del self._unwritten[next(iter(self._unwritten))]
                raise


def _write(db: sqlite3.Connection, commands: Iterable[_Command]) -> None:
    db.executemany(
        "INSERT INTO command (asset, id, name, payload, answer, time_ns, finished, note)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (asset, id) DO UPDATE SET answer = excluded.answer, payload = x'', finished = 1, note = x''"
        " WHERE NOT finished AND excluded.finished",
        [(c.asset, c.command_id, c.name, c.payload, c.answer, c.time_ns, c.finished, c.note) for c in commands],
    )
    db.execute(
        "DELETE FROM command WHERE key IN (SELECT key FROM command WHERE finished ORDER BY key DESC LIMIT -1 OFFSET ?)",
        (FINISHED_COMMANDS,),
    )
