"""What moves into another file where that of the outbox was taken away."""

from __future__ import annotations

import sqlite3

from edgetune_node.mqtt.history import mark_historical

ENTRY_COLUMNS = "topic, payload, qos, retain, correlation, boot, time_ns, rank, size, lane"
INSERT_ENTRY = f"INSERT INTO entry ({ENTRY_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - names of ours
TABLES = {
    "entry": (f"key, {ENTRY_COLUMNS}", "key"),
    "command": ("asset, id, name, payload, answer, time_ns, finished, note", "key"),
    "signed": ("signature, expires_ns", "signature"),
    "dropped": ("rank, count", "rank"),
}
"""Tables that are nowhere else in memory: their columns, and the order of their rows."""


def carry(old: sqlite3.Connection, new: sqlite3.Connection, *, last_key: int) -> bool:
    """Write everything that ``old`` holds into ``new``, within its transaction; False where ``old`` cannot be read.

    Entries keep their keys, and later ones get keys above ``last_key``. What ``new`` holds already is from another
    process: its entries follow as history, not retained, so that no old state takes the place of the present one.
    """
    try:
        held = {
            table: old.execute(f"SELECT {columns} FROM {table} ORDER BY {order}").fetchall()  # noqa: S608 - as above
            for table, (columns, order) in TABLES.items()
        }
    except sqlite3.Error:  # its disk has gone
        held = {}
    found = new.execute(f"SELECT {ENTRY_COLUMNS} FROM entry ORDER BY key").fetchall() if held else []  # noqa: S608 - as above
    if held:
        new.execute("DELETE FROM entry")
    for table, rows in held.items():
        columns, _ = TABLES[table]
        marks = ", ".join("?" for _ in columns.split(","))
        new.executemany(f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({marks})", rows)  # noqa: S608 - as above
    row = new.execute("SELECT seq FROM sqlite_sequence WHERE name = 'entry'").fetchone()
    new.execute("DELETE FROM sqlite_sequence WHERE name = 'entry'")
    new.execute("INSERT INTO sqlite_sequence VALUES ('entry', ?)", (max(row[0] if row else 0, last_key),))
    for topic, payload, qos, _, *rest in found:
        new.execute(INSERT_ENTRY, (topic, mark_historical(payload), qos, False, *rest))
    return bool(held)
