"""The outbox keeps what it was given, in order, through crashes, damage and full disks, and within its bounds."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetune_node.errors import OutboxError
from edgetune_node.kept_commands import FINISHED_COMMANDS
from edgetune_node.outbox import CLOCK_SET_NS, ENTRY_OVERHEAD_BYTES, Entry, Outbox

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder that needs no disk, where the system has one
DAY_S = 86_400.0
DAY_NS = 86_400 * 10**9


class Clock:
    """UTC that stands still until told."""

    def __init__(self) -> None:
        self.now_ns = CLOCK_SET_NS + 2000 * DAY_NS

    def __call__(self) -> int:
        return self.now_ns


def open_outbox(path: Path, *, max_bytes: int = 10**6, max_age_s: float = DAY_S, clock: Any = None) -> Outbox:
    return Outbox(path, max_bytes=max_bytes, max_age_s=max_age_s, clock=clock or Clock())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "outbox.sqlite"


def put(outbox: Outbox, topic: str = "n/a/state", payload: bytes = b"{}", *, retain: bool = False) -> int:
    return outbox.put(topic, payload, qos=1, retain=retain, correlation=None, boot="b")


def payloads(outbox: Outbox) -> list[bytes]:
    return [entry.payload for entry in outbox.pending()]


def test_entries_come_back_whole_and_in_order_after_reopening(path: Path) -> None:
    clock = Clock()
    outbox = open_outbox(path, clock=clock)
    first = outbox.put("n/a/fault", b"1", qos=1, retain=True, correlation=b"\x00c", boot="b1")
    second = put(outbox, payload=b"2")
    outbox.close()
    again = open_outbox(path, clock=clock)
    assert again.pending()[0] == Entry(first, "n/a/fault", b"1", 1, True, b"\x00c", "b1", clock.now_ns)
    assert [entry.key for entry in again.pending()] == [first, second]
    assert (again.depth, again.last_key) == (2, second)
    again.close()


def test_what_is_done_is_gone_and_its_key_is_never_used_again(path: Path) -> None:
    outbox = open_outbox(path)
    keys = [put(outbox) for _ in range(3)]
    outbox.done(*keys)
    outbox.done(keys[0])
    assert (outbox.depth, outbox.size_bytes, outbox.dropped) == (0, 0, 0)
    outbox.close()
    again = open_outbox(path)
    assert put(again) > keys[-1]
    again.close()


def test_pending_gives_pages(path: Path) -> None:
    outbox = open_outbox(path)
    keys = [put(outbox) for _ in range(5)]
    assert [entry.key for entry in outbox.pending(after=keys[1], limit=2)] == keys[2:4]
    outbox.close()


def test_the_newest_payload_of_a_retained_topic_outlives_its_delivery_and_a_restart(path: Path) -> None:
    outbox = open_outbox(path)
    outbox.done(put(outbox, "n/a/fault", b"old", retain=True), put(outbox, "n/a/fault", b"new", retain=True))
    put(outbox, "n/a/resp/record", b"reply")
    outbox.close()
    again = open_outbox(path)
    assert again.current("n/a/fault") == b"new"
    assert again.current("n/a/resp/record") is None
    assert again.currents() == {"n/a/fault": b"new"}
    again.close()


def test_entries_survive_the_kill_of_their_process(path: Path) -> None:
    script = f"""
import itertools, pathlib, time
from edgetune_node.outbox import Outbox
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
    monkeypatch.setattr("edgetune_node.outbox_file.LOCK_TIMEOUT_S", 0.05)
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


def test_a_file_of_the_first_format_is_taken_over_with_all_it_holds(path: Path) -> None:
    outbox = open_outbox(path)
    put(outbox, payload=b"waits")
    outbox.commands.keep("a", "recalibrate", "1", b"payload", b"accepted")
    with outbox._file.transaction() as db:
        db.execute("DROP TABLE dropped")
        db.execute("DROP TABLE signed")
        db.execute("ALTER TABLE command DROP COLUMN note")
        db.execute("PRAGMA user_version=1")
    outbox.close()
    for _ in range(2):
        outbox = open_outbox(path)
        assert outbox.warning is None
        assert payloads(outbox) == [b"waits"]
        assert [(kept.payload, kept.note) for kept in outbox.commands.interrupted()] == [(b"payload", b"")]
        outbox.close()


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


def fill_disk(outbox: Outbox) -> None:
    with outbox._file.reading() as db:
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count={pages}")


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
    clock = Clock()
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


def test_a_message_larger_than_the_outbox_is_refused_and_pushes_nothing_out(path: Path) -> None:
    outbox = open_outbox(path, max_bytes=1000)
    put(outbox, payload=b"small")
    with pytest.raises(OutboxError, match="does not fit"):
        put(outbox, payload=b"x" * 1000)
    assert payloads(outbox) == [b"small"]
    outbox.close()


