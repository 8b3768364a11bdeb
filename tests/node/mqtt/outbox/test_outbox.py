"""The outbox keeps what it was given, in order and within its bounds."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from keeping import DAY_NS, NOW_NS, open_outbox, payloads, put
from manual_clock import Counted

from edgetune_node.errors import OutboxError
from edgetune_node.mqtt import outbox as outbox_module
from edgetune_node.mqtt.outbox import ENTRY_OVERHEAD_BYTES, Entry
from edgetune_node.mqtt.outbox_rows import Lane

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder that needs no disk, where the system has one


def test_entries_come_back_whole_and_in_order_after_reopening(path: Path) -> None:
    clock = Counted(NOW_NS)
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
    clock = Counted(NOW_NS)
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
    clock = Counted(NOW_NS)
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
    clock = Counted(NOW_NS)
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


@pytest.mark.parametrize("jump_s", [3600, -3600])
def test_a_clock_that_jumps_by_an_hour_gives_up_nothing_and_keeps_the_order(path: Path, jump_s: int) -> None:
    clock = Counted(NOW_NS)
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


def test_what_is_set_aside_waits_no_more_is_kept_over_a_restart_and_goes_first(path: Path) -> None:
    outbox = open_outbox(path, max_bytes=1000)
    poison = put(outbox, "n/a/fault", b"p" * 300)
    put(outbox, "n/a/fault", b"f" * 300)
    outbox.set_aside(poison)
    outbox.set_aside(poison)
    outbox.set_aside(10**6)
    assert (outbox.depth, outbox.aside) == (1, 1)
    assert payloads(outbox) == [b"f" * 300]
    outbox.close()
    outbox = open_outbox(path, max_bytes=1000)
    assert (outbox.depth, outbox.aside, outbox.topics(Lane.ASIDE)) == (1, 1, ["n/a/fault"])
    assert [entry.key for entry in outbox.pending(lane=Lane.ASIDE)] == [poison]
    put(outbox, "n/a/sign", b"s" * 300)
    assert (outbox.depth, outbox.aside, outbox.dropped) == (2, 0, 1)
    put(outbox, "n/a/state", b"s" * 300)
    assert (outbox.depth, outbox.aside, outbox.dropped) == (2, 0, 2)
    outbox.close()


def test_only_the_newest_of_what_is_set_aside_are_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "MAX_ASIDE", 3)
    outbox = open_outbox(path)
    keys = [put(outbox, "n/a/state", str(number).encode()) for number in range(5)]
    for key in keys:
        outbox.set_aside(key)
    assert [entry.payload for entry in outbox.pending(lane=Lane.ASIDE)] == [b"2", b"3", b"4"]
    assert (outbox.depth, outbox.aside, outbox.dropped) == (0, 3, 2)
    outbox.done(*keys)
    assert (outbox.aside, outbox.size_bytes) == (0, 0)
    outbox.close()
