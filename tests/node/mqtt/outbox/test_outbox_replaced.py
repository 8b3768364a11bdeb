"""The file of an outbox is taken away while it is in use; what it held is in the one that is made at its place."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from keeping import fill_disk, open_outbox, payloads, put

from edgetune_node.errors import OutboxError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgetune_node.mqtt.outbox import Outbox


def delete(folder: Path) -> None:
    shutil.rmtree(folder)


def empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def rename(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))


def delete_log(folder: Path) -> None:
    (folder / "outbox.sqlite-wal").unlink()


def delete_database(folder: Path) -> None:
    (folder / "outbox.sqlite").unlink()


def after_a_kill(path: Path) -> Outbox:
    """What the next process would find, had this one been killed now."""
    copy = path.parent.with_name("copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(path.parent, copy)
    return open_outbox(copy / path.name)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "outbox.sqlite"


@pytest.mark.parametrize("take_away", [delete, empty, rename, delete_log, delete_database])
def test_everything_it_held_is_in_the_new_file(path: Path, take_away: Callable[[Path], None]) -> None:
    outbox = open_outbox(path)
    expires = datetime.now(UTC) + timedelta(days=3650)
    keys = [put(outbox, payload=b"%d" % number) for number in range(3)]
    put(outbox, "n/a/fault", b"{}", retain=True)
    outbox.commands.keep("a", "recalibrate", "1", b"payload", b"accepted", b"note")
    outbox.commands.finish("a", "record", "2", b"done")
    assert outbox.commands.first_use("signature", expires)
    outbox.done(keys[0])
    assert not outbox.detached
    take_away(path.parent)
    assert outbox.detached
    put(outbox, payload=b"3")
    outbox.reattach()
    assert not outbox.detached
    assert put(outbox, payload=b"4") > keys[-1] + 2
    for found in (outbox, after_a_kill(path)):
        assert payloads(found) == [b"1", b"2", b"{}", b"3", b"4"]
        assert (found.depth, found.size_bytes) == (5, outbox.size_bytes)
        assert [entry.key for entry in found.pending()][:2] == keys[1:]
        assert found.current("n/a/fault") == b"{}"
        assert [kept.note for kept in found.commands.interrupted()] == [b"note"]
        assert found.commands.answer_of("a", "2") == b"done"
        assert not found.commands.first_use("signature", expires)
        found.close()


def test_keys_grow_over_a_file_that_is_empty(path: Path) -> None:
    outbox = open_outbox(path)
    last = put(outbox)
    outbox.done(last)
    delete(path.parent)
    outbox.reattach()
    assert outbox.last_key == last
    assert put(outbox) > last
    outbox.close()


def test_what_another_process_left_there_is_sent_as_history(path: Path, tmp_path: Path) -> None:
    other = open_outbox(tmp_path / "other" / "outbox.sqlite")
    put(other, payload=b'{"of":"other"}', retain=True)
    put(other, "n/b/state", b'{"of":"other"}', retain=True)
    other.commands.keep("a", "recalibrate", "old", b"payload", b"accepted")
    other.close()
    outbox = open_outbox(path)
    key = put(outbox, payload=b'{"of":"us"}', retain=True)
    rename(path.parent)
    (tmp_path / "other").rename(path.parent)
    outbox.reattach()
    ours, *theirs = outbox.pending()
    assert (ours.key, ours.payload, ours.retain) == (key, b'{"of":"us"}', True)
    assert [(entry.payload, entry.retain) for entry in theirs] == [(b'{"of":"other","historical":true}', False)] * 2
    assert outbox.last_key == theirs[-1].key > key
    assert outbox.current("n/a/state") == b'{"of":"us"}'
    assert [kept.command_id for kept in outbox.commands.interrupted()] == ["old"]
    outbox.close()


def test_while_it_cannot_be_made_again_nothing_is_forgotten(path: Path) -> None:
    outbox = open_outbox(path)
    put(outbox, payload=b"1")
    delete(path.parent)
    other = open_outbox(path)
    with pytest.raises(OutboxError, match="another process has it open"):
        outbox.reattach()
    assert outbox.detached
    put(outbox, payload=b"2")
    other.close()
    outbox.reattach()
    assert payloads(outbox) == payloads(after_a_kill(path)) == [b"1", b"2"]
    outbox.close()


def test_what_a_full_disk_would_not_take_goes_into_the_new_file(path: Path) -> None:
    outbox = open_outbox(path)
    fill_disk(outbox)
    with pytest.raises(OutboxError):
        outbox.commands.keep("a", "record", "1", b"x" * 90_000, b"accepted")
    delete(path.parent)
    outbox.reattach()
    assert after_a_kill(path).commands.answer_of("a", "1") == b"accepted"
    outbox.close()


def test_a_file_that_can_no_longer_be_read_leaves_what_is_in_memory(path: Path) -> None:
    outbox = open_outbox(path)
    last = put(outbox, "n/a/fault", b"{}", retain=True)
    connection: Any = outbox._file._connection
    delete(path.parent)
    connection.close()
    outbox.reattach()
    assert "messages that waited there are lost" in str(outbox.warning)
    assert (outbox.depth, outbox.current("n/a/fault")) == (0, b"{}")
    assert put(outbox) > last
    outbox.close()


def overwrite_all(path: Path) -> None:
    overwrite(path, path.stat().st_size)


def overwrite_header(path: Path) -> None:
    overwrite(path, 100)


def cut(path: Path) -> None:
    before = path.stat().st_mtime_ns
    while path.stat().st_mtime_ns == before:  # a file system counts in milliseconds
        path.write_bytes(b"")


def overwrite(path: Path, size: int) -> None:
    before = path.stat().st_mtime_ns
    while path.stat().st_mtime_ns == before:
        with path.open("r+b") as file:
            file.write(b"\xa5" * size)


def hold(path: Path) -> Outbox:
    """An outbox of four messages and a command that goes on."""
    outbox = open_outbox(path)
    for number in range(3):
        put(outbox, payload=b"%d" % number)
    put(outbox, "n/a/fault", b"{}", retain=True)
    outbox.commands.keep("a", "recalibrate", "1", b"payload", b"accepted", b"note")
    return outbox


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("damage", [overwrite_all, overwrite_header, cut])
@pytest.mark.parametrize("part", ["outbox.sqlite", "outbox.sqlite-wal"])
@pytest.mark.parametrize("into_file", [False, True])
def test_a_file_that_is_overwritten_in_its_place_is_made_again_without_loss(
    path: Path, damage: Callable[[Path], None], part: str, *, into_file: bool, late: bool
) -> None:
    outbox = hold(path)
    if into_file:  # else all of it is in the log
        outbox._file._connection.execute("PRAGMA wal_checkpoint").fetchall()
        outbox.recover()
    assert not outbox.detached
    damage(path.with_name(part))
    last = [b"3"] * late
    if late:
        put(outbox, payload=b"3")
    needed = part == ("outbox.sqlite" if into_file else "outbox.sqlite-wal")  # the other part has all of it
    assert outbox.detached == outbox.overwritten == needed
    assert needed or not outbox._file._watch.headless  # else each look would read all of it
    put(outbox, payload=b"4")
    if needed:
        outbox.reattach()
    assert path.with_name("outbox.sqlite.damaged").is_file() == needed
    assert not outbox.detached
    for found in (outbox, after_a_kill(path)):
        assert payloads(found) == [b"0", b"1", b"2", b"{}", *last, b"4"]
        assert found.current("n/a/fault") == b"{}"
        assert [kept.note for kept in found.commands.interrupted()] == [b"note"]
        assert found.warning is None
        found.close()


def test_a_header_that_is_overwritten_during_a_transaction_is_noticed(path: Path) -> None:
    outbox = hold(path)
    outbox._file._connection.execute("PRAGMA wal_checkpoint").fetchall()
    outbox.recover()
    assert not outbox.detached
    overwrite_header(path)
    outbox._file._watch.note_write()  # as the end of a transaction does
    assert outbox.overwritten
    outbox.reattach()
    assert len(payloads(outbox)) == len(payloads(after_a_kill(path))) == 4
    outbox.close()


@pytest.mark.parametrize("more", [False, True])
@pytest.mark.parametrize("damage", [overwrite_all, overwrite_header, cut])
def test_a_log_that_is_overwritten_during_a_transaction_is_noticed(
    path: Path, damage: Callable[[Path], None], *, more: bool
) -> None:
    outbox = hold(path)
    damage(path.with_name("outbox.sqlite-wal"))
    outbox._file._watch.note_write()  # as the end of a transaction does
    if more:
        put(outbox, payload=b"3")
    if outbox.overwritten:
        outbox.reattach()
    assert len(payloads(outbox)) == len(payloads(after_a_kill(path))) == 4 + more
    outbox.close()


@pytest.mark.parametrize("part", ["outbox.sqlite", "outbox.sqlite-wal"])
def test_pages_that_nobody_reads_hinder_no_rescue(path: Path, part: str) -> None:
    outbox = hold(path)
    outbox.done(*(put(outbox, payload=bytes(20_000)) for _ in range(20)))  # leaves free pages
    again = after_a_kill(path)  # has not read these
    if part == "outbox.sqlite":
        again._file._connection.execute("PRAGMA wal_checkpoint").fetchall()
    cut(again.path.with_name(part))
    assert again.overwritten
    again.reattach()
    assert again.warning is None
    assert len(payloads(again)) == 4
    assert put(again) > 24
    again.close()
    outbox.close()


def test_a_log_that_the_outbox_itself_empties_is_not_taken_for_damaged(path: Path) -> None:
    outbox = hold(path)
    assert not outbox.detached
    assert outbox.erase("n/a/", "a", "anna") == 0
    assert path.with_name("outbox.sqlite-wal").stat().st_size == 0
    assert not outbox.detached
    put(outbox)
    assert not outbox.detached
    outbox.close()


def test_looking_at_the_files_writes_no_access_time(path: Path) -> None:
    outbox = hold(path)
    files = [path, path.with_name("outbox.sqlite-wal")]
    for file in files:  # read before it was written: the next read would be noted
        os.utime(file, ns=(0, file.stat().st_mtime_ns))
    assert not outbox.detached
    assert [file.stat().st_atime_ns for file in files] == [0, 0]
    outbox.close()


def test_a_file_that_was_touched_or_copied_stays_in_use(path: Path) -> None:
    outbox = hold(path)
    path.touch()
    path.with_name("outbox.sqlite-wal").touch()
    assert not outbox.detached
    assert not path.with_name("outbox.sqlite.damaged").exists()
    outbox.close()


def test_what_cannot_be_read_from_an_overwritten_file_is_said_to_be_lost(path: Path) -> None:
    outbox = hold(path)
    outbox._file._connection.execute("PRAGMA wal_checkpoint").fetchall()
    outbox.recover()
    outbox._file._connection.execute("PRAGMA shrink_memory")
    overwrite_all(path)
    assert outbox.detached
    outbox.reattach()
    assert "was overwritten; messages that waited there are lost" in str(outbox.warning)
    assert (outbox.depth, outbox.current("n/a/fault")) == (0, b"{}")
    assert put(outbox) > 4
    outbox.close()
