"""The inbox keeps the order, drops old samples under load, and never a command."""

from __future__ import annotations

import threading

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgetune_node.events import ChunkArrived, CommandArrived, LinkChanged, Tick
from edgetune_node.inbox import MAX_COMMANDS, Inbox
from edgetune_signal import Chunk


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


def command(number: int, ack: int | None = None) -> CommandArrived:
    return CommandArrived("a", "cancel", str(number).encode(), ack=ack)


def test_a_flood_of_commands_takes_a_quarter_of_the_time_from_samples() -> None:
    now_s = 0.0
    inbox = Inbox(now=lambda: now_s)
    for number in range(80):
        inbox.put(command(number, ack=number))
        inbox.put(chunk(number))
    handled = []
    for _ in range(100):  # a command takes a second, and so do the samples of a chunk
        event = inbox.get(0)
        now_s += 1.0
        if isinstance(event, CommandArrived):
            inbox.took(1.0)
        handled.append(event)
    assert [event for event in handled if isinstance(event, CommandArrived)] == [command(n, n) for n in range(25)]
    assert [event.chunk.sequence for event in handled if isinstance(event, ChunkArrived)] == list(range(75))


def test_where_only_commands_wait_none_of_them_waits_for_anything() -> None:
    inbox = Inbox(now=lambda: 0.0)
    for number in range(3):
        inbox.put(command(number))
    inbox.took(60.0)
    assert drain(inbox) == [command(number) for number in range(3)]


def test_of_commands_that_nobody_waits_to_have_acknowledged_only_so_many_wait() -> None:
    inbox = Inbox()
    assert inbox.problem is None
    for number in range(MAX_COMMANDS + 50):
        inbox.put(command(number))
    asked = [command(number, ack=number) for number in range(3)]
    for event in asked:
        inbox.put(event)
    assert drain(inbox) == [command(number) for number in range(MAX_COMMANDS)] + asked
    assert inbox.problem is not None
    assert inbox.problem.startswith("50 commands of QoS 0 were dropped")
    inbox.put(command(0))
    assert drain(inbox) == [command(0)]


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
