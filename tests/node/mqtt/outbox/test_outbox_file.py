"""The outbox survives a kill, a damaged file, a file of another format, and a second process."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from keeping import open_outbox, payloads, put

from edgetune_node.errors import OutboxError
from edgetune_node.mqtt.outbox import CLOCK_SET_NS

if TYPE_CHECKING:
    from pathlib import Path


def test_entries_survive_the_kill_of_their_process(path: Path) -> None:
    script = f"""
import itertools, pathlib, time
from edgetune_node.mqtt.outbox import Outbox
outbox = Outbox(pathlib.Path({str(path)!r}), max_bytes=10**7, max_age_s=1e6, clock=time.time_ns)
for number in itertools.count():
    outbox.put("n/a/fault", str(number).encode(), qos=1, retain=True, correlation=None, boot="b")
    print(number, flush=True)
"""
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert child.stdout is not None
    reported = -1
    while reported < 50:
        reported = int(child.stdout.readline())
    child.send_signal(signal.SIGKILL)
    rest = child.stdout.read().split()
    child.wait()
    child.stdout.close()
    reported = int(rest[-1]) if rest else reported
    outbox = open_outbox(path, clock=lambda: CLOCK_SET_NS)
    assert outbox.warning is None
    found = payloads(outbox)
    assert found == [str(number).encode() for number in range(len(found))]
    assert len(found) in (reported + 1, reported + 2)
    assert outbox.current("n/a/fault") == found[-1]
    outbox.close()


@pytest.mark.parametrize("damage", ["not a database", "a page overwritten"])
def test_a_damaged_file_is_set_aside_with_a_warning(path: Path, damage: str) -> None:
    outbox = open_outbox(path)
    for _ in range(200):
        put(outbox, payload=b"x" * 200)
    outbox.close()
    content = bytearray(path.read_bytes())
    if damage == "not a database":
        content[:100] = b"?" * 100
    else:
        content[8192:16384] = b"?" * 8192
    path.write_bytes(content)
    again = open_outbox(path)
    assert again.warning is not None
    assert "damaged" in again.warning
    assert path.with_name("outbox.sqlite.damaged").read_bytes() == content
    assert again.pending() == []
    put(again)
    assert again.depth == 1
    again.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE entry SET payload = 'text'",
        "UPDATE entry SET topic = CAST(x'ff' AS TEXT)",
        "UPDATE entry SET qos = 'one'",
        "UPDATE current SET payload = 1.5",
        "UPDATE command SET payload = 'text'",
        "UPDATE command SET note = 'text'",
        "INSERT INTO dropped VALUES (0, 'many')",
        "INSERT INTO signed VALUES ('f', 'late')",
        "DROP TABLE entry",
        "ALTER TABLE command DROP COLUMN note",
        "CREATE TRIGGER evil BEFORE INSERT ON entry BEGIN SELECT RAISE(ABORT, 'no'); END",
        "PRAGMA user_version = -1",
    ],
)
def test_a_file_that_sqlite_finds_whole_but_that_holds_something_else_is_set_aside(path: Path, damage: str) -> None:
    outbox = open_outbox(path)
    put(outbox, retain=True)
    outbox.commands.keep("a", "record", "c1", b"{}", b"{}")
    outbox.close()
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.execute(damage)
        file.commit()
    again = open_outbox(path)
    assert again.warning is not None
    assert "damaged" in again.warning
    assert (again.depth, again.dropped, again.commands.interrupted()) == (0, 0, [])
    put(again)
    again.close()


def test_a_second_process_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgetune_node.mqtt.database.LOCK_TIMEOUT_S", 0.05)
    outbox = open_outbox(path)
    with pytest.raises(OutboxError, match="second node"):
        open_outbox(path)
    outbox.close()


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutboxError, match="file"):
        open_outbox(tmp_path / "file" / "outbox.sqlite")
    with pytest.raises(OutboxError, match="cannot be opened"):
        open_outbox(tmp_path)


def test_a_file_of_a_newer_format_is_refused_and_left_alone(path: Path) -> None:
    outbox = open_outbox(path)
    with outbox._file.transaction() as db:
        db.execute("PRAGMA user_version=99")
    outbox.close()
    with pytest.raises(OutboxError, match="format 99"):
        open_outbox(path)
    assert path.exists()


def test_a_file_of_the_third_format_is_taken_over_with_all_it_holds(path: Path) -> None:
    outbox = open_outbox(path)
    put(outbox, payload=b"waits")
    with outbox._file.transaction() as db:
        db.execute("ALTER TABLE entry DROP COLUMN lane")
        db.execute("PRAGMA user_version=3")
    outbox.close()
    outbox = open_outbox(path)
    assert outbox.warning is None
    assert payloads(outbox) == [b"waits"]
    outbox.close()


def test_a_file_of_the_first_format_is_taken_over_with_all_it_holds(path: Path) -> None:
    outbox = open_outbox(path)
    put(outbox, payload=b"waits")
    outbox.commands.keep("a", "recalibrate", "1", b"payload", b"accepted")
    with outbox._file.transaction() as db:
        db.execute("DROP TABLE dropped")
        db.execute("DROP TABLE signed")
        db.execute("ALTER TABLE command DROP COLUMN note")
        db.execute("ALTER TABLE entry DROP COLUMN lane")
        db.execute("PRAGMA user_version=1")
    outbox.close()
    for _ in range(2):
        outbox = open_outbox(path)
        assert outbox.warning is None
        assert payloads(outbox) == [b"waits"]
        assert [(kept.payload, kept.note) for kept in outbox.commands.interrupted()] == [(b"payload", b"")]
        outbox.close()
