"""Commands are answered once, also over a restart, and a signature is taken once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from keeping import fill_disk, open_outbox

from edgetune_node.errors import OutboxError
from edgetune_node.mqtt.command_log import FINISHED_COMMANDS
from edgetune_node.mqtt.outbox import CLOCK_SET_NS, Outbox

if TYPE_CHECKING:
    from pathlib import Path


def test_a_signature_is_new_once_also_after_a_restart_until_a_day_after_it_expires(tmp_path: Path) -> None:
    now = [CLOCK_SET_NS]
    path = tmp_path / "outbox.sqlite"
    expires = datetime.fromtimestamp(CLOCK_SET_NS / 1e9, UTC) + timedelta(minutes=5)
    outbox = Outbox(path, max_bytes=10**6, max_age_s=1.0, clock=lambda: now[0])
    assert outbox.commands.first_use("a", expires)
    assert not outbox.commands.first_use("a", expires)
    outbox.close()
    now[0] += 86_000 * 10**9
    outbox = Outbox(path, max_bytes=10**6, max_age_s=1.0, clock=lambda: now[0])
    assert not outbox.commands.first_use("a", expires)
    now[0] += 1000 * 10**9
    assert outbox.commands.first_use("b", expires)
    with outbox._file.reading() as db:
        assert db.execute("SELECT signature FROM signed").fetchall() == [("b",)]
    outbox.close()


def test_a_command_is_answered_the_same_while_it_runs_and_after(path: Path) -> None:
    outbox = open_outbox(path)
    assert outbox.commands.answer_of("a", "1") is None
    outbox.commands.keep("a", "record", "1", b"payload", b"accepted")
    outbox.commands.keep("a", "record", "1", b"other", b"other")
    assert outbox.commands.answer_of("a", "1") == b"accepted"
    assert outbox.commands.answer_of(None, "1") is None
    outbox.commands.finish("a", "record", "1", b"done")
    outbox.commands.finish("a", "record", "1", b"again")
    assert outbox.commands.answer_of("a", "1") == b"done"
    outbox.close()


def test_what_is_noted_beside_a_command_is_there_until_it_ends(path: Path) -> None:
    outbox = open_outbox(path)
    outbox.commands.keep("a", "recalibrate", "1", b"payload", b"accepted", b"first")
    assert [kept.note for kept in outbox.commands.interrupted()] == [b"first"]
    outbox.commands.note("a", "1", b"second")
    outbox.commands.note("a", "unknown", b"none")
    outbox.close()
    outbox = open_outbox(path)
    assert [kept.note for kept in outbox.commands.interrupted()] == [b"second"]
    outbox.commands.finish("a", "recalibrate", "1", b"done")
    outbox.commands.note("a", "1", b"third")
    with outbox._file.reading() as db:
        assert db.execute("SELECT note FROM command").fetchall() == [(b"",)]
    outbox.close()


def test_a_note_that_met_a_full_disk_is_written_with_its_command(path: Path) -> None:
    outbox = open_outbox(path)
    fill_disk(outbox)
    with pytest.raises(OutboxError):
        outbox.commands.keep("a", "recalibrate", "1", bytes(100_000), b"accepted")
    outbox.commands.note("a", "1", b"note")
    with outbox._file.reading() as db:
        db.execute("PRAGMA max_page_count=1000000")
    outbox.recover()
    assert outbox.commands.interrupted()[-1].note == b"note"
    outbox.close()


def test_commands_that_never_finished_are_reported_as_interrupted(path: Path) -> None:
    outbox = open_outbox(path)
    outbox.commands.keep("a", "record", "1", b"p1", b"accepted")
    outbox.commands.keep(None, "ping", "1", b"p2", b"accepted")
    outbox.commands.finish(None, "ping", "1", b"done")
    outbox.close()
    again = open_outbox(path)
    (command,) = again.commands.interrupted()
    assert (command.asset, command.name, command.command_id) == ("a", "record", "1")
    assert (command.payload, command.answer) == (b"p1", b"accepted")
    again.commands.finish("a", "record", "1", b"failed")
    assert again.commands.interrupted() == []
    again.close()


def test_only_the_newest_thousand_finished_commands_are_remembered(path: Path) -> None:
    outbox = open_outbox(path)
    with outbox._file.reading() as db:
        db.execute("PRAGMA synchronous=OFF")  # a thousand of them would wear this disk too
    outbox.commands.keep("a", "record", "running", b"", b"accepted")
    for number in range(FINISHED_COMMANDS + 2):
        outbox.commands.finish("a", "cancel", str(number), b"done")
    assert outbox.commands.answer_of("a", "0") is None
    assert outbox.commands.answer_of("a", "1") is None
    assert outbox.commands.answer_of("a", "2") == b"done"
    assert outbox.commands.answer_of("a", "running") == b"accepted"
    outbox.close()
