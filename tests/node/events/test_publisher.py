"""What is published says when, in which life and as which message of its topic; and it goes where it belongs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from manual_clock import ManualClock

from edgetune_node.contract.messages import Classification, Response, Status
from edgetune_node.contract.topics import Topics
from edgetune_node.events.effects import Durability
from edgetune_node.events.publisher import Publisher

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
BEFORE = datetime(2026, 1, 31, 11, tzinfo=UTC)


def publisher() -> Publisher:
    return Publisher(Topics("edgetune", "n"), "boot", ManualClock(NOW, synced=False))


def classification(**fields: Any) -> Classification:
    return Classification(window=1, class_="normal", confidence=1.0, probabilities={}, model="m", quality=[], **fields)


def test_a_message_is_stamped_and_each_topic_counts_for_itself() -> None:
    subject = publisher()
    said = [
        subject.publish(Status(status="online"), None, Durability.TELEMETRY),
        subject.publish(classification(), "a", Durability.TELEMETRY),
        subject.publish(classification(), "b", Durability.TELEMETRY),
        subject.publish(classification(), "a", Durability.TELEMETRY),
    ]
    assert [(each.topic, each.message.seq) for each in said] == [
        ("edgetune/n/status", 0),
        ("edgetune/n/a/classification", 0),
        ("edgetune/n/b/classification", 0),
        ("edgetune/n/a/classification", 1),
    ]
    assert {(each.message.ts, each.message.boot, each.message.clock_synced) for each in said} == {(NOW, "boot", False)}


def test_a_message_keeps_the_time_it_was_built_with() -> None:
    assert publisher().publish(classification(ts=BEFORE), "a", Durability.TELEMETRY).message.ts == BEFORE


def test_an_answer_goes_to_both_topics_with_a_number_of_each() -> None:
    subject = publisher()
    answer = Response(id="c", command="record", status="done")
    (own,) = subject.respond("a", answer)
    again, other = subject.respond("a", answer, response_topic="reply/me", correlation=b"7")
    assert (own.topic, again.topic, other.topic) == ("edgetune/n/a/resp/record",) * 2 + ("reply/me",)
    assert (own.message.seq, again.message.seq, other.message.seq) == (0, 1, 0)
    assert other.correlation == b"7"


def test_an_answer_says_why_its_response_topic_was_not_used_and_leaves_the_message_as_it_was() -> None:
    answer = Response(id="c", command="record", status="done", detail={"job": "r"})
    (own,) = publisher().respond("a", answer, response_topic="reply/+")
    assert isinstance(own.message, Response)
    assert own.message.detail["job"] == "r"
    assert own.message.detail["response_topic"].startswith("not used: ")
    assert answer.detail == {"job": "r"}
