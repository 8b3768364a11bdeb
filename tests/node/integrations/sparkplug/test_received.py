"""What hosts send waits in bounds of count and bytes, and the newest of each topic stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgetune_node.integrations.sparkplug import received
from edgetune_node.integrations.sparkplug.received import MOST, MOST_BYTES, Received, ReceivedMessages

if TYPE_CHECKING:
    import pytest


def message(number: int, size: int = 10) -> Received:
    return Received(b"%d" % number + bytes(size), retained=False)


def test_messages_of_a_topic_are_taken_in_order() -> None:
    heard = ReceivedMessages()
    assert [heard.add("a", message(number)) for number in range(3)] == [True] * 3
    assert [heard.take("a") for _ in range(3)] == [message(number) for number in range(3)]
    assert heard.problem is None


def test_the_newest_stay_of_a_topic_that_is_flooded_and_others_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = ReceivedMessages()
    heard.add("state", message(0))
    added = [heard.add("flood", message(number)) for number in range(MOST + 5)]
    assert added == [True] * MOST + [False] * 5
    assert [heard.take("flood") for _ in range(MOST)] == [message(number) for number in range(5, MOST + 5)]
    assert heard.take("state") == message(0)
    assert str(heard.problem).startswith("sparkplug: 5 messages were left out")
    monkeypatch.setattr(received, "TOLD_S", -1.0)  # as when a minute has passed
    assert heard.problem is None


def test_bytes_are_bounded_too() -> None:
    heard = ReceivedMessages()
    for number in range(10):
        heard.add("a", message(number, MOST_BYTES // 4))
    assert not heard.add("a", message(10, MOST_BYTES))
    waiting = [found for _ in range(10) if (found := heard.take("a")) is not None]
    assert waiting == [message(number, MOST_BYTES // 4) for number in range(7, 10)]
    assert str(heard.problem).startswith("sparkplug: 8 messages were left out")


def test_small_messages_that_large_ones_push_out_are_not_asked_for_without_end() -> None:
    heard = ReceivedMessages()
    added = sum(heard.add("a", message(number, MOST_BYTES - 10 if number % 20 == 0 else 10)) for number in range(999))
    assert added <= MOST
    taken = [heard.take("a") for _ in range(added)]
    assert taken[0] == message(981)
    assert heard.take("a") is None
