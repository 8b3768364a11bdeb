"""What a node must have said, by records outside of it, against what a subscriber got.

The outside records are three: the node's log names every fault change it decided; its outbox file, copied while the
process is dead, holds what the broker has not acknowledged, and the newest fault; the operator knows his commands.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FINAL = ("done", "failed", "rejected")


class Said(NamedTuple):
    """One thing that is said once: a fault's raise or clear, or the final answer to a command."""

    topic: str
    name: str
    what: str


def fault(topic: str, message: dict[str, Any], class_: str = "class") -> Said:
    """Name a fault change, from a payload or (``class_`` there) a line of the log.

    Once it has cleared its class is the healthy one, or null while nothing is judged: that is no change.
    """
    event = message["event"] if class_ == "class" else message["event_id"]
    return Said(topic, str(event), f"{message[class_]} raised" if message["active"] else "cleared")


def said_by(topic: str, payload: bytes) -> Said | None:
    """Name what a payload says, None for what is not counted: telemetry, answers that are not final, no fault yet."""
    if topic.endswith("/fault"):
        message = json.loads(payload)
        return fault(topic, message) if message["event"] is not None else None
    if "/resp/" in topic:
        answer = json.loads(payload)
        flood = answer["id"] is None or answer["id"].startswith("flood-")  # of which most are refused unread
        return Said(topic, answer["id"], "answered") if answer["status"] in FINAL and not flood else None
    return None


def logged_faults(log: Path, offset: int) -> tuple[list[Said], int]:
    """Fault changes of a node's log from a byte on, and where its last whole line ends."""
    with log.open("rb") as file:
        file.seek(offset)
        whole, _, _ = file.read().rpartition(b"\n")
    lines = [json.loads(line) for line in whole.splitlines() if line.startswith(b"{")]
    return (
        [fault(line["topic"], line, "class_") for line in lines if line["event"] == "fault" and line["event_id"]],
        offset + len(whole) + bool(whole),
    )


def outbox_faults(path: Path, scratch: Path) -> list[Said]:
    """Faults that a dead node's outbox still holds, in order, and after them the newest it ever put."""
    for suffix in ("", "-wal"):  # a copy, so that looking changes nothing; without -shm SQLite reads the log anew
        source, copy = path.with_name(path.name + suffix), scratch / (path.name + suffix)
        copy.unlink(missing_ok=True)
        if source.exists():
            shutil.copyfile(source, copy)
    with closing(sqlite3.connect(scratch / path.name)) as db:
        rows = db.execute("SELECT topic, payload FROM entry WHERE topic LIKE '%/fault' ORDER BY key").fetchall()
        rows += db.execute("SELECT topic, payload FROM current WHERE topic LIKE '%/fault'").fetchall()
    return [said for topic, payload in rows if (said := said_by(topic, payload)) is not None]


@dataclass(frozen=True, slots=True)
class Account:
    """How much of what was expected arrived; ``misplaced`` came out of order, ``invented`` was never decided."""

    expected: int
    delivered: int
    duplicated: int
    lost: tuple[Said, ...]
    misplaced: tuple[Said, ...]
    invented: tuple[Said, ...]


def account(expected: Iterable[Said], got: Iterable[Said], *, known: Iterable[Said] = ()) -> Account:
    """Compare what was expected, in the order it was decided, with what arrived; ``known`` was expected earlier.

    Order counts within a topic, by first arrivals; answers end whenever their jobs do, so theirs is free.
    """
    wanted = list(dict.fromkeys(expected))
    arrived = Counter(got)
    first = [said for said in arrived if said in set(wanted)]  # a Counter keeps the order of first arrivals
    misplaced = []
    for topic in {said.topic for said in wanted if "/resp/" not in said.topic}:
        due = [said for said in wanted if said.topic == topic and said in arrived]
        came = [said for said in first if said.topic == topic]
        misplaced += [said for said, other in zip(came, due, strict=True) if said != other]
    return Account(
        expected=len(wanted),
        delivered=len(first),
        duplicated=sum(arrived[said] - 1 for said in first),
        lost=tuple(said for said in wanted if said not in arrived),
        misplaced=tuple(misplaced),
        invented=tuple(said for said in arrived if said not in {*wanted, *known}),
    )
