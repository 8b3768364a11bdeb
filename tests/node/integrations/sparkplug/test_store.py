"""The file in which events wait: bounded, locked, and mended when it is damaged, removed or full."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import time
from typing import TYPE_CHECKING, Any

import pytest

from edgetune_node.integrations.sparkplug.store import EventStore, elapsing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_a_store_is_bounded_and_the_oldest_go_first(tmp_path: Path) -> None:
    now = [1000.0]
    store = EventStore(tmp_path / "s.sqlite", max_bytes=100, max_age_s=50, now_s=lambda: now[0])
    for number in range(15):
        store.keep("pump", bytes([number]) * 10)
    assert (len(store), store.dropped) == (10, 5)
    kept = store.after(0, ["pump"])
    assert kept is not None
    assert kept[2] == bytes([5]) * 10
    assert store.after(0, ["arm"]) is None
    now[0] += 60
    store.keep("pump", b"new")
    assert len(store) == 1
    store.close()


def test_no_fault_is_too_old_and_a_clock_that_is_set_makes_nothing_older(tmp_path: Path) -> None:
    now = [1000.0]
    store = EventStore(tmp_path / "s.sqlite", max_bytes=100, max_age_s=50, now_s=lambda: now[0])
    store.keep("pump", b"sign")
    store.keep("pump", b"fault", lasting=True)
    now[0] += 10**9
    store.keep("pump", b"later")
    assert kept(store) == [b"fault", b"later"]
    store.close()
    with pytest.MonkeyPatch.context() as patch:
        clock = elapsing()
        before = clock()
        patch.setattr(time, "time", lambda: 4e9)
        assert 0 <= clock() - before < 60


def test_a_damaged_store_is_set_aside_and_a_new_one_begun(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    path.write_bytes(b"no database at all, but long enough for one" * 100)
    store = EventStore(path, max_bytes=100, max_age_s=50, now_s=lambda: 0.0)
    assert store.problem is None
    assert store.next_birth() == 0
    assert (tmp_path / "s.sqlite.damaged").exists()
    store.close()


def scribble(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"scribble" * (size // 32))


def odd_birth(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as file, file:
        file.execute("INSERT INTO birth VALUES ('seven')")


def odd_event(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE event SET payload = 'text'")


@pytest.mark.parametrize("spoil", [scribble, odd_birth, odd_event])
def test_a_store_that_is_damaged_inside_is_set_aside(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    path = tmp_path / "s.sqlite"
    store = opened(path)
    for _ in range(100):
        store.keep("pump", bytes(500))
    store.close()
    spoil(path)
    store = opened(path)
    assert (store.problem, len(store), store.next_birth()) == (None, 0, 0)
    assert (tmp_path / "s.sqlite.damaged").exists()
    store.close()


def test_a_store_on_a_full_disk_goes_on_in_memory(small_disk: Any) -> None:
    store = EventStore(small_disk.folder / "s.sqlite", max_bytes=2**30, max_age_s=50, now_s=lambda: 0.0)
    store.keep("pump", b"first")
    small_disk.fill()
    for _ in range(30):
        store.keep("pump", bytes(100_000))
    assert len(store) == 31
    assert store.problem is not None
    assert "memory only" in store.problem
    assert store.next_birth() == 0
    store.close()


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    store = EventStore(tmp_path / "folder", max_bytes=100, max_age_s=50, now_s=lambda: 0.0)
    assert store.problem is not None
    assert isinstance(store._connection, sqlite3.Connection)
    assert store.keep("pump", b"x") == 1
    store.close()


def opened(path: Path) -> EventStore:
    return EventStore(path, max_bytes=10**6, max_age_s=50, now_s=lambda: 0.0)


def kept(store: EventStore) -> list[bytes]:
    found, key = [], 0
    while (event := store.after(key, ["pump"])) is not None:
        key = event[0]
        found.append(event[2])
    return found


def after_a_kill(path: Path, scratch: Path, births: int = 1) -> list[bytes]:
    """What the next process would find of events, and whether it goes on counting births."""
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(path.parent, scratch)
    store = opened(scratch / path.name)
    events = kept(store)
    assert store.next_birth() == births
    store.close()
    return events


def remove(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def replace_by_another(folder: Path) -> None:
    remove(folder)
    other = opened(folder / "s.sqlite")
    other.keep("pump", b"another's")
    other.keep("pump", b"first")
    other.close()


def damage(folder: Path) -> None:
    remove(folder)
    (folder / "s.sqlite").write_bytes(b"no database at all, but long enough for one" * 100)


@pytest.mark.parametrize(
    ("take_away", "more"),
    [(remove, []), (replace_by_another, [b"another's"]), (damage, [])],
    ids=lambda each: str(each)[:20],
)
def test_a_store_whose_file_is_taken_away_goes_on_in_a_new_one(
    tmp_path: Path, take_away: Callable[[Path], None], more: list[bytes]
) -> None:
    path = tmp_path / "data" / "s.sqlite"
    path.parent.mkdir()
    store = opened(path)
    assert store.next_birth() == 0
    last = [store.keep("pump", event) for event in (b"first", b"second")][-1]
    store.look()
    take_away(path.parent)
    assert store.keep("pump", b"third") > last
    store.look()
    assert store.problem is None
    events = [b"first", b"second", b"third", *more]
    assert kept(store) == after_a_kill(path, tmp_path / "copy") == events
    assert store.keep("pump", b"fourth") > last + 1
    assert after_a_kill(path, tmp_path / "copy") == [*events, b"fourth"]
    store.close()


def test_a_store_without_a_folder_says_so_and_goes_back_to_the_disk_once_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgetune_node.integrations.sparkplug.store.AGAIN_S", 0.0)
    path = tmp_path / "data" / "s.sqlite"
    path.parent.mkdir()
    store = opened(path)
    store.next_birth()
    store.keep("pump", b"first")
    shutil.rmtree(path.parent)
    store.look()
    assert store.problem is not None
    assert "memory only" in store.problem
    store.keep("pump", b"second")
    path.parent.mkdir()
    store.look()
    assert store.problem is None
    assert after_a_kill(path, tmp_path / "copy") == [b"first", b"second"]
    store.close()


def test_what_was_sent_while_the_disk_was_full_is_not_sent_again(
    small_disk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgetune_node.integrations.sparkplug.store.AGAIN_S", 0.0)
    store = EventStore(small_disk.folder / "s.sqlite", max_bytes=2**30, max_age_s=50, now_s=lambda: 0.0)
    sent = store.keep("pump", b"sent")
    small_disk.fill()
    waiting = [bytes([number]) * 30_000 for number in range(10)]
    for event in waiting:
        store.keep("pump", event)
    assert store.problem is not None
    store.drop([sent])
    store.look()
    assert store.problem is not None
    small_disk.free()
    store.look()
    assert store.problem is None
    assert kept(store) == waiting
    store.close()


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\xa5" * path.stat().st_size)


def overwrite_all(path: Path) -> None:
    for part in path.parent.glob(path.name + "*"):
        overwrite(part)


def truncate_all(path: Path) -> None:
    for part in path.parent.glob(path.name + "*"):
        part.write_bytes(b"")


def write_another_over(path: Path) -> None:
    path.write_bytes(b"no database at all, but long enough for one" * 100)


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (overwrite, False),  # the log has all of it
        (write_another_over, False),
        (lambda path: path.with_name("s.sqlite-wal").unlink(), False),
        (lambda path: path.with_name("s.sqlite-wal").write_bytes(b""), True),
        (overwrite_all, True),
        (truncate_all, True),
    ],
)
def test_a_store_that_is_overwritten_in_place_is_made_again_with_all_events(
    tmp_path: Path, spoil: Callable[[Path], None], *, named: bool
) -> None:
    path = tmp_path / "data" / "s.sqlite"
    path.parent.mkdir()
    store = opened(path)
    assert store.next_birth() == 0
    for event in (b"first", b"second"):
        store.keep("pump", event)
    store.look()
    assert store.notice is None
    spoil(path)
    store.look()
    assert store.problem is None
    assert (store.notice is not None) == named
    assert not named or "overwritten while the node ran; it was made again, nothing is lost" in str(store.notice)
    store.keep("pump", b"third")
    assert kept(store) == after_a_kill(path, tmp_path / "copy") == [b"first", b"second", b"third"]
    store.close()


def test_a_store_too_large_for_memory_that_is_overwritten_says_that_events_are_lost(tmp_path: Path) -> None:
    path = tmp_path / "data" / "s.sqlite"
    path.parent.mkdir()
    store = EventStore(path, max_bytes=2**30, max_age_s=50, now_s=lambda: 0.0)
    for _ in range(40):
        store.keep("pump", bytes(200_000))
    overwrite_all(path)
    store.look()
    assert "events that waited there are lost" in str(store.notice)
    store.keep("pump", b"next")
    assert kept(store) == after_a_kill(path, tmp_path / "copy", births=0) == [b"next"]
    store.close()
