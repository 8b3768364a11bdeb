"""Erases a person from the outbox: messages about them, and their name in kept commands and answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from edgetune_node.contract import message_without
from edgetune_node.mqtt.outbox_rows import Gone, Lane, delete

if TYPE_CHECKING:
    import sqlite3


def erase_messages(db: sqlite3.Connection, topics: str, subject: str) -> list[Gone]:
    """Delete messages under ``topics`` about a person; take the name out of others.

    Parameters
    ----------
    db
        In a transaction.
    topics
        Base topic of the asset, with a slash at the end.
    subject
        Who is forgotten.

    Returns
    -------
    list of Gone
        What was deleted.
    """
    gone: list[Gone] = []
    rows = db.execute(
        "SELECT key, payload FROM entry WHERE instr(payload, ?) AND (substr(topic, 1, ?) = ? OR lane = ?)",
        (subject.encode(), len(topics), topics, Lane.REPLY),
    ).fetchall()
    for key, payload in rows:
        if _subject(payload) == subject:
            gone += delete(db, key)
        elif (cleaned := message_without(payload, subject)) != payload:
            db.execute("UPDATE entry SET payload = ? WHERE key = ?", (cleaned, key))
    return gone


def erase_answers(db: sqlite3.Connection, asset: str, subject: str) -> None:
    """Take a person's name out of what is kept of an asset's commands that have ended."""
    db.execute("UPDATE command SET payload = x'' WHERE asset = ? AND finished", (asset,))  # older versions kept it
    rows = db.execute(
        "SELECT key, answer FROM command WHERE asset = ? AND finished AND instr(answer, ?)", (asset, subject.encode())
    ).fetchall()
    for key, answer in rows:
        db.execute("UPDATE command SET answer = ? WHERE key = ?", (message_without(answer, subject), key))


def _subject(payload: bytes) -> object:
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return found.get("subject") if isinstance(found, dict) else None
