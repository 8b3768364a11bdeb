"""What is unlike everything known is kept for somebody to name: enough of it, not all of it, and never lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from edgetune_node.config.settings import AssetSection
from edgetune_node.errors import NodeError, Refused
from edgetune_node.events.events import NovelSegment
from edgetune_node.monitor.alarm import AlarmState
from edgetune_node.monitor.labelling import novel_recording
from edgetune_node.monitor.novelty import AT_ONCE, REFILL_S, SHORTEST_S, STRETCH_S, NoveltyRecorder, Span
from edgetune_node.storage.bounded import leaving
from edgetune_node.storage.unknowns import NoveltyStore
from edgetune_signal import (
    Chunk,
    QuotaExceededError,
    Recording,
    RecordingError,
    RecordingStore,
    Window,
    read_recording,
)

if TYPE_CHECKING:
    from pathlib import Path

LENGTH, RATE = 100, 1000.0
WINDOW_S = LENGTH / RATE
QUIET = AlarmState(active=False, event=None, class_="normal", severity="none")
SECTION = AssetSection(id="a", rate_hz=RATE, window={"length": LENGTH, "hop": LENGTH})


def raised(event: str = "e1", class_: str = "novel") -> AlarmState:
    return AlarmState(active=True, event=event, class_=class_, severity="warning")


class Machine:
    """Windows one after the other, 0.1 s each, and what a watch wants kept of them."""

    def __init__(self, **settings: Any) -> None:
        self.watch = NoveltyRecorder(SECTION.model_copy(update=settings))
        self.number = 0
        self.idle_s = 0.0
        self.spans: list[Span] = []

    def hear(self, ratio: float | None, state: AlarmState, count: int = 1) -> list[Span]:
        found = []
        for _ in range(count):
            self.number += 1
            end_ns = round((self.number * WINDOW_S - 1 / RATE) * 1e9)
            window = Window(np.zeros((1, LENGTH), np.float32), end_ns, self.number, ())
            self.watch.hear(window, ratio, state, self.idle_s + self.number * WINDOW_S)
            found += self.watch.take()
        self.spans += found
        return found


def seconds(span: Span) -> float:
    return (span.end_ns - span.start_ns) / 1e9


def test_of_a_condition_that_takes_long_to_be_raised_the_newest_seconds_are_kept() -> None:
    machine = Machine()
    assert machine.hear(3.0, QUIET, 600) == []
    (span,) = machine.hear(5.0, raised())
    assert seconds(span) == pytest.approx(STRETCH_S, abs=2 * WINDOW_S)
    assert span.end_ns == round((601 * WINDOW_S - 1 / RATE) * 1e9)


def test_a_stretch_begins_with_the_first_novel_window_and_is_long_enough_to_learn_from() -> None:
    machine = Machine()
    machine.hear(0.5, QUIET, 7)
    assert machine.hear(3.0, QUIET, 8) == []
    (span,) = machine.hear(5.0, raised(), 43)
    assert (span.event, span.start_ns) == ("e1", round(7 * WINDOW_S * 1e9))
    assert seconds(span) == pytest.approx(STRETCH_S, abs=2 * WINDOW_S)
    assert span.distance == pytest.approx((8 * 3 + 43 * 5) / 51)


def test_unknown_signs_are_kept_whole_but_not_all_of_them() -> None:
    watch = NoveltyRecorder(SECTION.model_copy(update={"task": "sign"}))
    start = datetime(2026, 1, 31, 12, tzinfo=UTC)
    end = start + timedelta(seconds=2)

    def kept(number: int, now: float) -> list[Span]:
        watch.gesture(f"s{number}", start, end, 1.5, now)
        return watch.take()

    (first,) = kept(0, 0.0)
    assert first == Span("s0", round(start.timestamp() * 1e9), round(end.timestamp() * 1e9), 1.5)
    assert sum(len(kept(number, float(number))) for number in range(1, 100)) == AT_ONCE - 1
    assert len(kept(100, REFILL_S)) == 1
    assert kept(101, REFILL_S) == []
    nothing = NoveltyRecorder(SECTION.model_copy(update={"task": "sign", "novel_max_bytes": 0}))
    nothing.gesture("s", start, end, 1.5, 0.0)
    assert nothing.take() == []


def test_a_condition_that_ends_before_is_kept_up_to_its_last_novel_window() -> None:
    machine = Machine()
    machine.hear(2.0, raised(), 15)
    machine.hear(0.5, raised(), 6)
    (span,) = machine.hear(0.5, QUIET)
    assert seconds(span) == pytest.approx(15 * WINDOW_S, abs=WINDOW_S / 10)
    assert machine.hear(0.5, QUIET, 100) == []


def test_what_raises_no_fault_is_too_short_or_has_another_fault_is_not_kept() -> None:
    machine = Machine()
    for _ in range(50):
        machine.hear(2.0, QUIET, 3)
        machine.hear(0.5, QUIET)
    machine.hear(2.0, raised(), round(SHORTEST_S / WINDOW_S) - 1)
    machine.hear(0.5, QUIET)
    machine.hear(2.0, raised(class_="inner"), 100)
    machine.hear(0.5, raised(class_="inner"))
    machine.hear(2.0, replace(raised(), latched=True), 100)
    assert machine.spans == []


@pytest.mark.parametrize("broken_by", ["a gap", "samples that say nothing"])
def test_a_stretch_spans_no_break(broken_by: str) -> None:
    machine = Machine()
    machine.hear(2.0, raised(), 40)
    if broken_by == "a gap":
        machine.watch.forget()
    else:
        machine.hear(None, raised())
    begun = machine.number
    (span,) = machine.hear(2.0, raised(), 51)
    assert span.start_ns == round(begun * WINDOW_S * 1e9)


def test_a_condition_that_stays_for_days_does_not_wear_the_disk() -> None:
    machine = Machine()
    hour = round(3600 / WINDOW_S)
    assert len(machine.hear(2.0, raised(), hour)) <= AT_ONCE + 3600 / REFILL_S
    machine.idle_s = 10 * REFILL_S
    machine.hear(0.5, QUIET, 50)
    assert len(machine.hear(2.0, raised("e2"), round(2 * STRETCH_S / WINDOW_S) + 10)) == 2


def test_who_wants_nothing_kept_keeps_nothing() -> None:
    assert Machine(novel_max_bytes=0).hear(9.0, raised(), 200) == []


def test_it_says_what_is_kept_and_what_to_do_with_it() -> None:
    watch = NoveltyRecorder(SECTION)
    assert watch.suggestion() is None
    with pytest.raises(Refused, match="nothing is kept at all"):
        watch.check_kept("e1")
    watch.stored((NovelSegment("e1", 5.0, 2.0), NovelSegment("e2", 3.0, 4.0), NovelSegment("e2", 4.0, 4.0)))
    told = watch.suggestion()
    assert told is not None
    assert "event e2" in told
    watch.stored((*watch.kept, NovelSegment("e2", 5.0, 2.0)))
    assert watch.suggestion() == told  # said once, not with every stretch
    watch.check_kept("e1")
    with pytest.raises(Refused, match="e1, e2"):
        watch.check_kept("e3")


def test_what_a_person_left_unnamed_is_suggested_to_that_person_alone() -> None:
    watch = NoveltyRecorder(SECTION.model_copy(update={"task": "sign"}))
    watch.stored((NovelSegment("e1", 5.0, 2.0, "anna"), NovelSegment("e2", 3.0, 4.0, "ben")))
    assert "event e1" in str(watch.suggestion("anna"))
    assert "event e2" in str(watch.suggestion("ben"))
    assert watch.suggestion("carla") is None
    assert "event e2" in str(watch.suggestion())
    watch.check_kept("e1")


# ---- samples ---------------------------------------------------------------------------------------------------------


def test_a_stretch_is_cut_out_of_the_chunks_and_its_held_out_part_is_decided_at_once() -> None:
    samples = np.arange(3000, dtype=np.float32)[None]
    start = 10**18
    chunks = [Chunk(samples[:, at : at + 300], start + at * 10**6, RATE, at // 300) for at in range(0, 3000, 300)]
    span = Span("e1", start + 1000 * 10**6, start + 1999 * 10**6, 2.0)
    found = novel_recording(chunks, SECTION, span, subject="rig", condition="1 hp", shaft_rpm=1797.0)
    assert found is not None
    assert found.samples[0].tolist() == list(range(1000, 2000))
    assert (found.time_ns, found.group, found.held_out_from) == (start + 10**9, "novel-e1", 750)
    assert (found.subject, found.condition, found.shaft_rpm) == ("rig", "1 hp", 1797.0)
    late = replace(span, start_ns=start + 2950 * 10**6, end_ns=start + 9000 * 10**6)
    assert novel_recording(chunks, SECTION, late, subject="", condition="", shaft_rpm=None) is None
    assert novel_recording([], SECTION, span, subject="", condition="", shaft_rpm=None) is None


# ---- files -----------------------------------------------------------------------------------------------------------


def stretch(time_ns: int, event: str = "e1", n: int = 1000) -> Recording:
    samples = np.random.default_rng(time_ns).normal(0, 1, (1, n)).astype(np.float32)
    return Recording(samples, RATE, "novel", time_ns=time_ns, group=f"novel-{event}", held_out_from=n - n // 4)


def test_what_is_kept_survives_a_restart_and_becomes_recordings_with_their_held_out_part(tmp_path: Path) -> None:
    store = NoveltyStore(tmp_path / "novel", 10**6)
    store.keep(stretch(1), 1.5)
    store.keep(stretch(2), 2.0)
    store.keep(stretch(3, "e2"), 3.0)
    (tmp_path / "novel" / "torn.npz").write_bytes(b"PK")
    store = NoveltyStore(tmp_path / "novel", 10**6)
    assert store.kept() == (NovelSegment("e1", 1.0, 1.5), NovelSegment("e1", 1.0, 2.0), NovelSegment("e2", 1.0, 3.0))
    recordings = RecordingStore(tmp_path / "recordings", 10**6)
    paths = store.label("e1", "outer", recordings)
    assert [(info.label, info.time_ns) for info in recordings.list()] == [("outer", 1), ("outer", 2)]
    assert {info.path for info in recordings.list()} == set(paths)
    back = read_recording(paths[0])
    assert np.array_equal(back.samples, stretch(1).samples)
    assert (back.group, back.held_out_from) == ("novel-e1", 750)
    assert store.kept() == (NovelSegment("e2", 1.0, 3.0),)


def test_a_kill_between_writing_and_deleting_labels_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = NoveltyStore(tmp_path / "novel", 10**6)
    store.keep(stretch(1), 1.5)
    recordings = RecordingStore(tmp_path / "recordings", 10**6)
    with monkeypatch.context() as killed:
        killed.setattr(RecordingStore, "remove", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            store.label("e1", "outer", recordings)
    assert len(store.kept()) == len(recordings.list()) == 1
    assert len(store.label("e1", "outer", recordings)) == 1
    assert (len(store.kept()), len(recordings.list())) == (0, 1)


def test_another_label_moves_what_the_first_one_stored(tmp_path: Path) -> None:
    store = NoveltyStore(tmp_path / "novel", 10**6)
    recordings = RecordingStore(tmp_path / "recordings", 10**6)
    store.keep(stretch(1), 1.5)
    store.keep(stretch(2, "e2"), 1.5)
    store.label("e1", "outer", recordings)
    store.label("e2", "outer", recordings)
    (moved,) = store.label("e1", "inner", recordings)
    assert {(info.label, info.time_ns) for info in recordings.list()} == {("inner", 1), ("outer", 2)}
    back = read_recording(moved)
    assert np.array_equal(back.samples, stretch(1).samples)
    assert (back.group, back.held_out_from) == ("novel-e1", 750)


def test_another_label_needs_no_room_and_says_all_that_the_event_has(tmp_path: Path) -> None:
    store = NoveltyStore(tmp_path / "novel", 10**6)
    recordings = RecordingStore(tmp_path / "recordings", 10**6)
    for number in range(3):
        store.keep(stretch(number), 1.5)
    store.label("e1", "outer", recordings)
    full = RecordingStore(tmp_path / "recordings", recordings.bytes_used())
    moved = store.label("e1", "inner", full)
    assert [info.path for info in full.list()] == list(moved)
    assert [path.name for path in moved] == ["inner-0-0.npz", "inner-1-0.npz", "inner-2-0.npz"]
    assert store.label("e1", "inner", full) == moved
    for path in moved:
        path.unlink()
    with pytest.raises(NodeError, match=r"nothing of event e1 any more: its recordings were deleted$"):
        store.label("e1", "outer", full)
    store.keep(stretch(3), 1.5)
    [damaged] = (tmp_path / "novel").iterdir()
    damaged.write_bytes(b"\xa5" * damaged.stat().st_size)
    with pytest.raises(NodeError, match=f"its recordings were deleted; {damaged.name} cannot be read"):
        store.label("e1", "outer", full)


@pytest.mark.parametrize("fatal", ["write_recording", "rename", "sync"])
def test_a_kill_in_the_middle_of_another_label_leaves_one_recording_which_a_third_label_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fatal: str
) -> None:
    store = NoveltyStore(tmp_path / "novel", 10**6)
    recordings = RecordingStore(tmp_path / "recordings", 10**6)
    store.keep(stretch(1), 1.5)
    store.label("e1", "outer", recordings)
    with monkeypatch.context() as killed:

        def die(*_: object) -> None:
            raise KeyboardInterrupt

        if fatal == "rename":
            killed.setattr(type(tmp_path), "rename", die)
        else:
            killed.setattr(f"edgetune_signal.recordings.store.{fatal}", die)
        with pytest.raises(KeyboardInterrupt):
            store.label("e1", "inner", recordings)
    assert len(recordings.list()) == 1
    (moved,) = store.label("e1", "ball", recordings)
    assert [(info.path, info.label) for info in recordings.list()] == [(moved, "ball")]
    assert moved.name == "ball-1-0.npz"
    assert np.array_equal(read_recording(moved).samples, stretch(1).samples)


def test_a_stretch_that_a_kill_left_beside_its_recording_is_not_stored_again_under_another_label(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = NoveltyStore(tmp_path / "novel", 10**6)
    recordings = RecordingStore(tmp_path / "recordings", 10**6)
    store.keep(stretch(1), 1.5)
    with monkeypatch.context() as killed:
        killed.setattr(RecordingStore, "remove", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            store.label("e1", "outer", recordings)
    (moved,) = store.label("e1", "inner", recordings)
    assert [(info.path, info.label) for info in recordings.list()] == [(moved, "inner")]
    assert store.kept() == ()


def test_recordings_that_are_full_take_what_fits_and_nothing_is_lost(tmp_path: Path) -> None:
    store = NoveltyStore(tmp_path / "novel", 10**6)
    for number in range(3):
        store.keep(stretch(number), 1.5)
    recordings = RecordingStore(tmp_path / "recordings", 20_000)
    with pytest.raises(QuotaExceededError):
        store.label("e1", "outer", recordings)
    assert len(recordings.list()) + len(store.kept()) == 3
    assert recordings.list()


def test_the_folder_never_grows_beyond_its_quota_and_a_smaller_quota_is_kept_too(tmp_path: Path) -> None:
    quota = 30_000
    store = NoveltyStore(tmp_path, quota)
    for number in range(20):
        store.keep(stretch(number), 9.0 if number == 2 else 2.0)
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= quota
    assert 9.0 in {each.distance for each in store.kept()}
    with pytest.raises(NodeError, match="novel_max_bytes"):
        store.keep(stretch(30, n=10_000), 2.0)
    assert len(NoveltyStore(tmp_path, 14_000).kept()) == 2


def test_what_came_last_stays_last_where_the_clock_was_set_back(tmp_path: Path) -> None:
    store = NoveltyStore(tmp_path, 10**6)
    for number, time_ns in enumerate((9_000, 10_000, 10, 20)):
        samples = np.ones((1, LENGTH), np.float32)
        store.keep(Recording(samples, RATE, "novel", "g", time_ns=time_ns, group=f"novel-e{number}"), 2.0)
    assert [kept.event for kept in store.kept()] == ["e0", "e1", "e2", "e3"]
    assert [kept.event for kept in NoveltyStore(tmp_path, 10**6).kept()] == ["e0", "e1", "e2", "e3"]


def test_a_full_disk_keeps_nothing_half_and_loses_nothing(small_disk: Any) -> None:
    store = NoveltyStore(small_disk.folder / "novel", 10**6)
    store.keep(stretch(1), 1.5)
    small_disk.fill()
    with pytest.raises(RecordingError, match="free some space"):
        store.keep(stretch(2), 9.0)
    assert store.kept() == (NovelSegment("e1", 1.0, 1.5),)
    assert list((small_disk.folder / "novel").glob("*.part")) == []
    small_disk.free()
    store.keep(stretch(2), 9.0)
    assert len(store.kept()) == 2


@given(st.lists(st.tuples(st.integers(1, 100), st.floats(1, 100)), max_size=30), st.integers(0, 500))
def test_what_leaves_makes_room_and_the_newest_leaves_last(kept: list[tuple[int, float]], quota: int) -> None:
    gone = leaving(kept, quota)
    left = [at for at in range(len(kept)) if at not in gone]
    assert sum(kept[at][0] for at in left) <= quota
    if gone:  # no more than needed
        assert sum(kept[at][0] for at in [*left, gone[-1]]) > quota
    if kept and left:
        assert len(kept) - 1 in left
