"""A full disk loses nothing that fits in memory, and is an error where something would be lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from keeping import DAY_NS, NOW_NS, fill_disk, open_outbox, payloads, put
from manual_clock import Counted

from edgetune_node.errors import OutboxError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_full_disk_is_an_error_that_changes_nothing_but_the_current_state(path: Path) -> None:
    outbox = open_outbox(path)
    put(outbox, payload=b"before")
    fill_disk(outbox)
    with pytest.raises(OutboxError, match="free some space"):
        put(outbox, "n/a/fault", b"x" * 10_000, retain=True)
    assert payloads(outbox) == [b"before"]
    assert outbox.depth == 1
    assert outbox.current("n/a/fault") == b"x" * 10_000
    with pytest.raises(OutboxError):
        outbox.commands.keep("a", "record", "1", b"x" * 10_000, b"accepted")
    assert outbox.commands.answer_of("a", "1") == b"accepted"
    with outbox._file.reading() as db:
        db.execute("PRAGMA max_page_count=100000")
    put(outbox, payload=b"after")
    outbox.commands.finish("a", "record", "1", b"done")
    assert outbox.commands.answer_of("a", "1") == b"done"
    assert payloads(outbox) == [b"before", b"after"]
    outbox.close()


def test_what_a_full_disk_would_not_take_is_written_once_there_is_room(path: Path) -> None:
    outbox = open_outbox(path)
    put(outbox, "n/a/fault", b"raised", retain=True)
    fill_disk(outbox)
    big = b"x" * 10_000
    for attempt in (
        lambda: put(outbox, "n/a/fault", b"cleared" + big, retain=True),
        lambda: outbox.commands.keep("a", "record", "running", big, b"accepted"),
        lambda: outbox.commands.keep("a", "profile", "ended", big, b"accepted"),
        lambda: outbox.commands.finish("a", "profile", "ended", b"done" + big),
        lambda: outbox.commands.finish("a", "profile", "ended", b"done again" + big),
        outbox.recover,
    ):
        with pytest.raises(OutboxError, match="free some space"):
            attempt()
    with outbox._file.reading() as db:
        db.execute("PRAGMA max_page_count=100000")
    outbox.recover()
    assert payloads(outbox) == [b"raised"]
    outbox.close()
    again = open_outbox(path)
    assert again.current("n/a/fault") == b"cleared" + big
    assert again.commands.answer_of("a", "ended") == b"done" + big
    assert [(one.command_id, one.answer) for one in again.commands.interrupted()] == [("running", b"accepted")]
    assert payloads(again) == [b"raised"]
    again.close()


def test_a_full_disk_does_not_keep_a_file_from_being_opened(small_disk: Any) -> None:
    path = small_disk.folder / "outbox.sqlite"
    clock = Counted(NOW_NS)
    outbox = open_outbox(path, clock=clock)
    put(outbox, "n/a/fault", b"fault", retain=True)
    put(outbox, "n/a/state", b"old")
    outbox.close()
    clock.now_ns += 2 * DAY_NS
    small_disk.fill()
    again = open_outbox(path, clock=clock)
    assert again.warning is None
    assert payloads(again) == [b"fault", b"old"]
    assert again.current("n/a/fault") == b"fault"
    with pytest.raises(OutboxError, match="free some space"):
        put(again)
    with pytest.raises(OutboxError, match="free some space"):
        again.recover()
    small_disk.free()
    again.recover()
    again.expire()
    assert payloads(again) == [b"fault"]
    again.close()


@pytest.mark.parametrize("place", ["outbox.sqlite", "data/outbox.sqlite"])
@pytest.mark.parametrize("full", ["bytes", "files"])
def test_where_there_is_no_room_for_a_file_memory_takes_its_place(small_disk: Any, place: str, full: str) -> None:
    small_disk.fill(full)
    outbox = open_outbox(small_disk.folder / place)
    assert outbox.warning is not None
    assert "free some space and restart" in outbox.warning
    put(outbox, payload=b"told all the same")
    outbox.commands.keep("a", "record", "1", b"", b"accepted")
    assert payloads(outbox) == [b"told all the same"]
    assert outbox.commands.answer_of("a", "1") == b"accepted"
    outbox.close()


def test_a_file_that_has_no_room_for_its_log_is_left_alone_until_the_next_start(small_disk: Any) -> None:
    path = small_disk.folder / "outbox.sqlite"
    outbox = open_outbox(path)
    put(outbox, payload=b"on disk")
    outbox.close()
    small_disk.fill("files")
    without = open_outbox(path)
    assert "disk is full" in (without.warning or "")
    put(without, payload=b"in memory")
    without.close()
    small_disk.free()
    again = open_outbox(path)
    assert payloads(again) == [b"on disk"]
    again.close()


def test_a_damaged_file_on_a_full_disk_is_replaced_by_memory(small_disk: Any) -> None:
    path = small_disk.folder / "outbox.sqlite"
    path.write_bytes(b"?" * 8192)
    small_disk.fill()
    outbox = open_outbox(path)
    assert outbox.warning is not None
    assert "damaged" in outbox.warning
    assert "disk is full" in outbox.warning
    outbox.close()
