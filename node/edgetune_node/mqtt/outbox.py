"""What must survive a power cut: messages the broker has not acknowledged yet, and last states."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgetune_node.errors import OutboxError
from edgetune_node.mqtt.command_log import CommandLog
from edgetune_node.mqtt.database import OutboxDatabase
from edgetune_node.mqtt.outbox_carry import INSERT_ENTRY, carry
from edgetune_node.mqtt.outbox_clock import CLOCK_SET_NS, OutboxClock
from edgetune_node.mqtt.outbox_erasure import erase_answers, erase_messages
from edgetune_node.mqtt.outbox_rows import Gone, Lane, count_dropped, delete, measured

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

ENTRY_OVERHEAD_BYTES = 64
PROBE_BYTES = 8192
"""More than the free room in a page, so that a disk without room for a message has none for the probe either."""
RANKS = {"sign": 0, "fault": 2}
OTHER_RANK = 1
MAX_ASIDE = 1000
"""Entries that are set aside; the oldest of more of them goes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One message that waits; ``key`` grows with every entry.

    ``time_ns`` is when it was put, by the clock (UTC) as it is now: where that was set since, the stamp was moved.
    """

    key: int
    topic: str
    payload: bytes
    qos: int
    retain: bool
    correlation: bytes | None
    boot: str
    time_ns: int


class Outbox:
    """Messages, and `CommandLog`, in one SQLite file, on disk when a method returns; usable from any thread.

    What goes when the bounds are reached: what is set aside, then signs, then everything else, then faults (topics
    ending in ``fault``), within each the oldest first. So no fault that waits goes while anything lesser is there. Age
    removes signs and everything else, but never a fault. Whatever goes is counted in `dropped`, also over restarts.

    A disk that is full hinders neither the opening of a file nor the answers: commands, their answers and last states
    that could not be written are remembered until `recover` has written them.

    Parameters
    ----------
    path
        The file; see `OutboxDatabase` for how it is opened, and `warning` for what happened if it was damaged.
    max_bytes
        Bound on topics, payloads and a fixed overhead of 64 bytes each.
    max_age_s
        Seconds after which an entry is no longer worth sending.
    clock
        UTC nanoseconds, as `time.time_ns` gives them.
    steady
        Nanoseconds since the machine's start, as `since_boot_ns` returns them. Without them
        `clock` is taken to never jump.
    machine_boot
        Names the time from one start of the machine to the next; empty where it is not known.

    Attributes
    ----------
    commands, copy_to
        The accepted commands, in the same file; what writes all of it, as it is at one moment, to another path.

    Raises
    ------
    OutboxError
        If the file cannot be used.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int,
        max_age_s: float,
        clock: Callable[[], int],
        steady: Callable[[], int] | None = None,
        machine_boot: str = "",
    ) -> None:
        self._file = OutboxDatabase(path)
        self.copy_to = self._file.copy_to
        self._max_bytes = max_bytes
        self._max_age_ns = round(max_age_s * 1e9)
        self._clock = OutboxClock(clock, steady or clock, machine_boot)
        self._lock = threading.RLock()  # what is kept in memory must agree with the file
        with self._file.reading() as db:
            self._clock.open(db)
        self.commands = CommandLog(self._file, self._lock, clock, self._clock.earliest_ns)
        self._unwritten_states: set[str] = set()
        with self._file.reading() as db:
            self._dropped: dict[int, int] = dict(db.execute("SELECT rank, count FROM dropped"))
            self._dropped_before = sum(self._dropped.values()), self._dropped.get(RANKS["fault"], 0)
            self._current: dict[str, bytes] = dict(db.execute("SELECT topic, payload FROM current"))
            self._last_key, self._depth, self._bytes, self._aside = measured(db)
        with contextlib.suppress(OutboxError):  # on a full disk what is too old can wait; each connection tries again
            self.expire()

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._file.path

    @property
    def warning(self) -> str | None:
        """What was wrong with the file at open: it was damaged, or there was no room for one."""
        return self._file.warning

    @property
    def depth(self) -> int:
        """Entries that wait for the broker; those set aside do not."""
        return self._depth - self._aside

    @property
    def aside(self) -> int:
        """Entries that are set aside."""
        return self._aside

    @property
    def size_bytes(self) -> int:
        """Bytes that wait, as bounded."""
        return self._bytes

    @property
    def last_key(self) -> int:
        """Key of the newest entry ever put, 0 if none was."""
        return self._last_key

    @property
    def dropped(self) -> int:
        """Entries that went unsent since the file was made."""
        return sum(self._dropped.values())

    @property
    def dropped_faults(self) -> int:
        """Those of them that were faults."""
        return self._dropped.get(RANKS["fault"], 0)

    @property
    def problems(self) -> tuple[str | None, str | None]:
        """`warning`, and what went unsent since the file was opened; None for what is not the case."""
        before, faults_before = self._dropped_before
        if self.dropped == before:
            return self.warning, None
        return self.warning, (
            f"{self.dropped - before} messages went unsent, {self.dropped_faults - faults_before} of them faults;"
            " the broker was away for longer than outbox_max_bytes and outbox_max_age_s allow; raise them"
        )

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    # ---- messages ------------------------------------------------------------------------------------------------

    def put(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int,
        retain: bool,
        correlation: bytes | None,
        boot: str,
        lane: Lane = Lane.ORDERED,
    ) -> int:
        """Keep a message until `done`; gives its key.

        Raises
        ------
        OutboxError
            If it is larger than the whole outbox or cannot be written. `current` knows it all the same.
        """
        size = len(topic.encode()) + len(payload) + ENTRY_OVERHEAD_BYTES
        rank = RANKS.get(topic.rpartition("/")[2], OTHER_RANK)
        with self._lock:
            if retain:
                self._current[topic] = payload
                self._unwritten_states.add(topic)
            if size > self._max_bytes:
                raise OutboxError(f"a message of {size} bytes on {topic} does not fit an outbox of {self._max_bytes}")
            with self._file.transaction() as db:
                self._clock.follow(db)
                row = (topic, payload, qos, retain, correlation, boot, self._clock.now_ns, rank, size, lane)
                cursor = db.execute(INSERT_ENTRY, row)
                key = cursor.lastrowid or 0
                if retain:
                    db.execute("INSERT OR REPLACE INTO current VALUES (?, ?)", (topic, payload))
                gone = self._drop_aged(db)
                excess = self._bytes + size - sum(gone_size for gone_size, _, _ in gone) - self._max_bytes
                gone += self._drop_excess(db, excess)
                gone += self._drop_aside(db)
                count_dropped(db, gone)
            self._clock.followed()
            self._last_key = key
            self._unwritten_states.discard(topic)
            self._aside += lane == Lane.ASIDE
            self._count([size], gone)
            self._remember_dropped(gone)
        return key

    def put_again(self, entry: Entry, lane: Lane = Lane.ORDERED) -> int:
        """Keep a message that was in memory only; see `put`."""
        return self.put(
            entry.topic,
            entry.payload,
            qos=entry.qos,
            retain=entry.retain,
            correlation=entry.correlation,
            boot=entry.boot,
            lane=lane,
        )

    def set_aside(self, key: int) -> None:
        """Move an entry to where it holds up nothing; an unknown key is no error."""
        with self._lock:
            with self._file.transaction() as db:
                row = Lane.ASIDE, key, Lane.ASIDE
                moved = db.execute("UPDATE entry SET lane = ? WHERE key = ? AND lane != ?", row).rowcount
                gone = self._drop_aside(db)
                count_dropped(db, gone)
            self._aside += moved
            self._count([], gone)
            self._remember_dropped(gone)

    def pending(self, *, after: int = 0, limit: int | None = None, lane: Lane = Lane.ORDERED) -> list[Entry]:
        """Entries that wait in a lane, in order, with keys above ``after``."""
        with self._file.reading() as db:
            rows = db.execute(
                "SELECT key, topic, payload, qos, retain, correlation, boot, time_ns FROM entry"
                " WHERE key > ? AND lane = ? ORDER BY key LIMIT ?",
                (after, lane, -1 if limit is None else limit),
            ).fetchall()
        return [
            Entry(key, topic, payload, qos, bool(retain), *rest) for key, topic, payload, qos, retain, *rest in rows
        ]

    def topics(self, lane: Lane) -> list[str]:
        """Topics of the entries in a lane."""
        with self._file.reading() as db:
            return [topic for (topic,) in db.execute("SELECT DISTINCT topic FROM entry WHERE lane = ?", (lane,))]

    def done(self, *keys: int) -> None:
        """Forget entries that the broker has acknowledged; an unknown key is no error."""
        with self._lock:
            with self._file.transaction() as db:
                gone = [entry for key in keys for entry in delete(db, key)]
            self._count([], gone)

    def expire(self) -> None:
        """Drop what is too old."""
        with self._lock:
            with self._file.transaction() as db:
                self._clock.follow(db)
                gone = self._drop_aged(db)
                count_dropped(db, gone)
            self._clock.followed()
            self._count([], gone)
            self._remember_dropped(gone)

    def erase(self, topics: str, asset: str, subject: str) -> int:
        """Delete what waits about a person; return the number of messages. Deleted bytes do not stay in the file.

        Raises
        ------
        OutboxError
            If it cannot be written; nothing has changed then.
        """
        with self._lock:
            with self._file.reading() as db:
                db.execute("PRAGMA secure_delete=ON")
            with self._file.transaction() as db:
                gone = erase_messages(db, topics, subject)
                erase_answers(db, asset, subject)
            self._count([], gone)
            self._file.empty_log()
        return len(gone)

    def current(self, topic: str) -> bytes | None:
        """Newest payload ever put on a retained topic, sent or not, also before a restart."""
        with self._lock:
            return self._current.get(topic)

    def currents(self) -> dict[str, bytes]:
        """Newest payload of every retained topic."""
        with self._lock:
            return dict(self._current)

    def _drop_aged(self, db: sqlite3.Connection) -> list[Gone]:
        rows = db.execute(
            "DELETE FROM entry WHERE time_ns BETWEEN ? AND ? AND rank < ? RETURNING size, rank, lane",
            (CLOCK_SET_NS, self._clock.now_ns - self._max_age_ns - 1, RANKS["fault"]),
        )
        return rows.fetchall()

    def _drop_excess(self, db: sqlite3.Connection, excess: int) -> list[Gone]:
        gone: list[Gone] = []
        places = [f"WHERE lane = {Lane.ASIDE.value}", ""] if self._aside else [""]
        while sum(size for size, _, _ in gone) < excess:
            found = db.execute(f"SELECT key FROM entry {places[0]} ORDER BY rank, key LIMIT 1").fetchone()  # noqa: S608 - ours
            if found is None:
                del places[0]
            else:
                gone += delete(db, found[0])
        return gone

    @staticmethod
    def _drop_aside(db: sqlite3.Connection) -> list[Gone]:
        rows = db.execute(
            "DELETE FROM entry WHERE key IN (SELECT key FROM entry WHERE lane = ? ORDER BY rank DESC, key DESC"
            " LIMIT -1 OFFSET ?) RETURNING size, rank, lane",
            (Lane.ASIDE, MAX_ASIDE),
        )
        return rows.fetchall()

    def _count(self, come: list[int], gone: list[Gone]) -> None:
        self._depth += len(come) - len(gone)
        self._bytes += sum(come) - sum(size for size, _, _ in gone)
        self._aside -= sum(lane == Lane.ASIDE for _, _, lane in gone)

    def _remember_dropped(self, gone: list[Gone]) -> None:
        for _, rank, _ in gone:
            self._dropped[rank] = self._dropped.get(rank, 0) + 1

    # ---- after a full disk ---------------------------------------------------------------------------------------

    def recover(self) -> None:
        """Write the commands, answers and last states that could not be written.

        It writes as much as a message takes even where none of them waits, and so tells whether the disk works.

        Raises
        ------
        OutboxError
            If it does not; nothing is forgotten.
        """
        with self._lock:
            with self._file.transaction() as db:
                self.commands.rewrite(db)
                states = [(topic, self._current[topic]) for topic in self._unwritten_states]
                db.executemany("INSERT OR REPLACE INTO current VALUES (?, ?)", states)
                probe = db.execute(INSERT_ENTRY, ("", bytes(PROBE_BYTES), 1, False, None, "", 0, 0, 0, 0))
                delete(db, probe.lastrowid or 0)
            self.commands.rewritten()
            self._unwritten_states.clear()

    # ---- after the file was taken away ---------------------------------------------------------------------------

    @property
    def detached(self) -> bool:
        """Whether the file at the path is not the one in use: what is put now would not outlive the process."""
        return self._file.detached

    @property
    def overwritten(self) -> bool:
        """Whether the file in use is damaged, since another process wrote into it."""
        return self._file.overwritten

    def reattach(self) -> None:
        """Go on with the file at the path; everything in use is written there, under the same keys.

        What another process had left waiting in that file is sent as well, after that, as history.

        Raises
        ------
        OutboxError
            If it cannot be done; nothing is forgotten.
        """
        with self._lock:
            self._file.reattach(self._carry)
            self._clock.moved()
            with self._file.reading() as db:
                self._dropped = dict(db.execute("SELECT rank, count FROM dropped"))
                last, self._depth, self._bytes, self._aside = measured(db)
            self._last_key = max(self._last_key, last)
            self.recover()

    def _carry(self, old: sqlite3.Connection, new: sqlite3.Connection) -> None:
        if not carry(old, new, last_key=self._last_key):
            self._file.warning = (
                f"outbox {self._file.path}: its file could no longer be read when it was replaced;"
                " messages that waited there are lost"
            )
        new.executemany("INSERT OR REPLACE INTO current VALUES (?, ?)", self._current.items())
