"""Rows of the outbox's tables, and what is counted of them."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import sqlite3


class Lane(IntEnum):
    """Where an entry waits: nothing in one lane holds up another."""

    ORDERED = 0
    REPLY = 1
    """Answers to response topics, which their askers chose."""
    ASIDE = 2
    """Messages over which the broker ended the connection, again and again."""


Gone: TypeAlias = tuple[int, int, int]
"""Size, rank and lane of an entry that was there."""


def measured(db: sqlite3.Connection) -> tuple[int, int, int, int]:
    """Key of the newest entry ever put, 0 if none was; number, bytes, and number set aside of the entries there."""
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'entry'").fetchone()
    depth, size = db.execute("SELECT count(*), coalesce(sum(size), 0) FROM entry").fetchone()
    aside = db.execute("SELECT count(*) FROM entry WHERE lane = ?", (Lane.ASIDE,)).fetchone()[0]
    return row[0] if row else 0, depth, size, aside


def delete(db: sqlite3.Connection, key: int) -> list[Gone]:
    """Delete the entry ``key``; return what was there."""
    return db.execute("DELETE FROM entry WHERE key = ? RETURNING size, rank, lane", (key,)).fetchall()


def count_dropped(db: sqlite3.Connection, gone: list[Gone]) -> None:
    """Add the entries that are ``gone`` to what the file counts as dropped."""
    db.executemany(
        "INSERT INTO dropped VALUES (?, 1) ON CONFLICT (rank) DO UPDATE SET count = count + 1",
        [(rank,) for _, rank, _ in gone],
    )
