"""The inbox keeps the order, and bounds in count and bytes whatever comes in."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st

from edgetune_node.events.events import ChunkArrived, CommandArrived, CommandRefused, ContextArrived, LinkChanged, Tick
from edgetune_node.runtime.inbox import (
    MAX_CHUNK_BYTES,
    MAX_COMMAND_BYTES,
    MAX_COMMANDS,
    MAX_CONTEXTS,
    MAX_PINGS,
    MAX_REFUSED,
    SHARE_OF_A_KIND,
    TOLD_S,
    Inbox,
)
from edgetune_signal import Chunk

MAX_OF_A_KIND = MAX_COMMANDS // SHARE_OF_A_KIND


def chunk(number: int, asset: str = "a") -> ChunkArrived:
    return ChunkArrived(asset, Chunk(np.zeros((1, 4), np.float32), number, 100.0, number))


def drain(inbox: Inbox) -> list[object]:
    events = []
    while (event := inbox.get(0)) is not None:
        events.append(event)
    return events


def test_events_come_out_in_the_order_they_went_in() -> None:
    inbox = Inbox()
    events = [chunk(0), LinkChanged(connected=True), chunk(1), Tick()]
    for event in events:
        inbox.put(event)
    assert drain(inbox) == events


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 8))
def test_only_the_oldest_chunks_are_dropped_and_each_is_counted(kinds: list[bool], capacity: int) -> None:
    inbox = Inbox(capacity)
    events = [chunk(number) if is_chunk else LinkChanged(connected=True) for number, is_chunk in enumerate(kinds)]
    for event in events:
        inbox.put(event)
    chunks = [event for event in events if isinstance(event, ChunkArrived)]
    kept = chunks[-capacity:]
    assert drain(inbox) == [event for event in events if not isinstance(event, ChunkArrived) or event in kept]
    assert inbox.dropped["a"] == len(chunks) - len(kept)


def test_an_asset_that_floods_takes_no_room_from_another() -> None:
    inbox = Inbox(2)
    quiet = [chunk(number, "quiet") for number in range(2)]
    flood = [chunk(number, "flood") for number in range(50)]
    for event in [quiet[0], *flood, quiet[1]]:
        inbox.put(event)
    assert drain(inbox) == [quiet[0], *flood[-2:], quiet[1]]
    assert inbox.dropped == {"flood": 48}


def command(number: int, ack: int | None = None, *, name: str = "cancel", asset: str | None = "a") -> CommandArrived:
    return CommandArrived(asset, name, str(number).encode(), ack=ack)


def big_chunk(number: int, asset: str, size: int) -> ChunkArrived:
    return ChunkArrived(asset, Chunk(np.zeros((1, size // 4), np.float32), number, 100.0, number))


def test_samples_are_bounded_in_bytes_at_the_cost_of_the_asset_that_floods() -> None:
    inbox = Inbox()
    quiet = [big_chunk(number, "quiet", 1000) for number in range(10)]
    for number, event in enumerate(quiet):
        inbox.put(big_chunk(number, "flood", MAX_CHUNK_BYTES // 4))
        inbox.put(event)
    waiting = drain(inbox)
    assert [event for event in waiting if event in quiet] == quiet
    assert len(waiting) == 10 + 3
    assert inbox.dropped == {"flood": 7}
    inbox.put(big_chunk(10, "flood", MAX_CHUNK_BYTES))
    assert len(drain(inbox)) == 1


def test_a_flood_of_commands_or_contexts_takes_a_quarter_of_the_time_from_samples() -> None:
    for flood in (command, lambda number: ContextArrived(f"a{number}", b"")):
        now_s = 0.0
        inbox = Inbox(now=lambda: now_s)  # noqa: B023 - used in this turn only
        asked = [flood(number) for number in range(30)]
        for number, event in enumerate(asked):
            inbox.put(event)
            for part in range(3):
                inbox.put(chunk(3 * number + part))
        handled = []
        for _ in range(100):  # each takes a second
            event = inbox.get(0)
            assert event is not None
            now_s += 1.0
            inbox.took(event, 1.0)
            handled.append(event)
        assert [event for event in handled if not isinstance(event, ChunkArrived)] == asked[:25]
        assert [event.chunk.sequence for event in handled if isinstance(event, ChunkArrived)] == list(range(75))


def test_where_only_commands_wait_none_of_them_waits_for_anything() -> None:
    inbox = Inbox(now=lambda: 0.0)
    for number in range(3):
        inbox.put(command(number))
    inbox.took(command(0), 60.0)
    assert drain(inbox) == [command(number) for number in range(3)]


def test_the_newest_contexts_of_each_asset_wait() -> None:
    inbox = Inbox()
    for number in range(50):
        inbox.put(ContextArrived("flood", b"%d" % number))
        if number == 10:
            inbox.put(ContextArrived("quiet", b"once"))
    assert drain(inbox) == [
        ContextArrived("quiet", b"once"),
        *(ContextArrived("flood", b"%d" % number) for number in range(50 - MAX_CONTEXTS, 50)),
    ]
    inbox.put(ContextArrived("flood", b"later"))
    assert drain(inbox) == [ContextArrived("flood", b"later")]


def test_a_command_beyond_the_bound_is_refused_and_some_are_answered() -> None:
    now_s = 0.0
    inbox = Inbox(now=lambda: now_s)
    assert inbox.problem is None
    taken = [inbox.put(command(number, ack=number)) for number in range(MAX_OF_A_KIND + 50)]
    assert taken == [True] * MAX_OF_A_KIND + [False] * 50
    told = drain(inbox)
    assert told[:MAX_OF_A_KIND] == [command(number, ack=number) for number in range(MAX_OF_A_KIND)]
    assert told[MAX_OF_A_KIND:] == [CommandRefused(command(MAX_OF_A_KIND + number)) for number in range(MAX_REFUSED)]
    assert inbox.problem is not None
    assert inbox.problem.startswith("50 commands were refused")
    assert inbox.put(command(0))
    assert drain(inbox) == [command(0)]
    now_s = TOLD_S + 1
    assert inbox.problem is None


@pytest.mark.parametrize("long", [False, True])
def test_a_flood_of_backups_leaves_room_for_a_ping(*, long: bool) -> None:
    inbox = Inbox()
    backup = command(0, name="backup", asset=None)
    if long:
        backup = replace(backup, payload=b" " * 60_000)
    taken = sum(inbox.put(backup) for _ in range(MAX_PINGS))
    assert taken == (2 if long else MAX_PINGS // SHARE_OF_A_KIND)
    assert inbox.put(replace(backup, name="ping"))


def test_a_flood_of_one_command_leaves_room_for_others_and_for_the_node_itself() -> None:
    inbox = Inbox()
    for name in ("cancel", "x" * 100, "y" * 100):  # the last two are unknown, and of one kind
        for number in range(MAX_COMMANDS):
            inbox.put(command(number, name=name, asset=f"a{number}"))
    ping = command(0, name="ping", asset=None)
    assert inbox.put(ping)
    kinds = Counter(event.name[0] for event in drain(inbox) if isinstance(event, CommandArrived))
    assert kinds == {"c": MAX_OF_A_KIND, "x": MAX_COMMANDS - MAX_OF_A_KIND, "p": 1}


def test_commands_are_bounded_in_bytes_whatever_part_of_them_is_long() -> None:
    for part in ("payload", "correlation", "name", "response_topic", "signature"):
        inbox = Inbox()
        long = b"x" * 60_000 if part in ("payload", "correlation") else "x" * 60_000
        event = replace(command(0), **{part: long})
        taken = sum(inbox.put(event) for _ in range(MAX_COMMANDS))
        assert taken == MAX_COMMAND_BYTES // SHARE_OF_A_KIND // (60_000 + 8)
    inbox = Inbox()
    kinds = [replace(command(0), name=name, payload=b"x" * 60_000) for name in ("cancel", "record", "label")]
    taken = sum(inbox.put(event) for event in kinds for _ in range(MAX_COMMANDS))
    assert taken == MAX_COMMAND_BYTES // (60_000 + 8)


def test_a_waiting_reader_is_woken_by_an_event() -> None:
    inbox = Inbox()
    found: list[object] = []
    reader = threading.Thread(target=lambda: found.append(inbox.get(30)))
    reader.start()
    inbox.put(Tick())
    reader.join(30)
    assert found == [Tick()]


def test_nothing_comes_out_of_an_empty_inbox() -> None:
    assert Inbox().get(0.0) is None