def test_signs_go_before_replies_and_replies_before_faults(path: Path) -> None:
    room = 3 * (ENTRY_OVERHEAD_BYTES + 100)
    outbox = open_outbox(path, max_bytes=room)
    for topic in ("n/a/fault", "n/a/resp/record", "n/a/sign"):
        put(outbox, topic, b"x" * (100 - len(topic)))
    put(outbox, "n/a/state", b"y" * (100 - len("n/a/state")))
    assert [entry.topic for entry in outbox.pending()] == ["n/a/fault", "n/a/resp/record", "n/a/state"]
    put(outbox, "n/a/fault", b"y" * (100 - len("n/a/fault")))
    put(outbox, "n/a/fault", b"y" * (100 - len("n/a/fault")))
    assert [entry.topic for entry in outbox.pending()] == ["n/a/fault"] * 3
    put(outbox, "n/a/sign", b"z" * (100 - len("n/a/sign")))
    assert [entry.topic for entry in outbox.pending()] == ["n/a/fault"] * 3
    assert outbox.dropped == 4
    outbox.close()


def test_age_removes_everything_but_faults(path: Path) -> None:
    clock = Clock()
    outbox = open_outbox(path, clock=clock)
    put(outbox, "n/a/fault")
    put(outbox, "n/a/sign")
    put(outbox, "n/a/state")
    clock.now_ns += DAY_NS
    outbox.expire()
    assert outbox.depth == 3
    clock.now_ns += 1
    outbox.expire()
    assert [entry.topic for entry in outbox.pending()] == ["n/a/fault"]
    assert outbox.dropped == 2
    _, told = outbox.problems
    assert told is not None
    assert "2 messages went unsent, 0 of them faults" in told
    outbox.close()


def test_entries_put_before_the_clock_was_set_do_not_look_fifty_years_old(path: Path) -> None:
    clock = Clock()
    now, clock.now_ns = clock.now_ns, 0
    outbox = open_outbox(path, clock=clock)
    put(outbox)
    clock.now_ns = now
    outbox.expire()
    assert outbox.depth == 1
    outbox.close()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(["fault", "sign", "state"]), st.integers(0, 120)),
        st.tuples(st.just("done"), st.integers(0, 30), st.none()),
        st.tuples(st.just("wait"), st.floats(0, 0.7), st.none()),
        st.tuples(st.just("reopen"), st.none(), st.none()),
    ),
    max_size=30,
)
RANK = {"sign": 0, "state": 1, "fault": 2}


@settings(deadline=None, max_examples=60)
@given(steps=STEPS)
def test_order_bounds_and_policy_hold_for_any_history(steps: list[tuple[str, Any, Any]]) -> None:
    clock = Clock()
    bound = 600
    waiting: list[tuple[int, str, int, int]] = []  # key, leaf, size, time: the same policy, written as a reader would
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        outbox = open_outbox(Path(folder) / "o.sqlite", max_bytes=bound, clock=clock)
        come, done = [], 0
        for step, first, second in steps:
            if step == "put":
                key = put(outbox, f"n/{first}", b"x" * second)
                come.append(first)
                waiting.append((key, first, len(f"n/{first}") + second + ENTRY_OVERHEAD_BYTES, clock.now_ns))
                waiting = [item for item in waiting if item[1] == "fault" or clock.now_ns - item[3] <= DAY_NS]
                while sum(item[2] for item in waiting) > bound:
                    waiting.remove(min(waiting, key=lambda item: (RANK[item[1]], item[0])))
            elif step == "done":
                outbox.done(first)
                done += first in [item[0] for item in waiting]
                waiting = [item for item in waiting if item[0] != first]
            elif step == "wait":
                clock.now_ns += int(first * DAY_NS)
            else:
                outbox.close()
                outbox = open_outbox(Path(folder) / "o.sqlite", max_bytes=bound, clock=clock)
                waiting = [item for item in waiting if item[1] == "fault" or clock.now_ns - item[3] <= DAY_NS]
            assert [entry.key for entry in outbox.pending()] == [item[0] for item in waiting]
            assert (outbox.depth, outbox.size_bytes) == (len(waiting), sum(item[2] for item in waiting))
            assert outbox.size_bytes <= bound
            assert outbox.dropped == len(come) - done - len(waiting)
            assert outbox.dropped_faults <= outbox.dropped
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


@pytest.mark.parametrize("jump_s", [3600, -3600])
def test_a_clock_that_jumps_by_an_hour_gives_up_nothing_and_keeps_the_order(path: Path, jump_s: int) -> None:
    clock = Clock()
    outbox = open_outbox(path, clock=clock)
    put(outbox, payload=b"1")
    assert outbox.commands.first_use(
        "signature", datetime.fromtimestamp(clock.now_ns / 1e9, UTC) + timedelta(minutes=5)
    )
    clock.now_ns += jump_s * 10**9
    put(outbox, payload=b"2")
    outbox.expire()
    assert payloads(outbox) == [b"1", b"2"]
    assert outbox.dropped == 0
    assert not outbox.commands.first_use(
        "signature", datetime.fromtimestamp(clock.now_ns / 1e9, UTC) + timedelta(minutes=5)
    )
    outbox.close()
    assert payloads(open_outbox(path, clock=clock)) == [b"1", b"2"]
